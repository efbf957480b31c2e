//! Deadlines: slow, stalled and idle peers.
//!
//! A session has one timer and one deadline. The deadline moves with every byte, which costs
//! nothing; the timer moves only when it fires before the deadline, or would fire after it.

use super::exchange::Phase;
use super::{State, Traffic};
use crate::base::TimerId;
use crate::engine::{Engine, Failure, Key, Owner};
use crate::link::Receiving;
use crate::stats::CloseReason;
use crate::table::{ClientId, UpstreamId};
use std::time::Duration;

/// After this time without a byte, a kept connection is polled instead of received on, which costs
/// the kernel a third of the memory.
const DEMOTE_AFTER: Duration = Duration::from_secs(5);

/// The party that a session has waited for too long.
enum Stall {
    Connect,
    /// None: the backoff before the next attempt is over.
    Backoff,
    ClientReading,
    ClientSending,
    Backend,
}

impl<E: Engine> Traffic<E> {
    /// The present state may last this long from now on without progress.
    pub(super) fn set_deadline(&mut self, index: ClientId, span: Duration) {
        let deadline = self.now() + span;
        let session = self.sessions.at(index);
        session.deadline = deadline;
        match session.timer {
            Some(_) if session.alarm <= deadline => {}
            Some(timer) => {
                session.alarm = deadline;
                self.timers.rearm(timer, deadline);
            }
            None => {
                session.alarm = deadline;
                session.timer = Some(self.timers.arm(deadline, session.link.key));
            }
        }
    }

    /// A byte was forwarded: the timeout of the exchange or tunnel starts again.
    pub(super) fn note_progress(&mut self, index: ClientId) {
        let timeouts = &self.snapshot.settings.timeouts;
        let session = self.sessions.at(index);
        let span = match session.state {
            State::Tunnelling(_) => timeouts.tunnel,
            State::Exchanging(_) => {
                let upstream = session.exchange().and_then(|id| self.exchanges[id].upstream);
                let is_connected = |upstream| !self.upstreams.at(upstream).link.is_connecting;
                if !upstream.is_some_and(is_connected) {
                    return; // bytes of the client are no progress of the backend
                }
                timeouts.between_bytes
            }
            _ => return,
        };
        self.set_deadline(index, span);
    }

    /// Fires the timers that are due, up to `limit`.
    pub fn expire(&mut self, limit: usize) {
        let now = self.now();
        for _ in 0..limit {
            let Some((timer, key)) = self.timers.pop_expired(now) else { return };
            match key.owner() {
                Owner::Client => self.session_timer(timer, key),
                Owner::Upstream => self.upstream_timer(key),
                Owner::Listener => {}
            }
        }
    }

    fn session_timer(&mut self, _fired: TimerId, key: Key) {
        let Some(index) = self.sessions.find(key) else { return };
        let now = self.now();
        let session = self.sessions.at(index);
        session.timer = None;
        if session.deadline > now {
            session.alarm = session.deadline;
            session.timer = Some(self.timers.arm(session.deadline, key));
            return;
        }
        if self.is_starved(index) {
            // Nothing was read for lack of buffers: the delay is the proxy's, not the peer's.
            let span = self.snapshot.settings.timeouts.between_bytes;
            return self.set_deadline(index, span);
        }
        let session = self.sessions.at(index);
        let is_flushed = session.link.is_flushed();
        let is_starved = session.link.receiving == Receiving::OutOfBuffers;
        match session.state {
            State::AwaitingHead | State::Lingering | State::Finishing if !is_flushed => {
                self.client_slow(index);
            }
            // The rest of the head may have been sent; only the client's reading can be observed.
            State::ReadingHead if is_starved => self.client_slow(index),
            State::AwaitingHead if session.requests == 0 => {
                self.close_session(index, CloseReason::HeadTimeout);
            }
            State::AwaitingHead => self.idle_expired(index),
            State::ReadingHead => self.head_expired(index),
            State::Exchanging(_) => self.exchange_expired(index),
            State::Tunnelling(_) => self.cut_session(index, CloseReason::TunnelIdle),
            State::Lingering | State::Discarding { .. } | State::Finishing => {
                let reason = session.close_reason;
                self.close_session(index, reason);
            }
            State::Closing => {}
        }
    }

    /// True if a session waits for bytes that cannot be received because no buffer is left. A peer
    /// that does not read its queued bytes is late all the same: it may hold those buffers.
    fn is_starved(&mut self, index: ClientId) -> bool {
        let session = self.sessions.at(index);
        let waits_for_head = matches!(session.state, State::AwaitingHead | State::ReadingHead);
        let is_client_starved = session.link.receiving == Receiving::OutOfBuffers;
        if waits_for_head && session.link.is_flushed() {
            return is_client_starved;
        }
        match self.stalled_on(index) {
            Some(Stall::ClientSending | Stall::Backend) => {
                let upstream = self.upstream_of(index).expect("an exchange is stalled");
                let upstream = &self.upstreams.at(upstream).link;
                let is_upstream_starved = upstream.receiving == Receiving::OutOfBuffers;
                // A backend that has taken everything may be waiting for the client.
                let waits_for_client = upstream.is_flushed() && self.awaits_client(index);
                is_upstream_starved || (is_client_starved && waits_for_client)
            }
            Some(Stall::Connect | Stall::Backoff | Stall::ClientReading) | None => false,
        }
    }

    /// True if the client's next bytes are for the present backend.
    fn awaits_client(&mut self, index: ClientId) -> bool {
        let session = self.sessions.at(index);
        let is_tunnel = session.is_tunnel();
        let exchange = session.exchange().map(|id| &self.exchanges[id]);
        is_tunnel || exchange.is_some_and(|exchange| !exchange.request_body.has_ended())
    }

    // --- idle ---

    /// The session waits for its next request: first armed, then, after a while, polled.
    pub(super) fn begin_idle(&mut self, index: ClientId) {
        let idle = self.snapshot.settings.timeouts.idle;
        self.set_deadline(index, idle.min(DEMOTE_AFTER));
    }

    fn idle_expired(&mut self, index: ClientId) {
        let idle = self.snapshot.settings.timeouts.idle;
        let session = self.sessions.at(index);
        if session.was_polled || idle <= DEMOTE_AFTER {
            return self.close_session(index, CloseReason::ClientIdle);
        }
        session.was_polled = true;
        self.wire.pause(&mut session.link);
        self.demote_if_idle(index);
        self.set_deadline(index, idle - DEMOTE_AFTER);
    }

    /// Polls a session that waits for a request and has no receive armed. A client whose next
    /// request has been received, and waits until its answers are read, is not idle.
    pub(super) fn demote_if_idle(&mut self, index: ClientId) {
        let session = self.sessions.at(index);
        let waits = session.state == State::AwaitingHead && session.inbox.is_empty();
        let is_off = session.link.receiving == Receiving::Off && !session.link.is_polling;
        if waits && session.link.is_flushed() && is_off && !session.link.peer_ended {
            session.link.is_polling = true;
            self.wire.engine.poll(session.link.socket, session.link.key);
        }
    }

    /// A polled client has sent bytes, or its poll was cancelled.
    pub fn client_readable(&mut self, index: ClientId) {
        let session = self.sessions.at(index);
        session.link.is_polling = false;
        match session.state {
            State::Closing => self.settle_closing(index),
            _ => self.wire.receive(&mut session.link),
        }
    }

    // --- exchanges ---

    fn exchange_expired(&mut self, index: ClientId) {
        match self.stalled_on(index) {
            Some(Stall::Connect) => {
                let upstream = self.upstream_of(index).expect("it is connecting");
                self.connect_failed(index, upstream, Failure::TimedOut);
            }
            Some(Stall::Backoff) => self.end_backoff(index),
            Some(Stall::ClientReading) => self.client_slow(index),
            Some(Stall::ClientSending) => {
                let text = "the rest of the body did not come in time";
                self.fail_request(index, 408, CloseReason::BodyTimeout, text);
            }
            Some(Stall::Backend) => self.fail_exchange(index, 504, CloseReason::BackendTimeout),
            None => self.close_session(index, CloseReason::BackendTimeout),
        }
    }

    fn upstream_of(&mut self, index: ClientId) -> Option<UpstreamId> {
        let id = self.sessions.at(index).exchange()?;
        self.exchanges[id].upstream
    }

    fn stalled_on(&mut self, index: ClientId) -> Option<Stall> {
        let session = self.sessions.at(index);
        let client_flushed = session.link.is_flushed();
        let exchange = &self.exchanges[session.exchange()?];
        let Some(upstream) = exchange.upstream else { return Some(Stall::Backoff) };
        let upstream = &self.upstreams.at(upstream).link;
        let is_awaiting_body = !exchange.request_body.has_ended() && upstream.is_flushed();
        Some(if upstream.is_connecting {
            Stall::Connect
        } else if !client_flushed {
            Stall::ClientReading
        } else if is_awaiting_body && exchange.phase == Phase::AwaitingHead {
            Stall::ClientSending
        } else {
            Stall::Backend
        })
    }

    /// A client has not read its answer for long. A slow client is not a dead one: its timeout
    /// starts again if it has acknowledged bytes since the last check.
    fn client_slow(&mut self, index: ClientId) {
        let session = self.sessions.at(index);
        // The low bits suffice: no client reads four gigabytes within a timeout, or exactly none.
        let acknowledged = self.wire.engine.acknowledged(session.link.socket) as u32;
        let before = std::mem::replace(&mut session.acknowledged, acknowledged);
        if acknowledged != before {
            let span = self.snapshot.settings.timeouts.between_bytes;
            self.set_deadline(index, span);
        } else {
            self.abort_session(index, CloseReason::ClientStalled);
        }
    }

    // --- idle connections to backends ---

    pub(super) fn watch_idle_upstream(&mut self, upstream: UpstreamId) {
        let (now, span) = (self.now(), self.snapshot.settings.timeouts.idle);
        let connection = self.upstreams.at(upstream);
        let idle_until = now + span.min(connection.idle_max);
        connection.idle_until = idle_until;
        match connection.timer {
            Some(_) if connection.alarm <= idle_until => return,
            Some(timer) => self.timers.rearm(timer, idle_until),
            None => connection.timer = Some(self.timers.arm(idle_until, connection.link.key)),
        }
        connection.alarm = idle_until;
    }

    fn upstream_timer(&mut self, key: Key) {
        let Some(upstream) = self.upstreams.find(key) else { return };
        let now = self.now();
        let connection = self.upstreams.at(upstream);
        connection.timer = None;
        if connection.session.is_some() || connection.is_closing {
            return; // armed again when the connection is parked
        }
        if connection.idle_until > now {
            connection.alarm = connection.idle_until;
            connection.timer = Some(self.timers.arm(connection.idle_until, key));
        } else {
            self.discard_idle_upstream(upstream);
        }
    }
}
