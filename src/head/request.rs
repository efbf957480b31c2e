//! The head of a request.

use super::fields::{self, Connection, FieldSet};
use super::{BodyLength, Field, Version};

/// A method (RFC 9110 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method<'b>(pub &'b [u8]);

impl Method<'_> {
    /// HEAD: its response has no body.
    pub fn is_head(self) -> bool {
        self.0 == b"HEAD"
    }

    /// CONNECT: it requests a tunnel.
    pub fn is_connect(self) -> bool {
        self.0 == b"CONNECT"
    }

    /// True if the same request may be sent twice (RFC 9110 §9.2.2).
    pub fn is_idempotent(self) -> bool {
        matches!(self.0, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE")
    }
}

/// The parsed head of a request.
#[derive(Debug)]
pub struct RequestHead<'b, 's> {
    /// Its bytes, with the empty line; 0 in HTTP/2, whose heads are not in a buffer.
    pub length: usize,
    /// Its method.
    pub method: Method<'b>,
    /// The target as it is forwarded behind [`RequestHead::target_start`]: origin-form, `*`, or the
    /// authority of CONNECT.
    pub target: &'b [u8],
    /// The path of the target, without query.
    pub path: &'b [u8],
    /// The authority: of Host, or of the target, which agree. Empty for an HTTP/1.0 request without
    /// either.
    pub host: &'b [u8],
    /// Its version.
    pub version: Version,
    /// The length of its body.
    pub body: BodyLength,
    /// The client keeps its connection.
    pub keep_alive: bool,
    /// The client waits for 100 (Continue) before it sends the body.
    pub expects_continue: bool,
    /// The protocol of the client's Upgrade, or of its extended CONNECT (RFC 8441).
    pub upgrade: Option<&'b [u8]>,
    /// All fields, in their order.
    pub fields: &'s [Field<'b>],
    /// Those that are not forwarded as they are.
    pub dropped: FieldSet,
    /// Those that must not enter a compression table (RFC 7541 §7.1.3).
    pub never_indexed: FieldSet,
    /// The options of Connection.
    pub connection: Connection,
    /// There is a field about the client.
    pub has_forwarded: bool,
    /// There is a Via.
    pub has_via: bool,
    /// The client accepts trailers, as it states.
    pub accepts_trailers: bool,
}

impl<'b> RequestHead<'b, '_> {
    /// All names in Connection, if any is not `close`, `keep-alive` or `upgrade`.
    pub fn named_by_connection(&self) -> impl Iterator<Item = &[u8]> {
        fields::named_by_connection(self.fields, self.connection)
    }

    /// The start of the target where it is forwarded: `/` before a query alone.
    pub fn target_start(&self) -> &'static [u8] {
        if self.target.first() == Some(&b'?') { b"/" } else { b"" }
    }

    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        let mut fields = self.fields.iter();
        fields.find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }
}
