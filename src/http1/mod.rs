//! HTTP/1.1 framing (RFC 9112) as a security boundary: bytes in, verdicts out.
//!
//! httparse splits heads into lines; every rule about their contents is here. Ambiguous input is
//! refused, never repaired. Forwarded heads are rewritten from the parsed parts; chunks are checked
//! and forwarded as received, without their extensions, and trailers one by one.
//!
//! Does not: own buffers, know sockets or time, allocate (but for targets that are not UTF-8).

mod answer;
mod chunked;
mod classes;
mod fields;
mod output;
mod refusal;
mod request_head;
mod request_line;
mod request_rewrite;
mod response_head;
mod response_rewrite;
mod target;
mod trailers;

pub use answer::{Answer, default_body, write_answer};
pub use chunked::{ChunkedDecoder, Passing, Progress};
pub use fields::FieldStorage;
pub use refusal::Refusal;
pub use request_head::{RequestHead, leading_line_ends};
pub use request_line::Method;
pub use request_rewrite::{HostRoom, RequestRewrite, fill_host_room, host_room, write_request};
pub use response_head::{ResponseHead, ResponseTo};
pub use response_rewrite::{ConnectionField, ResponseRewrite, write_response};
pub use trailers::{Peer, TrailerRules};

/// The result of parsing a message whose head may be incomplete.
#[derive(Debug)]
pub enum Verdict<T> {
    /// Valid so far, incomplete.
    Incomplete,
    /// Complete and valid.
    Complete(T),
    /// It must be refused.
    Refused(Refusal),
}

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

impl Version {
    /// The version in a start line (RFC 9112 §2.3).
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// The length of the body of a request (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// This many bytes, at least one.
    Sized(u64),
    /// It is chunked.
    Chunked,
}

/// The length of the body of a response (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none.
    None,
    /// This many bytes, at least one.
    Sized(u64),
    /// It is chunked.
    Chunked,
    /// It ends with the stream.
    UntilClose,
}

/// The treatment of fields whose name has an underscore, which some backends take for a dash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnderscoreNames {
    /// They are not forwarded.
    #[default]
    Drop,
    /// Their request is refused.
    Reject,
    /// They are forwarded.
    Allow,
}

/// The limits of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Longest head, bytes.
    pub head_bytes_max: usize,
    /// Most fields.
    pub fields_max: usize,
    /// Longest request target, bytes.
    pub target_bytes_max: usize,
    /// See [`UnderscoreNames`]; holds for requests.
    pub underscore_names: UnderscoreNames,
    /// CONNECT is accepted and goes to a backend.
    pub allow_connect: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            head_bytes_max: crate::limits::HEAD_BYTES_MAX,
            fields_max: crate::limits::FIELDS_MAX,
            target_bytes_max: 8 * 1024,
            underscore_names: UnderscoreNames::Drop,
            allow_connect: false,
        }
    }
}

#[cfg(test)]
mod tests;
