//! Error codes, and the faults of peers.

use super::guard::Flood;

/// An error code (RFC 9113 §7). Codes that no RFC defines are kept as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

macro_rules! codes {
    ($($number:literal $name:ident $text:literal;)*) => {
        impl ErrorCode {
            $(#[doc = $text] pub const $name: Self = Self($number);)*

            /// Its name in RFC 9113, for logs.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    _ => "UNKNOWN",
                }
            }
        }
    };
}

codes! {
    0x0 NO_ERROR "Not an error: the end of a connection, or of a body that is not needed.";
    0x1 PROTOCOL_ERROR "A violation that has no code of its own.";
    0x2 INTERNAL_ERROR "A failure of the sender, or of what it forwards.";
    0x3 FLOW_CONTROL_ERROR "A window was overrun or overflowed.";
    0x4 SETTINGS_TIMEOUT "Settings were not acknowledged in time.";
    0x5 STREAM_CLOSED "A frame for a stream whose sender had ended it.";
    0x6 FRAME_SIZE_ERROR "A frame of a size that its type does not have.";
    0x7 REFUSED_STREAM "The stream was not processed at all: its request is safe to send again.";
    0x8 CANCEL "The stream is not needed any more.";
    0x9 COMPRESSION_ERROR "The compression of heads is out of step.";
    0xa CONNECT_ERROR "The connection of a tunnel failed.";
    0xb ENHANCE_YOUR_CALM "Far more of something than any use of it needs.";
    0xc INADEQUATE_SECURITY "TLS is below the requirements.";
    0xd HTTP_1_1_REQUIRED "The request is for HTTP/1.1.";
}

/// A violation by the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code that it is answered with.
    pub code: ErrorCode,
    /// For the log, and for the peer's operator.
    pub reason: &'static str,
    /// What there was too much of.
    pub flood: Option<Flood>,
}

impl Fault {
    /// A fault with this code.
    pub(super) const fn of(code: ErrorCode, reason: &'static str) -> Self {
        Self { code, reason, flood: None }
    }

    /// A fault that has no code of its own.
    pub(super) const fn protocol(reason: &'static str) -> Self {
        Self::of(ErrorCode::PROTOCOL_ERROR, reason)
    }

    /// A fault of a window.
    pub(super) const fn flow_control(reason: &'static str) -> Self {
        Self::of(ErrorCode::FLOW_CONTROL_ERROR, reason)
    }

    /// A fault of a frame's size.
    pub(super) const fn frame_size(reason: &'static str) -> Self {
        Self::of(ErrorCode::FRAME_SIZE_ERROR, reason)
    }

    /// A frame for a stream that its sender had ended.
    pub(super) const fn stream_closed(reason: &'static str) -> Self {
        Self::of(ErrorCode::STREAM_CLOSED, reason)
    }

    /// Far more of something than any use needs.
    pub(super) const fn excess(flood: Flood, reason: &'static str) -> Self {
        Self { flood: Some(flood), ..Self::of(ErrorCode::ENHANCE_YOUR_CALM, reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names() {
        assert_eq!(ErrorCode::REFUSED_STREAM, ErrorCode(7));
        assert_eq!(ErrorCode(0xb).name(), "ENHANCE_YOUR_CALM");
        assert_eq!(ErrorCode(0xbad).name(), "UNKNOWN");
    }
}
