//! The PROXY protocol header of a connection without a client: a probe's. Pure. Does not: describe
//! a client; that header is the data plane's.

use crate::config::ProxyProtocol;
use crate::proxy_protocol::{LOCAL_V2, UNKNOWN_V1};

/// The header that a probe sends first; empty without the protocol. Version 1 has no word for a
/// health check; for UNKNOWN the receiver uses the connection's own addresses.
pub fn proxy_header(version: ProxyProtocol) -> &'static [u8] {
    match version {
        ProxyProtocol::None => b"",
        ProxyProtocol::V1 => UNKNOWN_V1,
        ProxyProtocol::V2 => LOCAL_V2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_is_a_line_of_unknown() {
        assert_eq!(proxy_header(ProxyProtocol::V1), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn version_2_is_local_and_ends_with_its_fixed_part() {
        let header = proxy_header(ProxyProtocol::V2);
        let signature = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A];
        assert_eq!(header[..12], signature);
        assert_eq!(header[12] >> 4, 2, "version");
        assert_eq!(header[12] & 0x0F, 0, "LOCAL");
        assert_eq!(header[13], 0, "AF_UNSPEC");
        assert_eq!(usize::from(u16::from_be_bytes([header[14], header[15]])), header.len() - 16);
    }

    #[test]
    fn nothing_is_sent_without_the_protocol() {
        assert!(proxy_header(ProxyProtocol::None).is_empty());
    }
}
