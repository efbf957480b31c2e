//! Why a header of the PROXY protocol is refused.

use std::fmt;

/// The rule that the first bytes of a connection break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Neither signature (section 2.2, at its end).
    NoHeader,
    /// Section 2.1: the line ends within [`crate::limits::PROXY_V1_BYTES_MAX`].
    LineTooLong,
    /// Section 2.1: a line feed alone ends no line.
    LineEnd,
    /// Section 2.1: TCP4, TCP6 and UNKNOWN, in capital letters.
    LineProtocol,
    /// Section 2.1: six words, one space between them.
    LineWords,
    /// Section 2.1: of the family that the line states, in its usual form.
    LineAddress,
    /// Section 2.1: 0 to 65535 without leading zeros.
    LinePort,
    /// Section 2.2: version 2.
    Version,
    /// Section 2.2: LOCAL or PROXY.
    Command,
    /// Section 2.2: unspecified, IPv4, IPv6, UNIX; unspecified, stream, datagram.
    Family,
    /// Section 2.2: the addresses of that family are longer than all that follows.
    AddressesTooShort,
    /// Section 2.2: a TLV is longer than what is left of the header.
    TlvTooLong,
    /// Section 2.2.3: the checksum is 4 bytes, once.
    ChecksumForm,
    /// Section 2.2.3: the header was changed on its way.
    ChecksumWrong,
}

impl Fault {
    /// A clause for logs, without a full stop.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoHeader => "the connection does not begin with a PROXY protocol header",
            Self::LineTooLong => "the PROXY line does not end within 107 bytes",
            Self::LineEnd => "the PROXY line ends without carriage return",
            Self::LineProtocol => "the PROXY line has a protocol other than TCP4, TCP6, UNKNOWN",
            Self::LineWords => "the PROXY line does not have six words with one space between",
            Self::LineAddress => "an address in the PROXY line is not one of its protocol",
            Self::LinePort => "a port in the PROXY line is not a decimal number below 65536",
            Self::Version => "the version of the PROXY protocol header is not 2",
            Self::Command => "the command of the PROXY protocol header is not LOCAL or PROXY",
            Self::Family => "the PROXY protocol header has an undefined family or transport",
            Self::AddressesTooShort => {
                "the PROXY protocol header is too short for addresses of its family"
            }
            Self::TlvTooLong => "a TLV is longer than the PROXY protocol header",
            Self::ChecksumForm => {
                "the PROXY protocol header has a checksum twice or not of 4 bytes"
            }
            Self::ChecksumWrong => "the checksum of the PROXY protocol header is wrong",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
