//! The key of a WebSocket's handshake and its answer (RFC 6455 §4.2.2), which HTTP/2 does not have
//! (RFC 8441 §5): where a tunnel passes from one version to the other, they are added or left out.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The protocol's name in Upgrade and in `:protocol`.
pub const PROTOCOL: &[u8] = b"websocket";
/// The field that has the key of a request.
pub const KEY_FIELD: &str = "Sec-WebSocket-Key";
/// The field that has the answer to it.
pub const ACCEPT_FIELD: &str = "Sec-WebSocket-Accept";

/// What a key is followed by before it is hashed.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The key of a request, as it is written.
pub type Key = [u8; 24];
/// The answer to a key, as it is written.
pub type Accept = [u8; 28];

/// The key that is written for 16 bytes, which are drawn at random for each connection.
pub fn key(nonce: [u8; 16]) -> Key {
    let mut key = Key::default();
    STANDARD.encode_slice(nonce, &mut key).expect("16 bytes take 24 characters");
    key
}

/// The answer to a key, whatever that is.
pub fn accept(key: &[u8]) -> Accept {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    let mut accept = [0; 28];
    STANDARD.encode_slice(hash, &mut accept).expect("20 bytes take 28 characters");
    accept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_rfc_6455_has_it() {
        assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(&key(*b"the sample nonce"), b"dGhlIHNhbXBsZSBub25jZQ==");
    }
}
