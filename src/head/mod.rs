//! Heads of messages as parsed parts, whatever protocol they came by, and the rules about their
//! fields that every protocol shares. Borrowed from the bytes that were received.
//!
//! Does not: parse or write bytes of a protocol.

pub mod classes;
mod fields;
pub mod redirect;
mod refusal;
mod request;
mod response;
mod rewrite;
pub mod rules;
pub mod target;
pub mod trailers;
pub mod websocket;

pub use fields::{
    Connection, FieldSet, Found, Kind, Known, content_length, is_forwarding_spelt_with_underscores,
    list, one_length, read as read_fields,
};
pub use refusal::Refusal;
pub use request::{Method, RequestHead};
pub use response::{ResponseHead, ResponseTo};
pub use rewrite::{RequestRewrite, Written};
pub use trailers::{Peer, TrailerRules};

/// A field: its name, a token, and its value.
pub type Field<'b> = httparse::Header<'b>;

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// The version in a start line (RFC 9112 §2.3), and in the access log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }

    /// The version in Via (RFC 9110 §7.6.3).
    pub fn number(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
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
    /// Its end shows its length: it is chunked, or comes in frames.
    Chunked,
}

/// The length of the body of a response (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none.
    None,
    /// This many bytes, at least one.
    Sized(u64),
    /// Its end shows its length: it is chunked, or comes in frames.
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

/// The scheme of a URL (RFC 9110 §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// `http`.
    #[default]
    Http,
    /// `https`.
    Https,
}

impl Scheme {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port of a URL that has none.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The limits of a head, and the URLs that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The scheme of URLs that are served.
    pub scheme: Scheme,
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
            scheme: Scheme::Http,
            head_bytes_max: crate::limits::HEAD_BYTES_MAX,
            fields_max: crate::limits::FIELDS_MAX,
            target_bytes_max: 8 * 1024,
            underscore_names: UnderscoreNames::Drop,
            allow_connect: false,
        }
    }
}
