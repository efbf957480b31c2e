//! HTTP/1.1 framing (RFC 9112) as a security boundary: bytes in, verdicts out.
//!
//! httparse splits heads into lines; every rule about what they may be is here. What is ambiguous
//! is refused, never repaired. Heads that go on are written anew from what was understood; chunks
//! are checked and go on as they came, without their extensions, and trailers one by one.
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
pub use request_rewrite::{RequestRewrite, fill_host_room, host_room, write_request};
pub use response_head::{ResponseHead, ResponseTo};
pub use response_rewrite::{ConnectionField, ResponseRewrite, write_response};
pub use trailers::{Peer, TrailerRules};

/// What is known of a message whose head may not have come whole.
#[derive(Debug)]
pub enum Verdict<T> {
    /// It is well so far, and not whole.
    Incomplete,
    /// It is whole and well.
    Complete(T),
    /// It must not be taken.
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
    /// As a start line has it (RFC 9112 §2.3).
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// How long the body of a request is (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// So many bytes, at least one.
    Sized(u64),
    /// It comes in chunks.
    Chunked,
}

/// How long the body of a response is (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none.
    None,
    /// So many bytes, at least one.
    Sized(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the stream.
    UntilClose,
}

/// What is done with fields whose name has an underscore, which some backends take for a dash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnderscoreNames {
    /// They are left out of what is forwarded.
    #[default]
    Drop,
    /// Their request is refused.
    Reject,
    /// They are forwarded.
    Allow,
}

/// What a head may look like.
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
    /// CONNECT is taken and goes to a backend.
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
