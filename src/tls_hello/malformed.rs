//! Why a ClientHello is malformed.

use std::fmt;

/// The rule that the first bytes of a TLS connection break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// RFC 8446 §5.1: 1 to 16,384 bytes.
    RecordLength,
    /// RFC 8446 §5.1: no other record comes between those of a handshake message.
    RecordBetween,
    /// The first handshake message is of another type.
    NotClientHello,
    /// The bound is [`crate::limits::TLS_HELLO_BYTES_MAX`].
    TooLong,
    /// RFC 8446 §4.1.2.
    Lengths,
    /// RFC 8446 §4.2; only the extensions that are read here are compared.
    ExtensionTwice,
    /// RFC 6066 §3: the list of names has at least one.
    NoServerName,
    /// RFC 6066 §3: at most one name of a type.
    TwoServerNames,
    /// The name has bytes that no host name has, an empty label, or too many bytes.
    ServerName,
    /// RFC 7301 §3.1: at least one protocol, none of them empty.
    Alpn,
}

impl Malformed {
    /// A clause for logs, without a full stop.
    pub fn text(self) -> &'static str {
        match self {
            Self::RecordLength => "a TLS record is empty or longer than 16,384 bytes",
            Self::RecordBetween => {
                "a record of another type comes before the end of the ClientHello"
            }
            Self::NotClientHello => "the first handshake message is not a ClientHello",
            Self::TooLong => "the ClientHello does not end within 64 KiB",
            Self::Lengths => "a length in the ClientHello contradicts the length around it",
            Self::ExtensionTwice => "the ClientHello has server_name or ALPN twice",
            Self::NoServerName => "the extension server_name has no name",
            Self::TwoServerNames => "the extension server_name has two host names",
            Self::ServerName => "the server name is not a host name",
            Self::Alpn => "the extension ALPN is empty or has an empty protocol name",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
