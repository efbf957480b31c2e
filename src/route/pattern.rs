//! Patterns of hosts and paths, as a route has them.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Hosts that a route is for. Held in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Every host, also none.
    #[default]
    Any,
    /// None: a client of TLS that names no server.
    Unnamed,
    /// This name or address; an IPv6 address is in brackets.
    Exact(String),
    /// Every name below this one, at any depth; held without the `*.`.
    Below(String),
}

/// Bytes of the longest name (RFC 1035, 2.3.4).
pub(super) const HOST_BYTES_MAX: usize = 255;

impl FromStr for HostPattern {
    type Err = String;

    /// `shop.example.com`, `*.example.com`, `192.0.2.1`, `[::1]`; empty: none. The error is a
    /// sentence for the user.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::Unnamed);
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            return Ok(Self::Exact(format!("[{address}]")));
        }
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        match name.strip_prefix("*.") {
            Some(parent) => check_name(text, parent).map(|()| Self::Below(parent.to_owned())),
            None if name == "*" => {
                Err("`*` alone is not a host: leave `host` out to match any host".to_owned())
            }
            None => check_name(text, name).map(|()| Self::Exact(name.to_owned())),
        }
    }
}

/// Letters, digits, `-` and `_` in labels of 1 to 63 bytes.
fn check_name(text: &str, name: &str) -> Result<(), String> {
    if name.contains('*') {
        return Err(format!(
            "`{text}`: a `*` can only stand for the whole first label, as in \
            \"*.example.com\""
        ));
    }
    if name.contains("://") {
        return Err(format!("`{text}` is a URL: write the host alone, as in \"shop.example.com\""));
    }
    if let Some((host, _)) = name.split_once(':') {
        return Err(format!("`{text}` has a port: write \"{host}\", a route counts on any port"));
    }
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() > HOST_BYTES_MAX - 2 || !name.split('.').all(label_fits) {
        return Err(format!(
            "`{text}` is not a host name: write it like \"shop.example.com\" or \
            \"*.example.com\""
        ));
    }
    Ok(())
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Unnamed => Ok(()),
            Self::Exact(name) => f.write_str(name),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// Checks a path prefix. The error is a sentence for the user. Valid are `/` and a text that begins
/// with `/`, does not end with it, and could stand in a request (RFC 3986, 3.3).
pub fn check_path_prefix(path: &str) -> Result<(), String> {
    if path == "/" {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err(format!("`{path}` does not begin with `/`: did you mean \"/{path}\"?"));
    }
    if let Some(shorter) = path.strip_suffix('/') {
        return Err(format!(
            "`{path}` ends with `/`: write \"{}\", it matches that and everything below it",
            if shorter.is_empty() { "/" } else { shorter }
        ));
    }
    if let Some(prefix) = path.strip_suffix("/*") {
        let prefix = if prefix.is_empty() { "/" } else { prefix };
        return Err(format!("`{path}`: a path is a prefix already, write \"{prefix}\""));
    }
    if let Some(wrong) = path.chars().find(|c| !c.is_ascii_graphic() || "?#\"<>\\^`{}".contains(*c))
    {
        return Err(format!("`{path}` has `{}`, which no path can have", wrong.escape_default()));
    }
    Ok(())
}
