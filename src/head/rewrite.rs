//! The parameters of a request's rewritten head.

use super::websocket;
use std::borrow::Cow;
use std::net::IpAddr;

/// A field that is written as it is: its name and value.
pub type Written = (&'static str, Cow<'static, str>);

/// The parameters of a request's rewritten head.
#[derive(Clone, Copy, Debug)]
pub struct RequestRewrite<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// Its X-Forwarded-*, X-Real-IP and Forwarded fields are trusted.
    pub client_is_trusted_proxy: bool,
    /// For X-Forwarded-Proto.
    pub proto: &'a str,
    /// The proxy's name in Via (RFC 9110 §7.6.3); none to add no such field.
    pub via: Option<&'a [u8]>,
    /// What the client's certificate says.
    pub client_certificate: &'a [Written],
    /// The client's Upgrade is forwarded.
    pub forward_upgrade: bool,
    /// The key of a WebSocket whose client speaks HTTP/2, which has none.
    pub websocket_key: Option<websocket::Key>,
}
