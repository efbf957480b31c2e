//! Rewriting heads: the parsed parts of a request or a response are written again for the other
//! side. Pure: bytes in, bytes and a verdict out.

use super::body::Body;
use super::draft::Draft;
use super::recording::Denial;
use crate::http1::{
    BodyLength, ChunkedDecoder, ConnectionField, FieldStorage, Passing, Peer, Refusal, RequestHead,
    RequestRewrite, ResponseBody, ResponseHead, ResponseRewrite, ResponseTo, TrailerRules,
    UnderscoreNames, Verdict, Version, host_room, write_request, write_response,
};
use crate::snapshot::{Listener, Snapshot, Target};
use crate::stats::CloseReason;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// This long before a backend closes an idle connection, it is not reused: a request that crosses
/// the end of its connection is lost.
const IDLE_SPARE: Duration = Duration::from_secs(1);

/// The reason for 413 (Content Too Large).
pub(super) const BODY_TOO_LARGE: &str = "the body is larger than `request_body_max`";
/// The reason for refusing a message whose head fits no buffer.
const HEAD_GROWS: &str = "the head is too large once it is rewritten";

/// The configuration and the client's side that a request's head is checked against.
pub(super) struct RequestSide<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// None if it never was in a snapshot of this shard.
    pub(super) listener: Option<&'a Listener>,
    pub(super) client: IpAddr,
}

/// A request whose head was rewritten.
pub(super) struct Request {
    /// Bytes of the head that was read.
    pub(super) head_length: usize,
    /// Bytes of the head that was written.
    pub(super) written: usize,
    /// See [`host_room`].
    pub(super) host_room: Option<Range<usize>>,
    pub(super) body: Body,
    pub(super) target: Target,
    pub(super) keep_alive: bool,
    pub(super) version: Version,
    pub(super) is_idempotent: bool,
    pub(super) is_head: bool,
    pub(super) is_connect: bool,
    pub(super) upgrade: Option<Arc<[u8]>>,
    pub(super) draft: Option<Box<Draft>>,
}

/// A request that is answered locally.
pub(super) struct Local {
    pub(super) head_length: usize,
    pub(super) version: Version,
    pub(super) is_head: bool,
    /// The request has no body and the connection can be kept.
    pub(super) keep_alive: bool,
    pub(super) denial: Denial,
}

pub(super) enum RequestOutcome {
    Incomplete,
    Refused(Refusal, Option<Box<Draft>>),
    Local(Local),
    /// The new head does not fit the output; the answer in case there is no larger one.
    NoRoom(Local),
    Forward(Request),
}

/// Reads a request's head from `input` and writes the one for the backend to `output`.
pub(super) fn request(input: &[u8], output: &mut [u8], side: &RequestSide<'_>) -> RequestOutcome {
    let settings = &side.snapshot.settings;
    let mut storage = FieldStorage::new();
    let head = match RequestHead::parse(input, &mut storage, &settings.rules) {
        Verdict::Incomplete => return RequestOutcome::Incomplete,
        Verdict::Refused(refusal) => {
            let draft = settings.has_access_log.then(|| Box::new(Draft::of_part(input)));
            return RequestOutcome::Refused(refusal, draft);
        }
        Verdict::Complete(head) => head,
    };
    let draft = settings.has_access_log.then(|| Box::new(Draft::of(&head)));
    let denied = |status, text, draft| Local {
        head_length: head.length,
        version: head.version,
        is_head: head.method.is_head(),
        keep_alive: head.keep_alive && head.body == BodyLength::None,
        denial: Denial { status, reason: CloseReason::RequestRefused, text, draft },
    };
    let local = |status, text, draft| RequestOutcome::Local(denied(status, text, draft));
    let route = side.listener.and_then(|listener| listener.routes.lookup(head.host, head.path));
    let Some(target) = route else {
        return local(404, "there is no route for this host and path", draft);
    };
    if let (Some(max), BodyLength::Sized(bytes)) = (settings.request_body_bytes_max, head.body)
        && bytes > max
    {
        return local(413, BODY_TOO_LARGE, draft);
    }
    let upgrade = head.upgrade.and_then(|asked| allowed_upgrade(side.snapshot, asked));
    let mut trusted = settings.trusted_proxies.iter();
    let rewrite = RequestRewrite {
        client: side.client,
        client_is_trusted_proxy: trusted.any(|network| network.contains(side.client)),
        proto: "http",
        via: settings.via.as_deref(),
        forward_upgrade: upgrade.is_some(),
    };
    let Some(written) = write_request(&head, &rewrite, output) else {
        return RequestOutcome::NoRoom(denied(431, HEAD_GROWS, draft));
    };
    RequestOutcome::Forward(Request {
        head_length: head.length,
        written,
        host_room: host_room(&head),
        body: request_body(&head, settings.rules.underscore_names),
        target,
        keep_alive: head.keep_alive,
        version: head.version,
        is_idempotent: head.method.is_idempotent(),
        is_head: head.method.is_head(),
        is_connect: head.method.is_connect(),
        upgrade,
        draft,
    })
}

/// The requested protocol, if sessions may change to it.
fn allowed_upgrade(snapshot: &Snapshot, asked: &[u8]) -> Option<Arc<[u8]>> {
    let mut allowed = snapshot.settings.upgrade_protocols.iter();
    allowed.find(|allowed| is_protocol(asked, allowed)).cloned()
}

/// True if a protocol has this name. The version behind a slash is not compared.
fn is_protocol(protocol: &[u8], name: &[u8]) -> bool {
    let before_version = protocol.split(|byte| *byte == b'/').next().unwrap_or(protocol);
    before_version.eq_ignore_ascii_case(name)
}

/// The state that a response's head is checked against.
pub(super) struct ResponseSide<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) version: Version,
    pub(super) is_head: bool,
    pub(super) is_connect: bool,
    /// The protocol of the client's Upgrade, if it is allowed.
    pub(super) upgrade: Option<&'a [u8]>,
    /// The request and the process allow that the client's connection is kept.
    pub(super) keep_alive: bool,
}

/// A response whose final head was rewritten.
pub(super) struct Response {
    pub(super) head_length: usize,
    pub(super) written: usize,
    pub(super) status: u16,
    pub(super) body: Body,
    /// The client's connection is kept after it.
    pub(super) keep_alive: bool,
    /// How long the backend's connection may be kept unused after it, as the backend states; none
    /// if it may not be kept.
    pub(super) upstream_idle_max: Option<Duration>,
}

pub(super) enum ResponseOutcome {
    Incomplete,
    Refused(Refusal),
    /// A message that a backend must not answer this request with, and the reason.
    Unexpected(&'static str),
    /// A 1xx response; a final one follows. `written` is 0 if the client must not see it.
    Interim {
        head_length: usize,
        written: usize,
    },
    /// 101, or 2xx to CONNECT: bytes are forwarded both ways from here on.
    Switch {
        head_length: usize,
        written: usize,
        status: u16,
    },
    Final(Response),
}

/// Reads a response's head from `input` and writes the one for the client to `output`.
pub(super) fn response(
    input: &[u8],
    output: &mut [u8],
    side: &ResponseSide<'_>,
) -> ResponseOutcome {
    let settings = &side.snapshot.settings;
    let mut storage = FieldStorage::new();
    let asked = ResponseTo { head: side.is_head, connect: side.is_connect };
    let head = match ResponseHead::parse(input, &mut storage, asked, &settings.rules) {
        Verdict::Incomplete => return ResponseOutcome::Incomplete,
        Verdict::Refused(refusal) => return ResponseOutcome::Refused(refusal),
        Verdict::Complete(head) => head,
    };
    let head_length = head.length;
    let write = |connection, body_unframed, output: &mut [u8]| {
        let rewrite = ResponseRewrite { connection, via: settings.via.as_deref(), body_unframed };
        write_response(&head, &rewrite, output)
    };
    // A backend must not change to a protocol that was not requested (RFC 9110 §7.8).
    let is_asked = |protocol| side.upgrade.is_some_and(|asked| is_protocol(protocol, asked));
    match head.status {
        101 if head.upgrade.is_some_and(is_asked) => {
            match write(ConnectionField::Upgrade, false, output) {
                Some(written) => ResponseOutcome::Switch { head_length, written, status: 101 },
                None => ResponseOutcome::Unexpected(HEAD_GROWS),
            }
        }
        101 => ResponseOutcome::Unexpected("it changes to a protocol that was not asked for"),
        100..=199 if side.version == Version::Http10 => {
            ResponseOutcome::Interim { head_length, written: 0 }
        }
        100..=199 => match write(ConnectionField::None, false, output) {
            Some(written) => ResponseOutcome::Interim { head_length, written },
            None => ResponseOutcome::Unexpected(HEAD_GROWS),
        },
        status @ 200..=299 if side.is_connect => {
            match write(ConnectionField::None, false, output) {
                Some(written) => ResponseOutcome::Switch { head_length, written, status },
                None => ResponseOutcome::Unexpected(HEAD_GROWS),
            }
        }
        status => {
            // HTTP/1.0 has no chunks; that also holds for a response without a body to show them.
            let is_unframed = side.version == Version::Http10 && head.is_chunked;
            let has_end = !(is_unframed && head.body == ResponseBody::Chunked);
            let keep_alive = side.keep_alive && has_end && head.body != ResponseBody::UntilClose;
            let connection = ConnectionField::of(keep_alive, side.version);
            match write(connection, is_unframed, output) {
                None => ResponseOutcome::Unexpected(HEAD_GROWS),
                Some(written) => ResponseOutcome::Final(Response {
                    head_length,
                    written,
                    status,
                    body: response_body(&head, is_unframed),
                    keep_alive,
                    upstream_idle_max: upstream_idle_max(&head),
                }),
            }
        }
    }
}

/// See [`Response::upstream_idle_max`].
fn upstream_idle_max(head: &ResponseHead<'_, '_>) -> Option<Duration> {
    let idle_max = match head.idle_timeout {
        Some(timeout) => timeout.saturating_sub(IDLE_SPARE),
        None => Duration::MAX,
    };
    (head.keep_alive && !idle_max.is_zero()).then_some(idle_max)
}

fn request_body(head: &RequestHead<'_, '_>, underscore_names: UnderscoreNames) -> Body {
    match head.body {
        BodyLength::None => Body::ENDED,
        BodyLength::Sized(bytes) => Body::Sized(bytes),
        BodyLength::Chunked => {
            let named_by_connection = join_names(head.named_by_connection());
            let from = Peer::Client;
            let rules = TrailerRules { from, underscore_names, named_by_connection };
            Body::Chunked(ChunkedDecoder::new(Passing::Chunks(rules)))
        }
    }
}

fn response_body(head: &ResponseHead<'_, '_>, is_unframed: bool) -> Body {
    match head.body {
        ResponseBody::None => Body::ENDED,
        ResponseBody::Sized(bytes) => Body::Sized(bytes),
        ResponseBody::Chunked if is_unframed => {
            Body::Chunked(ChunkedDecoder::new(Passing::Content))
        }
        ResponseBody::Chunked => {
            let rules = TrailerRules {
                from: Peer::Backend,
                underscore_names: UnderscoreNames::Drop,
                named_by_connection: join_names(head.named_by_connection()),
            };
            Body::Chunked(ChunkedDecoder::new(Passing::Chunks(rules)))
        }
        ResponseBody::UntilClose => Body::UntilClose,
    }
}

/// The names in Connection are kept until the trailers arrive; there are hardly ever any.
fn join_names<'h>(names: impl Iterator<Item = &'h [u8]>) -> Option<Box<[u8]>> {
    let named = names.collect::<Vec<_>>().join(&b","[..]);
    (!named.is_empty()).then(|| named.into())
}
