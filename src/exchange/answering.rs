//! Answers in the place of a backend that gave none.

use super::{Exchange, Phase};
use crate::engine::Engine;
use crate::http1::ConnectionField;
use crate::sides::Sides;
use crate::stats::CloseReason;

impl Exchange {
    /// Ends the exchange without a response from a backend: answers if no byte of a response has
    /// been forwarded, else ends the connection, so that the client does not take a partial
    /// response for a complete one.
    pub fn fail<E: Engine>(&mut self, status: u16, reason: CloseReason, sides: &mut Sides<E>) {
        self.failure = Some(reason);
        if self.phase != Phase::AwaitingHead {
            return self.cut(reason, sides);
        }
        let has_request = self.request.body.has_ended();
        let (mut client, local) = self.client_in(sides);
        let keep_alive = has_request && client.may_keep_alive(local);
        let connection = ConnectionField::of(keep_alive, self.facts.version);
        let Some(bytes) = client.put_answer(status, connection, self.facts.is_head, local) else {
            return self.cut(CloseReason::OutOfBuffers, sides);
        };
        self.status = status;
        self.response.bytes = bytes;
        self.end(sides);
        let (mut client, local) = self.client_in(sides);
        if keep_alive {
            client.next_request(local);
        } else {
            client.linger(reason, local);
        }
    }
}
