//! `[timeouts]`: the longest that each step may take.

use crate::config::keys::kinds::duration;
use crate::config::keys::section;
use crate::config::values::{parse_span, parse_timeout};
use std::time::Duration;

section! {
    /// `[timeouts]`. Each is between 1 ms and 7 days.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Timeouts {
        /// Until a backend has accepted a connection.
        connect: Duration = Duration::from_secs(2) => duration(parse_timeout),
        /// Until the head of a request is complete: from its first byte, or, for the first request
        /// of a connection, from when the connection was accepted.
        request_head: Duration = Duration::from_secs(10) => duration(parse_timeout),
        /// Between two requests on a client connection, and for an idle upstream connection.
        idle: Duration = Duration::from_secs(60) => duration(parse_timeout),
        /// Between two arrivals within a message, and until the head of a response.
        between_bytes: Duration = Duration::from_secs(30) => duration(parse_timeout),
        /// Without a byte in either direction of an upgraded connection, or of one that is
        /// forwarded unread.
        tunnel: Duration = Duration::from_secs(3600) => duration(parse_timeout),
        /// The same once one side has ended its direction.
        half_closed: Duration = Duration::from_secs(30) => duration(parse_timeout),
        /// For exchanges in flight when the process is ordered to end.
        drain: Duration = Duration::from_secs(30) => duration(parse_timeout),
        /// At the beginning of a drain: everything is served, and every answer says that its
        /// connection closes. May be zero.
        lame_duck: Duration = Duration::from_secs(10) => duration(parse_span),
        /// After that, when clients should have moved: connections are still accepted. May be
        /// zero.
        linger: Duration = Duration::from_secs(3) => duration(parse_span),
    }
}
