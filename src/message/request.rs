//! Judging the head of a request, and writing it anew for the backend.

use super::{Body, Draft};
use crate::head::{
    BodyLength, Peer, RequestHead, RequestRewrite, Scheme, UnderscoreNames, Version, Written,
    redirect, websocket,
};
use crate::http1::{ChunkedDecoder, HostRoom, host_room, write_request};
use crate::snapshot::{
    Challenges, KeyHash, Listener, Pool, Protocol, Snapshot, Target, UpgradeProtocol,
};
use crate::stats::CloseReason;
use std::net::IpAddr;
use std::sync::Arc;

/// The reason for 413 (Content Too Large).
pub const BODY_TOO_LARGE: &str = "the body is larger than `request_body_max`";
/// The reason for refusing a message whose head fits no buffer.
pub(super) const HEAD_GROWS: &str = "the head is too large once it is rewritten";

const UNKNOWN_PROTOCOL: &str = "tunnels of this protocol are not allowed: see `upgrade_protocols`";
const NO_ROUTE: &str = "there is no route for this host and path";

/// The configuration and the client's side that a request's head is checked against.
pub struct RequestSide<'a> {
    /// The snapshot in force.
    pub snapshot: &'a Snapshot,
    /// None if it never was in a snapshot of this shard.
    pub listener: Option<&'a Listener>,
    /// The client's address.
    pub client: IpAddr,
    /// The scheme of URLs that are served on the client's connection.
    pub scheme: Scheme,
    /// What the client's certificate says.
    pub client_certificate: &'a [Written],
    /// Drawn at random, for the key of a WebSocket whose client speaks HTTP/2.
    pub nonce: [u8; 16],
}

/// A request whose head was rewritten.
pub struct Request {
    /// Bytes of the head that was read.
    pub head_length: usize,
    /// Bytes of the head that was written.
    pub written: usize,
    /// See [`host_room`].
    pub host_room: Option<HostRoom>,
    /// What remains of its body.
    pub body: Body,
    /// Where its route leads.
    pub target: Target,
    /// The hash of its key, if its pool picks by a part of requests and it has that.
    pub key: Option<KeyHash>,
    /// The client keeps its connection.
    pub keep_alive: bool,
    /// The client's version.
    pub version: Version,
    /// The method may be sent twice (RFC 9110 §9.2.2).
    pub is_idempotent: bool,
    /// HEAD: the response has no body whatever its head states.
    pub is_head: bool,
    /// CONNECT: a 2xx response opens a tunnel.
    pub is_connect: bool,
    /// The client accepts trailers, as it states.
    pub accepts_trailers: bool,
    /// The client's Upgrade, if it is allowed.
    pub upgrade: Option<Box<Upgrade>>,
    /// For the access log, if there is one.
    pub draft: Option<Box<Draft>>,
}

/// An Upgrade that is forwarded.
#[derive(Debug)]
pub struct Upgrade {
    /// The protocol.
    pub protocol: Arc<UpgradeProtocol>,
    /// The answer to the key of a WebSocket whose backend may speak HTTP/2, and gives none then.
    pub websocket_accept: Option<websocket::Accept>,
}

/// A local answer to a request that goes to no backend.
pub struct Denial {
    /// The status of the answer.
    pub status: u16,
    /// The reason, if the connection ends by it.
    pub reason: CloseReason,
    /// The reason, for operators.
    pub text: &'static str,
    /// From the received part of the request's head, if there is an access log.
    pub draft: Option<Box<Draft>>,
    /// What it says.
    pub content: Content,
}

/// What a local answer says.
pub enum Content {
    /// That the request is refused, by its status.
    Refusal,
    /// Where the client is redirected to.
    Redirect(Box<[u8]>),
    /// What was asked for.
    Body(Arc<[u8]>),
}

impl Denial {
    /// A refusal.
    pub fn refusal(
        status: u16,
        reason: CloseReason,
        text: &'static str,
        draft: Option<Box<Draft>>,
    ) -> Self {
        Self { status, reason, text, draft, content: Content::Refusal }
    }
}

/// A request that is answered locally.
pub struct LocalAnswer {
    /// Bytes of the head that was read.
    pub head_length: usize,
    /// The client's version.
    pub version: Version,
    /// HEAD: the answer has no body.
    pub is_head: bool,
    /// The request has no body and the connection can be kept.
    pub keep_alive: bool,
    /// The answer, and the reason for it.
    pub denial: Denial,
}

/// What becomes of a request.
pub enum RequestOutcome {
    /// It is answered here.
    Local(LocalAnswer),
    /// The new head does not fit the output; the answer in case there is no larger one.
    NoRoom(LocalAnswer),
    /// It goes to a backend.
    Forward(Request),
}

/// Judges the head of a request, and writes the one for the backend to `output`.
pub fn request(
    head: &RequestHead<'_, '_>,
    output: &mut [u8],
    side: &RequestSide<'_>,
) -> RequestOutcome {
    let settings = &side.snapshot.settings;
    let draft = draft_of(head, side.snapshot);
    let denied = |status, text, draft| denied(head, status, text, draft);
    let local = |status, text, draft| RequestOutcome::Local(denied(status, text, draft));
    if let Some(challenges) = &side.snapshot.challenges
        && let Some(body) = challenge_answer(challenges, head, side)
    {
        return answered(head, 200, Content::Body(body), draft);
    }
    let route = side.listener.and_then(|listener| listener.routes.lookup(head.host, head.path));
    let Some(target) = route else { return unrouted(head, side, draft) };
    if let (Some(max), BodyLength::Sized(bytes)) = (settings.request_body_bytes_max, head.body)
        && bytes > max
    {
        return local(413, BODY_TOO_LARGE, draft);
    }
    let pool = side.snapshot.pool(target.pool);
    let hashing = pool.and_then(|pool| pool.hashing.as_ref());
    let upgrade = head.upgrade.filter(|_| may_upgrade(head, pool));
    let upgrade = upgrade.and_then(|asked| allowed_upgrade(side.snapshot, asked));
    if upgrade.is_none() && head.upgrade.is_some() && head.version == Version::Http2 {
        return local(501, UNKNOWN_PROTOCOL, draft);
    }
    let mut trusted = settings.trusted_proxies.iter();
    let rewrite = RequestRewrite {
        client: side.client,
        client_is_trusted_proxy: trusted.any(|network| network.contains(side.client)),
        proto: side.scheme.name(),
        via: settings.via.as_deref(),
        client_certificate: side.client_certificate,
        forward_upgrade: upgrade.is_some(),
        websocket_key: missing_key(head, side.nonce),
    };
    let Some(written) = write_request(head, &rewrite, output) else {
        return RequestOutcome::NoRoom(denied(431, HEAD_GROWS, draft));
    };
    RequestOutcome::Forward(Request {
        head_length: head.length,
        written,
        host_room: host_room(head),
        body: request_body(head, settings.rules(side.scheme).underscore_names),
        target,
        key: hashing.and_then(|hashing| hashing.request_key(head)),
        keep_alive: head.keep_alive,
        version: head.version,
        is_idempotent: head.method.is_idempotent(),
        is_head: head.method.is_head(),
        is_connect: head.method.is_connect(),
        accepts_trailers: head.accepts_trailers,
        upgrade: upgrade.map(|protocol| {
            let websocket_accept = pool.and_then(|pool| accept(head, pool));
            Box::new(Upgrade { protocol, websocket_accept })
        }),
        draft,
    })
}

/// The answer to a request that no route is for.
fn unrouted(
    head: &RequestHead<'_, '_>,
    side: &RequestSide<'_>,
    draft: Option<Box<Draft>>,
) -> RequestOutcome {
    let refused = |status, text, draft| RequestOutcome::Local(denied(head, status, text, draft));
    let Some(port) = side.listener.and_then(|listener| listener.redirects_to) else {
        return refused(404, NO_ROUTE, draft);
    };
    let Some(location) = redirect::location(head, port) else {
        return refused(400, "there is no host to redirect to", draft);
    };
    answered(head, redirect::status(head.method), Content::Redirect(location), draft)
}

/// A local answer that is no refusal.
fn answered(
    head: &RequestHead<'_, '_>,
    status: u16,
    content: Content,
    draft: Option<Box<Draft>>,
) -> RequestOutcome {
    let mut answer = denied(head, status, "", draft);
    answer.denial.reason = CloseReason::KeepAliveEnded;
    answer.denial.content = content;
    RequestOutcome::Local(answer)
}

/// The answer to the challenge http-01, which is asked for by plain HTTP.
#[cold]
fn challenge_answer(
    challenges: &Challenges,
    head: &RequestHead<'_, '_>,
    side: &RequestSide<'_>,
) -> Option<Arc<[u8]>> {
    let is_plain = side.listener.is_some_and(|listener| listener.protocol == Protocol::Http);
    let is_read = matches!(head.method.0, b"GET" | b"HEAD") && head.upgrade.is_none();
    challenges.http_answer(head.path).filter(|_| is_plain && is_read).cloned()
}

/// The answer to a request that may not come on its connection.
pub fn misdirected(head: &RequestHead<'_, '_>, snapshot: &Snapshot) -> RequestOutcome {
    let text = "this connection's certificate is not for the host, or the host asks for one of \
                clients that the connection has not shown";
    RequestOutcome::Local(denied(head, 421, text, draft_of(head, snapshot)))
}

fn draft_of(head: &RequestHead<'_, '_>, snapshot: &Snapshot) -> Option<Box<Draft>> {
    snapshot.settings.has_access_log.then(|| Box::new(Draft::of(head)))
}

fn denied(
    head: &RequestHead<'_, '_>,
    status: u16,
    text: &'static str,
    draft: Option<Box<Draft>>,
) -> LocalAnswer {
    LocalAnswer {
        head_length: head.length,
        version: head.version,
        is_head: head.method.is_head(),
        keep_alive: head.keep_alive && head.body == BodyLength::None,
        denial: Denial::refusal(status, CloseReason::RequestRefused, text, draft),
    }
}

/// False for a request whose Upgrade says less than its method: CONNECT, and with HTTP/2, where an
/// Upgrade is a CONNECT, any but GET (RFC 8441 §5).
fn may_upgrade(head: &RequestHead<'_, '_>, pool: Option<&Arc<Pool>>) -> bool {
    let has_streams = pool.is_some_and(|pool| pool.has_streams());
    !head.method.is_connect() && (head.method.0 == b"GET" || !has_streams)
}

/// The requested protocol, if connections may change to it.
fn allowed_upgrade(snapshot: &Snapshot, asked: &[u8]) -> Option<Arc<UpgradeProtocol>> {
    let mut allowed = snapshot.settings.upgrade_protocols.iter();
    allowed.find(|allowed| is_protocol(asked, &allowed.0)).cloned()
}

/// The key of a WebSocket that has none, if its client speaks HTTP/2.
fn missing_key(head: &RequestHead<'_, '_>, nonce: [u8; 16]) -> Option<websocket::Key> {
    let is_missing = head.version == Version::Http2
        && is_websocket(head.upgrade?)
        && websocket_key(head).is_none();
    is_missing.then(|| websocket::key(nonce))
}

/// The answer to the key of a WebSocket, if its backend does not give it: it may speak HTTP/2.
fn accept(head: &RequestHead<'_, '_>, pool: &Pool) -> Option<websocket::Accept> {
    let is_due = head.version == Version::Http11 && pool.has_streams();
    let key = websocket_key(head).filter(|_| is_due && head.upgrade.is_some_and(is_websocket))?;
    Some(websocket::accept(key))
}

fn is_websocket(protocol: &[u8]) -> bool {
    is_protocol(protocol, websocket::PROTOCOL)
}

fn websocket_key<'b>(head: &RequestHead<'b, '_>) -> Option<&'b [u8]> {
    let mut fields = head.fields.iter();
    let field = fields.find(|field| field.name.eq_ignore_ascii_case(websocket::KEY_FIELD))?;
    Some(field.value)
}

/// True if a protocol has this name. The version behind a slash is not compared.
pub(super) fn is_protocol(protocol: &[u8], name: &[u8]) -> bool {
    let before_version = protocol.split(|byte| *byte == b'/').next().unwrap_or(protocol);
    before_version.eq_ignore_ascii_case(name)
}

fn request_body(head: &RequestHead<'_, '_>, underscore_names: UnderscoreNames) -> Body {
    match head.body {
        BodyLength::None => Body::ENDED,
        BodyLength::Sized(bytes) => Body::Sized(bytes),
        BodyLength::Chunked => {
            let named_by_connection = join_names(head.named_by_connection());
            let from = Peer::Client(underscore_names);
            Body::Chunked(ChunkedDecoder::relaying(from, named_by_connection))
        }
    }
}

/// The names in Connection are kept until the trailers arrive; there are hardly ever any.
pub(super) fn join_names<'h>(names: impl Iterator<Item = &'h [u8]>) -> Option<Box<[u8]>> {
    let named = names.collect::<Vec<_>>().join(&b","[..]);
    (!named.is_empty()).then(|| named.into())
}
