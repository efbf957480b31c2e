//! The head of a response.

use super::fields::{self, Connection, FieldSet};
use super::{Field, ResponseBody, Version};
use std::time::Duration;

/// The part of the request that decides the length of the response's body.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseTo {
    /// It was HEAD.
    pub head: bool,
    /// It was CONNECT.
    pub connect: bool,
}

/// The parsed head of a response.
#[derive(Debug)]
pub struct ResponseHead<'b, 's> {
    /// Its bytes, with the empty line; 0 in HTTP/2, whose heads are not in a buffer.
    pub length: usize,
    /// 100 to 999; clients take those from 600 on for server errors (RFC 9110 §15).
    pub status: u16,
    /// Its version.
    pub version: Version,
    /// The length of its body.
    pub body: ResponseBody,
    /// The backend keeps its connection.
    pub keep_alive: bool,
    /// The backend closes its connection after this time without a request, as it states.
    pub idle_timeout: Option<Duration>,
    /// The protocol that the backend switches to.
    pub upgrade: Option<&'b [u8]>,
    /// The reason phrase.
    pub reason: &'b [u8],
    /// All fields, in their order.
    pub fields: &'s [Field<'b>],
    /// Those that are not forwarded as they are.
    pub dropped: FieldSet,
    /// Those that must not enter a compression table (RFC 7541 §7.1.3).
    pub never_indexed: FieldSet,
    /// There is an Upgrade among them.
    pub has_upgrade: bool,
    /// The options of Connection.
    pub connection: Connection,
    /// Content-Length.
    pub content_length: Option<u64>,
    /// Transfer-Encoding states that it is chunked, whether there is a body or not.
    pub is_chunked: bool,
}

impl ResponseHead<'_, '_> {
    /// All names in Connection, if any is not `close`, `keep-alive` or `upgrade`.
    pub fn named_by_connection(&self) -> impl Iterator<Item = &[u8]> {
        fields::named_by_connection(self.fields, self.connection)
    }
}
