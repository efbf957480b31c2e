//! The end of an exchange, whatever its state.

use super::{Attempt, Exchange, Phase};
use crate::engine::{Close, Engine};
use crate::local::{How, Signal};
use crate::sides::Sides;
use crate::stats::CloseReason;

impl Exchange {
    /// Ends the exchange and returns all that it held; the caller decides what the client's
    /// connection does next. The connection to the backend is kept only if both messages ended
    /// exactly where they should.
    pub(super) fn end<E: Engine>(&mut self, sides: &mut Sides<E>) {
        if self.is_over() {
            return;
        }
        self.retained.drop_head(&mut sides.local.wire);
        // Before it is counted out: a slot with nothing in flight may be given to another backend.
        self.observe_end(sides);
        self.record(sides);
        match std::mem::replace(&mut self.attempt, Attempt::Over) {
            Attempt::With(port) => {
                let has_response = match self.phase {
                    Phase::Tunnelling => self.response.body.has_ended(),
                    phase => phase == Phase::Done,
                };
                let is_complete = has_response && self.request.body.has_ended();
                let slot = sides.connections.upstream(port).slot();
                sides.picks.end(slot);
                let idle = sides.picks.idle(slot);
                let local = &mut sides.local;
                let is_whole = port.stream == 0;
                if is_whole && matches!(self.phase, Phase::Switched { .. } | Phase::Tunnelling) {
                    // What the client sent before is delivered.
                    let close = if is_complete { Close::Graceful } else { Close::Reset };
                    sides.connections.finish(port.connection, close, local);
                    return local.work.push(Signal::Over(self.id));
                }
                sides.connections.end_exchange(port, is_complete, idle, local);
            }
            Attempt::Between(mut waiting) => sides.local.wire.drop_chain(&mut waiting),
            Attempt::Over => {}
        }
        sides.local.work.push(Signal::Over(self.id));
    }

    /// Ends the exchange of a tunnel that is over. Its relay has forwarded all that there was: the
    /// connection to the backend closes gracefully, since the kernel still delivers its bytes.
    pub fn end_tunnel<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let port = self.port().expect("a tunnel has a connection until it is over");
        self.phase = Phase::Done;
        self.attempt = Attempt::Between(Default::default());
        let slot = sides.connections.upstream(port).slot();
        self.end(sides);
        sides.picks.end(slot);
        sides.connections.close(port.connection, Close::Graceful, &mut sides.local);
    }

    /// Adds the bytes that a relay has forwarded.
    pub fn note_relayed(&mut self, from_client: u64, from_backend: u64) {
        self.request.bytes += from_client;
        self.response.bytes += from_backend;
    }

    /// The backend's direction of the tunnel has ended: the end is no truncation for the client.
    pub fn note_ended(&mut self) {
        self.phase = Phase::Switched { has_ended: true };
    }

    /// Ends the exchange and with it the client's connection.
    pub fn end_with_client<E: Engine>(
        &mut self,
        how: How,
        reason: CloseReason,
        sides: &mut Sides<E>,
    ) {
        if self.is_over() {
            return;
        }
        if how == How::Cut && self.is_ended_by_stream() {
            self.client_in(sides).0.show_cut();
        }
        self.failure.get_or_insert(reason);
        self.end(sides);
        let (mut client, local) = self.client_in(sides);
        client.end(how, reason, local);
    }

    /// Ends the client's connection in the middle of the exchange; see [`How::Cut`].
    pub(super) fn cut<E: Engine>(&mut self, reason: CloseReason, sides: &mut Sides<E>) {
        self.end_with_client(How::Cut, reason, sides);
    }

    /// Ends the client's connection at once; see [`How::Abort`].
    pub(super) fn abort<E: Engine>(&mut self, reason: CloseReason, sides: &mut Sides<E>) {
        self.end_with_client(How::Abort, reason, sides);
    }

    /// True if the client would take FIN for the end of the message that is being sent.
    fn is_ended_by_stream(&self) -> bool {
        match self.phase {
            Phase::Switched { has_ended } => !has_ended,
            Phase::RelayingBody => self.response.body.is_passed_unframed(),
            Phase::Tunnelling => true,
            Phase::AwaitingHead | Phase::Done => false,
        }
    }
}
