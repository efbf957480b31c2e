//! How many TLS handshakes may begin in a turn, and those that wait for a later one.

use crate::engine::Key;
use std::collections::VecDeque;

/// Handshakes that begin in one turn: each takes some 120 µs.
const BEGUN_IN_TURN_MAX: u32 = 8;

/// See the module.
#[derive(Debug, Default)]
pub struct Handshakes {
    begun: u32,
    /// Connections whose ClientHello waits, in the order in which it came.
    deferred: VecDeque<Key>,
}

impl Handshakes {
    /// True, and counted, if one more may begin in this turn.
    pub fn may_begin(&mut self) -> bool {
        self.begun += 1;
        self.begun <= BEGUN_IN_TURN_MAX
    }

    /// Lets a connection wait.
    pub fn defer(&mut self, key: Key) {
        self.deferred.push_back(key);
    }

    /// A turn has begun.
    pub fn begin_turn(&mut self) {
        self.begun = 0;
    }

    /// The next connection whose turn has come.
    pub fn next_deferred(&mut self) -> Option<Key> {
        if self.begun < BEGUN_IN_TURN_MAX { self.deferred.pop_front() } else { None }
    }

    /// True if one waits: the next turn does not wait for events.
    pub fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }
}
