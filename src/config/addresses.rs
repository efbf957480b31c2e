//! Addresses and names of backends and listeners, in the syntax of the file and of the command
//! line. Errors are sentences for the user. Does not: look a name up.

use super::sections::{Backend, BackendEntry, BackendName, Lookup};
use super::units::parse_count;
use crate::limits::WEIGHT_MAX;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Characters of a name (RFC 1035, 2.3.4, without the length bytes), and of one of its labels.
const NAME_LENGTH_MAX: usize = 253;
const LABEL_LENGTH_MAX: usize = 63;

/// The purpose of an address, which determines the remedy for an invalid one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Backend,
    Listener,
    /// The admin interface, which should not be reachable from everywhere.
    Admin,
}

impl Purpose {
    /// The suggestion where an IP address is missing.
    fn ip(self) -> &'static str {
        match self {
            Self::Backend => "10.0.0.11",
            Self::Listener => "0.0.0.0",
            Self::Admin => "127.0.0.1",
        }
    }
}

/// The syntax of the interface of a link-local address (RFC 4007, 11.2).
const ZONE: &str = "name the interface by its number, which `ip link` shows, as in";

impl BackendEntry {
    /// `IP:PORT` or `NAME:PORT`.
    pub fn parse(text: &str, weight: u32) -> Result<Self, String> {
        let (host, port) = split_port(text);
        if !is_meant_as_name(host) || looks_foreign(text) {
            return Ok(Self::Address(Backend { address: parse_address(text)?, weight }));
        }
        if port.is_empty() {
            return Err(format!("`{text}` has no port: write \"{host}:8080\""));
        }
        let port = parse_count(port, 1..=u16::MAX).map_err(|error| format!("port {error}"))?;
        let lookup = Lookup::Address { name: parse_host_name(host)?, port };
        Ok(Self::Name(BackendName { lookup, weight }))
    }
}

/// `IP:PORT` to listen on. Port 0 lets the kernel choose a port.
pub fn parse_listen_address(text: &str) -> Result<SocketAddr, String> {
    parse_bound(text, Purpose::Listener)
}

/// `IP:PORT` for the admin interface to listen on.
pub fn parse_admin_address(text: &str) -> Result<SocketAddr, String> {
    parse_bound(text, Purpose::Admin)
}

fn parse_bound(text: &str, purpose: Purpose) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().map_err(|_| what_is_wrong(text, purpose))?;
    check_single(&address).map(|()| address)
}

/// `IP:PORT`, the port not 0.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().map_err(|_| what_is_wrong(text, Purpose::Backend))?;
    check_backend_address(&address).map(|()| address)
}

/// Why a text is no address, with a suggestion.
fn what_is_wrong(text: &str, purpose: Purpose) -> String {
    if let Some((scheme, rest)) = text.split_once("://") {
        return url(text, scheme, rest, purpose);
    }
    if looks_foreign(text) {
        return format!("`{text}`: Unix sockets are not supported here yet, write IP:PORT");
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return no_port(text, ip);
    }
    let (host, port) = split_port(text);
    if let Some((ip, _)) = host.trim_matches(['[', ']']).split_once('%')
        && ip.parse::<Ipv6Addr>().is_ok()
    {
        let port = if is_port(port) { port } else { "8080" };
        return format!("`{text}`: {ZONE} \"[{ip}%2]:{port}\"");
    }
    if ["", "*"].contains(&host) && is_port(port) {
        return no_ip(text, port, purpose);
    }
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() && !is_port(port) {
        return format!("`{text}`: `{port}` is not a port, they go from 1 to 65535");
    }
    if host == "localhost" && is_port(port) {
        return format!("`{text}`: host names are not supported here, write \"127.0.0.1:{port}\"");
    }
    if is_meant_as_name(host) {
        return format!("`{text}`: host names are not supported here, write IP:PORT");
    }
    let shown = text.escape_debug();
    format!("`{shown}` is not an address: write IP:PORT, as in \"10.0.0.11:8080\"")
}

/// `scheme://rest` in the place of an address.
fn url(text: &str, scheme: &str, rest: &str, purpose: Purpose) -> String {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let port = if scheme == "https" { "443" } else { "80" };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| is_port(port));
    let meant = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
    let tls = match (scheme, purpose) {
        ("https", Purpose::Backend) => "; TLS to backends is not supported yet",
        ("https", Purpose::Listener) => "; for TLS set `protocol = \"https\"`",
        ("https", Purpose::Admin) => "; the admin interface has no TLS",
        _ => "",
    };
    let meant = match purpose {
        Purpose::Backend => meant,
        _ if meant.parse::<SocketAddr>().is_ok() => meant,
        // A name cannot be listened on.
        _ => format!("{}:{}", purpose.ip(), split_port(&meant).1),
    };
    format!("`{text}` is a URL: write \"{meant}\", without the scheme and a path{tls}")
}

/// An address without a port; of `::1:80` the end may be meant as one.
fn no_port(text: &str, ip: IpAddr) -> String {
    let whole = SocketAddr::new(ip, 8080);
    let split = text.rsplit_once(':').filter(|(_, port)| ip.is_ipv6() && is_port(port));
    match split.and_then(|(host, port)| Some((host.parse::<IpAddr>().ok()?, port))) {
        Some((host, port)) => {
            format!("`{text}`: write \"[{host}]:{port}\", or \"{whole}\" if the port is missing")
        }
        None => format!("`{text}` has no port: write \"{whole}\""),
    }
}

/// A port alone, or behind a `*`.
fn no_ip(text: &str, port: &str, purpose: Purpose) -> String {
    match purpose {
        Purpose::Backend => {
            format!("`{text}` has no host: write it like \"10.0.0.11:{port}\"")
        }
        Purpose::Admin => format!(
            "`{text}` has no IP address: write \"127.0.0.1:{port}\"; the admin interface is for \
             this machine or a management network"
        ),
        Purpose::Listener => format!(
            "`{text}` has no IP address: write \"127.0.0.1:{port}\" for this machine alone, \
             \"0.0.0.0:{port}\" for all its IPv4 addresses or \"[::]:{port}\" for all IPv6"
        ),
    }
}

/// A URL or the path of a Unix socket.
fn looks_foreign(text: &str) -> bool {
    text.contains("://")
        || text.starts_with(['/', '@'])
        || text.starts_with("unix")
            && text["unix".len()..].starts_with([':', '@'])
            && !is_port(&text["unix:".len()..])
}

/// True if two listeners would overlap: they have a port and an address in common,
/// as the one on all addresses and one on a single address of the same port.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_family = one.is_ipv4() == other.is_ipv4();
    let is_all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && is_same_family
        && (is_all || is_same_host(one, other))
}

/// True if two addresses are one. A link-local one is another on each interface (RFC 4007, 6).
fn is_same_host(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_zone = match (one, other) {
        (SocketAddr::V6(one), SocketAddr::V6(other)) if one.ip().is_unicast_link_local() => {
            one.scope_id() == other.scope_id()
        }
        _ => true,
    };
    is_same_zone && one.ip().to_canonical() == other.ip().to_canonical()
}

/// True if a connection to `address` on this machine certainly reaches a listener.
fn reaches(address: SocketAddr, listener: SocketAddr) -> bool {
    if address.port() != listener.port() {
        return false;
    }
    let (ip, own) = (address.ip().to_canonical(), listener.ip().to_canonical());
    let is_all = own.is_unspecified() && own.is_ipv4() == ip.is_ipv4();
    is_same_host(address, listener) || (is_all && ip.is_loopback())
}

/// The listener that a connection to `address` on this machine certainly reaches: one on a single
/// address goes before one on all of them.
pub fn reached<L>(
    listeners: impl IntoIterator<Item = L>,
    address: SocketAddr,
    address_of: impl Fn(&L) -> SocketAddr,
) -> Option<L> {
    let reached = listeners.into_iter().filter(|one| reaches(address, address_of(one)));
    reached.min_by_key(|one| address_of(one).ip().is_unspecified())
}

/// Whether one can connect to an address: not if its port is 0, or its IP is that of all addresses
/// of a machine or of many machines.
pub fn check_backend_address(address: &SocketAddr) -> Result<(), String> {
    let port = address.port();
    if port == 0 {
        return Err(format!("`{address}` has port 0: give the port, from 1 to 65535"));
    }
    if address.ip().to_canonical().is_unspecified() {
        let here = if address.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        return Err(format!(
            "`{address}` is no address to connect to: for a server on this machine write \
             \"{here}:{port}\""
        ));
    }
    check_single(address)
}

/// Refuses multicast (RFC 5771; RFC 4291, 2.7) and broadcast (RFC 919, 7): TCP has no such peers.
/// Also link-local addresses (RFC 4291, 2.5.6) without an interface.
fn check_single(address: &SocketAddr) -> Result<(), String> {
    let ip = address.ip().to_canonical();
    let kind = match ip {
        _ if ip.is_multicast() => "multicast",
        IpAddr::V4(ip) if ip.is_broadcast() => "broadcast",
        IpAddr::V6(ip) if ip.is_unicast_link_local() && has_no_zone(address) => {
            let port = address.port();
            return Err(format!("`{address}` is link-local: {ZONE} \"[{ip}%2]:{port}\""));
        }
        _ => return Ok(()),
    };
    Err(format!("`{address}` is a {kind} address, which TCP cannot use: write that of one machine"))
}

fn has_no_zone(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(address) if address.scope_id() == 0)
}

/// The host and the port; a number alone is a port.
fn split_port(text: &str) -> (&str, &str) {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if is_port(host) && port.is_empty() { ("", host) } else { (host, port) }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_meant_as_name(host: &str) -> bool {
    host.contains(|c: char| c.is_alphabetic()) && !host.contains([':', '/', '['])
}

/// The name of a host, in lower case. A dot at its end keeps the resolver from its search list.
/// RFC 1123, 2.1, has no underscores, but containers and service registries do, and the DNS takes
/// any label (RFC 2181, 11).
pub fn parse_host_name(text: &str) -> Result<String, String> {
    parse_dns_name(text, "host name").and_then(|name| {
        let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("`{text}` is not a host name: its end is a number"));
        }
        Ok(name)
    })
}

/// The name of SRV records (RFC 2782), in lower case.
pub fn parse_service_name(text: &str) -> Result<String, String> {
    if let Some((name, port)) = text.rsplit_once(':')
        && is_port(port)
    {
        return Err(format!("SRV records have ports of their own: write \"{name}\""));
    }
    parse_dns_name(text, "name of SRV records")
}

fn parse_dns_name(text: &str, what: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        (1..=LABEL_LENGTH_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() > NAME_LENGTH_MAX {
        let length = name.len();
        return Err(format!("this {what} has {length} characters: at most {NAME_LENGTH_MAX}"));
    }
    let shown = text.escape_debug();
    if !text.is_ascii() {
        return Err(format!("`{shown}` is not a {what}: write it in ASCII, as \"xn--…\""));
    }
    if !name.split('.').all(is_label) {
        return Err(format!(
            "`{shown}` is not a {what}: between its dots are 1 to {LABEL_LENGTH_MAX} letters, \
             digits, `-` or `_`, no `-` first or last"
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// `IP:PORT` or `IP:PORT*WEIGHT`.
pub fn parse_weighted_backend(text: &str) -> Result<Backend, String> {
    let (address, weight) = split_weight(text)?;
    Ok(Backend { address: parse_address(address)?, weight })
}

/// `IP:PORT` or `NAME:PORT`, each of them also with `*WEIGHT`.
pub fn parse_backend_entry(text: &str) -> Result<BackendEntry, String> {
    let (address, weight) = split_weight(text)?;
    BackendEntry::parse(address, weight)
}

/// The text before `*WEIGHT`, and the weight; 1 if there is none.
pub(super) fn split_weight(text: &str) -> Result<(&str, u32), String> {
    let (address, weight) = text.split_once('*').unwrap_or((text, "1"));
    let weight = parse_count(weight, 0..=WEIGHT_MAX).map_err(|error| format!("weight {error}"))?;
    Ok((address, weight))
}

/// Refuses backends that all have weight 0.
pub fn check_total_weight(backends: &[Backend]) -> Result<(), String> {
    if backends.iter().all(|backend| backend.weight == 0) {
        return Err("every backend has weight 0: give one a weight of 1 or more".to_owned());
    }
    Ok(())
}
