//! An exchange that makes no progress: who is late, and what follows from it.

use super::{Exchange, Phase};
use crate::attempts::ConnectionFault;
use crate::engine::Engine;
use crate::sides::Sides;
use crate::stats::CloseReason;

/// The party that an exchange has waited for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stall {
    Connect,
    /// None: the backoff before the next attempt is over.
    Backoff,
    ClientReading,
    ClientSending,
    Backend,
}

impl Exchange {
    /// A byte was forwarded: the timeout starts again. Bytes of the client are no progress of a
    /// backend that is not connected.
    pub(super) fn note_progress<E: Engine>(&self, sides: &mut Sides<E>) {
        let upstream = self.upstream_in(sides);
        if upstream.is_some_and(|(upstream, _)| !upstream.is_connecting()) {
            let (mut client, local) = self.client_in(sides);
            client.set_deadline(self.patience(local), local);
        }
    }

    /// No progress was made for the time of the present state.
    pub fn expired<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let now = sides.local.now();
        if self.client_in(sides).0.is_late(now) {
            return self.fail(504, CloseReason::DeadlineExceeded, sides);
        }
        let stall = self.stalled_on(sides);
        if self.is_starved(stall, sides) {
            // Nothing was read for lack of buffers: the delay is the proxy's, not the peer's.
            let (mut client, local) = self.client_in(sides);
            return client.set_deadline(self.patience(local), local);
        }
        if stall == Stall::Backend && self.is_unsent(sides) {
            return self.fail(503, CloseReason::OutOfBuffers, sides);
        }
        match stall {
            Stall::Connect => {
                let Some((upstream, _)) = self.upstream_in(sides) else { return };
                let fault = ConnectionFault::timed_out(upstream.is_securing());
                self.connect_failed(fault, sides);
            }
            Stall::Backoff => self.end_backoff(sides),
            Stall::ClientReading => {
                let (mut client, local) = self.client_in(sides);
                if client.is_stuck(local) {
                    return self.abort(CloseReason::ClientStalled, sides);
                }
                client.set_deadline(self.patience(local), local);
            }
            Stall::ClientSending | Stall::Backend if self.phase == Phase::Tunnelling => {
                self.cut(CloseReason::TunnelIdle, sides);
            }
            Stall::ClientSending => {
                let text = "the rest of the body did not come in time";
                self.fail_request(408, CloseReason::BodyTimeout, text, sides);
            }
            Stall::Backend => self.fail(504, CloseReason::BackendTimeout, sides),
        }
    }

    fn stalled_on<E: Engine>(&self, sides: &mut Sides<E>) -> Stall {
        let client_flushed = self.client_in(sides).0.is_flushed();
        let Some((upstream, _)) = self.upstream_in(sides) else { return Stall::Backoff };
        let is_awaiting_body = !self.request.body.has_ended() && upstream.is_flushed();
        if upstream.is_connecting() {
            Stall::Connect
        } else if !client_flushed {
            Stall::ClientReading
        } else if is_awaiting_body && self.phase == Phase::AwaitingHead {
            Stall::ClientSending
        } else {
            Stall::Backend
        }
    }

    /// True if the exchange waits for bytes that cannot be received because no buffer is left. A
    /// peer that does not read its queued bytes is late all the same: it may hold those buffers.
    fn is_starved<E: Engine>(&self, stall: Stall, sides: &mut Sides<E>) -> bool {
        match stall {
            Stall::Connect => {
                let upstream = self.upstream_in(sides);
                return upstream.is_some_and(|(one, _)| one.is_securing() && one.is_starved());
            }
            Stall::ClientSending | Stall::Backend => {}
            Stall::Backoff | Stall::ClientReading => return false,
        }
        let is_client_starved = self.client_in(sides).0.is_starved();
        let Some((upstream, _)) = self.upstream_in(sides) else { return false };
        // A backend that has taken everything may be waiting for the client.
        let waits_for_client = upstream.is_flushed() && !self.request.body.has_ended();
        upstream.is_starved() || (is_client_starved && waits_for_client)
    }

    /// True if something of the request could not be sent to the backend for want of a buffer.
    fn is_unsent<E: Engine>(&self, sides: &mut Sides<E>) -> bool {
        self.upstream_in(sides).is_some_and(|(upstream, _)| upstream.is_postponed())
    }
}
