//! HTTP/1.1 framing (RFC 9112) as a security boundary: bytes in, verdicts out.
//!
//! httparse splits heads into lines; every rule about their contents is here. Ambiguous input is
//! refused, never repaired. Heads and the sizes of chunks are written anew from the parsed parts;
//! data is forwarded as received, and trailers one by one.
//!
//! Does not: own buffers, know sockets or time, allocate (but for targets that are not UTF-8).

mod address_text;
mod answer;
mod chunked;
mod fields;
mod output;
mod partial;
mod request_head;
mod request_line;
mod request_rewrite;
mod response_head;
mod response_rewrite;
mod trailers;

pub use answer::{Answer, default_body, write_answer};
pub use chunked::{ChunkedDecoder, Progress};
pub use fields::FieldStorage;
pub use partial::Partial;
pub use request_head::leading_line_ends;
pub use request_rewrite::{HostRoom, fill_host_room, host_room, write_request};
pub use response_rewrite::{ConnectionField, ResponseRewrite, write_response, write_switch};
pub use trailers::trailer_fields;

use crate::head::Refusal;

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

impl<T> Verdict<T> {
    /// The same verdict with what `judge` makes of a complete message, which is not moved.
    pub fn map<U>(&self, judge: impl FnOnce(&T) -> U) -> Verdict<U> {
        match self {
            Self::Incomplete => Verdict::Incomplete,
            Self::Complete(message) => Verdict::Complete(judge(message)),
            Self::Refused(refusal) => Verdict::Refused(*refusal),
        }
    }
}

#[cfg(test)]
mod tests;
