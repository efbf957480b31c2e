//! Where a listener of plain HTTP redirects a request to: the same by HTTPS.

use super::target::without_port;
use super::{Method, RequestHead};

/// The port of `https://` URLs without one (RFC 9110 §4.2.2).
const HTTPS_PORT: u16 = 443;

/// Bytes of the longest name of a host (RFC 1035 §2.3.4).
const HOST_BYTES_MAX: usize = 255;

/// The status of the redirection. One that is permanent and keeps the method is younger than some
/// clients, which GET has no need of.
pub fn status(method: Method<'_>) -> u16 {
    if matches!(method.0, b"GET" | b"HEAD") { 301 } else { 308 }
}

/// The URL with this port; none for a request without a host, or for a tunnel. It begins with the
/// scheme, so that no path can be taken for a host.
pub fn location(head: &RequestHead<'_, '_>, port: u16) -> Option<Box<[u8]>> {
    let host = without_port(head.host);
    if host.is_empty() || host.len() > HOST_BYTES_MAX || head.method.is_connect() {
        return None;
    }
    let port = if port == HTTPS_PORT { String::new() } else { format!(":{port}") };
    // A request about the server as a whole has no path in its URL (RFC 9112 §3.2.4).
    let target = if head.target == b"*" { b"" } else { head.target };
    Some([b"https://", host, port.as_bytes(), head.target_start(), target].concat().into())
}
