//! Addresses and names of backends and listeners, as the file and the flags of the command line
//! write them. Errors are sentences for the user. Does not: look a name up.

use super::backend::{Backend, BackendEntry, BackendName, Lookup};
use super::units::parse_count;
use crate::limits::WEIGHT_MAX;
use std::net::{IpAddr, SocketAddr};

/// Characters of a name (RFC 1035, 2.3.4, without the length bytes), and of one of its labels.
const NAME_LENGTH_MAX: usize = 253;
const LABEL_LENGTH_MAX: usize = 63;

impl BackendEntry {
    /// `IP:PORT` or `NAME:PORT`.
    pub fn parse(text: &str, weight: u32) -> Result<Self, String> {
        let (host, port) = split_port(text);
        if !is_meant_as_name(host) {
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
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(address),
        Err(_) => parse_address(text),
    }
}

/// `IP:PORT`, the port not 0.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return check_backend_address(&address).map(|()| address);
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Err(format!("`{text}` has no port: write \"{}\"", SocketAddr::new(ip, 8080)));
    }
    let (host, port) = split_port(text);
    if host.is_empty() && is_port(port) {
        return Err(format!(
            "`{text}` has no IP address: write \"0.0.0.0:{port}\" for all of them"
        ));
    }
    if host.parse::<IpAddr>().is_ok() {
        return Err(format!("`{text}`: `{port}` is not a port, they go from 1 to 65535"));
    }
    if is_meant_as_name(host) {
        return Err(format!("`{text}`: host names are not supported here, write IP:PORT"));
    }
    Err(format!("`{text}` is not an address: write IP:PORT, as in \"10.0.0.11:8080\""))
}

/// True if two listeners would be in each other's way: they have a port and an address in common,
/// as the one on all addresses and one on a single address of the same port.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_family = one.is_ipv4() == other.is_ipv4();
    let is_all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && is_same_family
        && (is_all || one.ip() == other.ip())
}

/// Whether one can connect to an address: not if its port is 0.
pub fn check_backend_address(address: &SocketAddr) -> Result<(), String> {
    match address.port() {
        0 => Err(format!("`{address}` has port 0: give the port, from 1 to 65535")),
        _ => Ok(()),
    }
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

/// The name of a host (RFC 1123, 2.1), in lower case. A dot at its end keeps the resolver from
/// its search list.
pub fn parse_host_name(text: &str) -> Result<String, String> {
    parse_dns_name(text, "host name", "-").and_then(|name| {
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
    parse_dns_name(text, "name of SRV records", "-_")
}

fn parse_dns_name(text: &str, what: &str, marks: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        (1..=LABEL_LENGTH_MAX).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() > NAME_LENGTH_MAX {
        let length = name.len();
        return Err(format!("this {what} has {length} characters: at most {NAME_LENGTH_MAX}"));
    }
    if !name.split('.').all(is_label) {
        let marks: Vec<String> = marks.chars().map(|mark| format!("`{mark}`")).collect();
        return Err(format!(
            "`{}` is not a {what}: between its dots are 1 to {LABEL_LENGTH_MAX} letters, digits \
             or {}, no `-` first or last",
            text.escape_debug(),
            marks.join(" or ")
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

/// What comes before `*WEIGHT`, and the weight; 1 if there is none.
pub(super) fn split_weight(text: &str) -> Result<(&str, u32), String> {
    let (address, weight) = text.split_once('*').unwrap_or((text, "1"));
    let weight = parse_count(weight, 0..=WEIGHT_MAX).map_err(|error| format!("weight {error}"))?;
    Ok((address, weight))
}

/// Refuses backends that together would get nothing.
pub fn check_total_weight(backends: &[Backend]) -> Result<(), String> {
    if backends.iter().all(|backend| backend.weight == 0) {
        return Err("every backend has weight 0: give one a weight of 1 or more".to_owned());
    }
    Ok(())
}
