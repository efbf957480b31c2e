//! `[http]`: rules of forwarding.

use crate::config::choices::{Connect, HalfClose};
use crate::config::keys::kinds::{size, text, texts, word};
use crate::config::keys::section;
use crate::config::network::IpNetwork;
use crate::config::values::is_token;
use crate::head::UnderscoreNames;
use crate::limits::HEAD_BYTES_MAX;

const HEAD_BYTES_LEAST: usize = 1024;

section! {
    /// `[http]`: rules of forwarding.
    #[derive(Clone, Debug, PartialEq)]
    Http {
        /// Fields with `_` in their name, which CGI and WSGI take for the name with `-`.
        underscore_names: UnderscoreNames = UnderscoreNames::Drop => word(),
        /// Ringway's name in the Via field (RFC 9110, 7.6.3); empty: no Via field.
        via: String = String::new() => text(parse_pseudonym),
        /// Proxies whose X-Forwarded-* fields are trusted and kept, and, on listeners of every
        /// protocol that require it, their PROXY protocol header.
        trusted_proxies: Vec<IpNetwork> = Vec::new() => texts(str::parse),
        /// Protocols, in lower case, that a client may upgrade to. Empty: none.
        upgrade_protocols: Vec<String> = vec!["websocket".to_owned()] => texts(parse_protocol),
        /// The policy for CONNECT.
        connect: Connect = Connect::Refuse => word(),
        /// The meaning of a client's end of stream after its request.
        half_close: HalfClose = HalfClose::Allow => word(),
        /// Bytes of a head, the empty line included.
        head_bytes_max: usize = HEAD_BYTES_MAX => size(HEAD_BYTES_LEAST..=HEAD_BYTES_MAX),
        /// Bytes of a request's body; 0: no limit.
        request_body_max: u64 = 0 => size(0..=u64::MAX),
    }
}

fn parse_pseudonym(text: &str) -> Result<String, String> {
    if text.is_empty() || is_token(text) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` cannot stand in a Via field: use letters, digits, `-`", text.escape_debug()))
}

fn parse_protocol(text: &str) -> Result<String, String> {
    if is_token(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("`{}` is not a protocol: write it like \"websocket\"", text.escape_debug()))
}
