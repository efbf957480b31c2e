//! A tunnel: after an upgrade, or a CONNECT where that is allowed, bytes are forwarded both ways
//! unparsed, and each side may end its direction on its own.

use super::{State, Traffic};
use crate::engine::{Close, Engine, Failure, Slice};
use crate::stats::CloseReason;
use crate::table::{ClientId, ExchangeId, UpstreamId};

impl<E: Engine> Traffic<E> {
    /// Opens a tunnel; `rest` is the backend's bytes behind its head. The client's bytes behind its
    /// request have waited until now.
    pub(super) fn begin_tunnel(&mut self, index: ClientId, status: u16, rest: Slice) {
        let session = self.sessions.at(index);
        let Some(id) = session.exchange() else { return };
        session.state = State::Tunnelling(id);
        session.keep_alive = false;
        let exchange = &mut self.exchanges[id];
        exchange.status = status;
        exchange.is_upstream_reusable = false;
        exchange.phase = super::exchange::Phase::RelayingBody;
        if let Some(buffer) = exchange.take_request_head() {
            self.wire.unpin(buffer);
        }
        self.count_status(status);
        self.backend_answered(id, status);
        let span = self.snapshot.settings.timeouts.tunnel;
        self.set_deadline(index, span);
        if rest.is_empty() {
            self.wire.engine.release(rest.buffer);
        } else {
            self.tunnel_from_upstream(index, rest);
        }
        while self.sessions.at(index).is_tunnel() {
            let Some(slice) = self.wire.pop_front(&mut self.sessions.at(index).inbox) else {
                break;
            };
            self.tunnel_from_client(index, slice);
        }
        let session = self.sessions.at(index);
        if !session.is_tunnel() {
            return;
        }
        if session.link.peer_ended {
            self.tunnel_client_ended(index);
        } else {
            self.wire.receive(&mut session.link);
        }
    }

    /// Bytes for the backend.
    pub(super) fn tunnel_from_client(&mut self, index: ClientId, slice: Slice) {
        let Some((id, upstream)) = self.tunnel_ends(index) else {
            return self.wire.engine.release(slice.buffer);
        };
        self.exchanges[id].request_bytes += slice.len() as u64;
        let Some(slice) = self.wire.copy_out(slice) else {
            return self.cut_session(index, CloseReason::OutOfBuffers);
        };
        let link = &mut self.upstreams.at(upstream).link;
        self.wire.send(link, slice);
        if self.wire.is_congested(link) {
            self.wire.pause(&mut self.sessions.at(index).link);
        }
        self.note_progress(index);
    }

    /// Bytes for the client.
    pub(super) fn tunnel_from_upstream(&mut self, index: ClientId, slice: Slice) {
        let Some((id, upstream)) = self.tunnel_ends(index) else {
            return self.wire.engine.release(slice.buffer);
        };
        self.exchanges[id].response_bytes += slice.len() as u64;
        let Some(slice) = self.wire.copy_out(slice) else {
            return self.cut_session(index, CloseReason::OutOfBuffers);
        };
        let link = &mut self.sessions.at(index).link;
        self.wire.send(link, slice);
        if self.wire.is_congested(link) {
            self.wire.pause(&mut self.upstreams.at(upstream).link);
        }
        self.note_progress(index);
    }

    /// The client has sent its last byte: the backend gets FIN after all bytes that wait.
    pub(super) fn tunnel_client_ended(&mut self, index: ClientId) {
        let Some((_, upstream)) = self.tunnel_ends(index) else { return };
        self.wire.end_write(&mut self.upstreams.at(upstream).link);
        self.end_tunnel_if_over(index);
    }

    /// The backend has sent its last byte.
    pub(super) fn tunnel_upstream_ended(&mut self, index: ClientId, failure: Option<Failure>) {
        if failure.is_some() {
            return self.cut_session(index, CloseReason::BackendReset);
        }
        self.wire.end_write(&mut self.sessions.at(index).link);
        self.end_tunnel_if_over(index);
    }

    /// After a backend has taken bytes: the client may be resumed, or both sides have ended.
    pub(super) fn resume_tunnel(&mut self, index: ClientId) {
        let Some((_, upstream)) = self.tunnel_ends(index) else { return };
        if self.wire.has_room(&self.upstreams.at(upstream).link) {
            self.wire.receive(&mut self.sessions.at(index).link);
        }
        self.end_tunnel_if_over(index);
    }

    /// Ends a tunnel whose sides have both ended, once the backend has received everything. Bytes
    /// that still wait for the client are sent while the session lingers.
    pub(super) fn end_tunnel_if_over(&mut self, index: ClientId) {
        let client_ended = self.sessions.at(index).link.peer_ended;
        let Some((id, upstream)) = self.tunnel_ends(index) else { return };
        let link = &self.upstreams.at(upstream).link;
        if client_ended && link.peer_ended && (link.is_flushed() || link.is_broken) {
            let exchange = &mut self.exchanges[id];
            exchange.phase = super::exchange::Phase::Done;
            exchange.upstream = None;
            self.end_exchange(index);
            self.replicas.end(self.upstreams.at(upstream).slot);
            // Not a reset: the kernel still delivers its buffered bytes to the backend.
            self.close_upstream(upstream, Close::Graceful);
            self.linger(index, CloseReason::TunnelEnded);
        }
    }

    fn tunnel_ends(&mut self, index: ClientId) -> Option<(ExchangeId, UpstreamId)> {
        let id = self.sessions.at(index).exchange()?;
        Some((id, self.exchanges[id].upstream?))
    }
}
