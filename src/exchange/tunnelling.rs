//! What follows from a response that opens a tunnel. Between two connections a relay forwards
//! bytes. Where a side is a stream of HTTP/2, the exchange goes on, and what either side sends is a
//! body: that of the request ends with the client's direction, that of the response ends the
//! tunnel.

use super::{Exchange, Phase};
use crate::engine::{Engine, Slice};
use crate::head::Version;
use crate::local::{Local, Signal};
use crate::message::Body;
use crate::sides::Sides;
use crate::stats::CloseReason;
use crate::table::{ConnectionId, Port};
use std::time::Duration;

impl Exchange {
    /// The response opens a tunnel; `rest` is the backend's bytes behind its head. The client's
    /// bytes behind its request have waited until now.
    pub(super) fn switch<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        status: u16,
        rest: Slice,
        sides: &mut Sides<E>,
    ) {
        self.status = status_for(self.facts.version, status, self.facts.is_connect);
        self.retained.drop_head(&mut sides.local.wire);
        sides.local.reports.count_status(self.status);
        self.backend_answered(status, sides);
        match self.origin.stream == 0 && port.stream == 0 {
            true => self.begin_relay(rest, sides),
            false => self.begin_tunnel(port, rest, sides),
        }
    }

    fn begin_relay<E: Engine>(&mut self, rest: Slice, sides: &mut Sides<E>) {
        self.phase = Phase::Switched { has_ended: false };
        sides.local.work.push(Signal::Switched(self.id));
        if rest.is_empty() {
            sides.local.wire.engine.release(rest.buffer);
        } else {
            self.hold_for_tunnel(rest, sides);
        }
    }

    /// Keeps the backend's bytes until the relay takes them.
    pub(super) fn hold_for_tunnel<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) {
        let Some((mut upstream, local)) = self.upstream_in(sides) else { return };
        match local.wire.copy_out(slice) {
            Some(slice) => upstream.keep_for_tunnel(slice, local),
            None => self.cut(CloseReason::OutOfBuffers, sides),
        }
    }

    fn begin_tunnel<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        rest: Slice,
        sides: &mut Sides<E>,
    ) {
        self.phase = Phase::Tunnelling;
        let idle = sides.picks.pool(self.pool()).map_or(Duration::ZERO, |pool| pool.keepalive);
        let (mut upstream, local) = (sides.connections.upstream(port), &mut sides.local);
        upstream.reusable(None);
        upstream.keep_alive(idle, local);
        self.response.body = upstream.tunnel_body();
        let (mut client, local) = self.client_in(sides);
        client.keep_alive(false);
        let body = client.tunnel_body();
        client.serve(local);
        client.set_deadline(self.patience(local), local);
        self.request.body = body;
        if self.request.body.has_ended() {
            sides.connections.upstream(port).end_request(&mut sides.local);
        }
        if rest.is_empty() {
            sides.local.wire.engine.release(rest.buffer);
        } else {
            self.forward_response_body(port, rest, sides);
        }
    }

    /// Ends the attempt to open a tunnel on a connection whose backend is known to accept none.
    #[inline(always)]
    pub(super) fn check_tunnel<E: Engine>(&mut self, sides: &mut Sides<E>) {
        if self.facts.upgrade.is_some()
            && self.upstream_in(sides).is_some_and(|(upstream, _)| upstream.refuses_tunnels())
        {
            self.untunnelled(sides);
        }
    }

    /// The backend speaks HTTP/2, and accepts no tunnels there. A client of HTTP/1.1 has said that
    /// it takes another answer too (RFC 9110 §7.8).
    pub fn untunnelled<E: Engine>(&mut self, sides: &mut Sides<E>) {
        if self.facts.version == Version::Http2 {
            return self.fail(501, CloseReason::BackendRefusesTunnels, sides);
        }
        self.facts.upgrade = None;
        if let Some((mut upstream, local)) = self.upstream_in(sides) {
            upstream.forget_upgrade(local);
        }
    }

    /// True while the parts of a response's body are forwarded.
    #[inline(always)]
    pub(super) fn is_relaying(&self) -> bool {
        matches!(self.phase, Phase::RelayingBody | Phase::Tunnelling)
    }

    /// The exchange may last this long without progress, once it has a backend.
    #[inline(always)]
    pub(super) fn patience<E: Engine>(&self, local: &Local<E>) -> Duration {
        let timeouts = local.current.timeouts();
        match self.phase {
            Phase::Tunnelling if self.request.body.has_ended() => timeouts.half_closed,
            Phase::Tunnelling => timeouts.tunnel,
            _ => timeouts.between_bytes,
        }
    }

    /// The tunnel is over: what still waits for the client has no longer than that of a body.
    #[cold]
    pub(super) fn shorten_patience<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let (mut client, local) = self.client_in(sides);
        client.set_deadline(local.current.timeouts().between_bytes, local);
    }

    /// True if a send to the backend has failed.
    pub(super) fn is_broken<E: Engine>(&self, sides: &mut Sides<E>) -> bool {
        self.upstream_in(sides).is_some_and(|(upstream, _)| upstream.is_broken())
    }

    /// The client has ended its direction of the tunnel: the backend gets that end.
    pub(super) fn end_request<E: Engine>(&mut self, sides: &mut Sides<E>) {
        self.request.body = Body::ENDED;
        if let Some((mut upstream, local)) = self.upstream_in(sides) {
            upstream.end_request(local);
        }
        self.note_progress(sides);
    }
}

/// What the client sees: a switch of protocols is 101 in HTTP/1.1, and in HTTP/2 the success of an
/// extended CONNECT (RFC 8441 §5).
fn status_for(version: Version, status: u16, is_connect: bool) -> u16 {
    match version {
        Version::Http2 if status == 101 => 200,
        Version::Http11 if !is_connect => 101,
        _ => status,
    }
}
