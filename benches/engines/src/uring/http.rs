//! A backend for each request, from pools of idle connections that all clients share: the least
//! that an HTTP balancer does. Does not: rewrite heads, check them, retry, time out.

use super::Policy;
use super::connections::Connections;
use super::framing::{Found, Framing};
use crate::backends::Backends;
use memchr::memmem::Finder;
use ringway::engine::{Engine, Owner, Slice};
use ringway::link::Joined;

/// What is kept of a connection.
#[derive(Default)]
pub struct State {
    framing: Framing,
    /// The beginning of a head whose rest has not come.
    partial: Option<Box<[u8]>>,
    /// Of a client: requests that are not answered in full.
    unanswered: u32,
    /// Of a client: it is closed after the answer.
    asked_for_close: bool,
    /// Of an upstream connection: whose it is.
    backend: usize,
}

/// See the module.
pub struct Http {
    backends: Backends,
    /// Idle connections of each backend; the one used last is the first to be used again.
    idle: Vec<Vec<usize>>,
    end_of_head: Finder<'static>,
}

impl Http {
    /// A relay to these backends.
    pub fn new(backends: Backends) -> Self {
        let idle = vec![Vec::new(); backends.len()];
        Self { backends, idle, end_of_head: Finder::new(b"\r\n\r\n") }
    }

    fn choose(&mut self, connections: &mut Connections<State>) -> Option<usize> {
        let (backend, address) = self.backends.next();
        if let Some(upstream) = self.idle[backend].pop() {
            return Some(upstream);
        }
        let upstream = connections.connect(address)?;
        connections.at(upstream).state.backend = backend;
        Some(upstream)
    }

    /// Requests go on to the connection that the client has, or to a new choice.
    fn take_request(&mut self, connections: &mut Connections<State>, client: usize, slice: Slice) {
        let Some((slice, found)) = self.take_whole(connections, client, slice, 0) else { return };
        let state = &mut connections.at(client).state;
        state.unanswered += found.begun;
        state.asked_for_close |= found.asks_for_close;
        let upstream = connections.at(client).peer.or_else(|| self.choose(connections));
        let Some(upstream) = upstream else {
            connections.wire.engine.release(slice.buffer);
            return connections.close(client);
        };
        connections.join(client, upstream);
        connections.forward(client, upstream, slice);
    }

    /// Answers go to the client; after the last one the connection is idle again.
    fn take_answer(&mut self, connections: &mut Connections<State>, upstream: usize, slice: Slice) {
        let Some(client) = connections.at(upstream).peer else {
            connections.wire.engine.release(slice.buffer);
            return self.ended(connections, upstream);
        };
        let whole = self.take_whole(connections, upstream, slice, u64::MAX);
        let Some((slice, found)) = whole else { return };
        connections.forward(upstream, client, slice);
        let state = &mut connections.at(client).state;
        state.unanswered = state.unanswered.saturating_sub(found.ended);
        if state.unanswered > 0 || !state.framing.is_between() {
            return;
        }
        let is_last = state.asked_for_close;
        connections.part(client);
        connections.resume(upstream);
        let backend = connections.at(upstream).state.backend;
        self.idle[backend].push(upstream);
        if is_last {
            connections.close(client);
        }
    }

    /// What can go on of some bytes; a head that is not whole stays here. None if nothing can.
    fn take_whole(
        &mut self,
        connections: &mut Connections<State>,
        from: usize,
        slice: Slice,
        body_without_length: u64,
    ) -> Option<(Slice, Found)> {
        let partial = connections.at(from).state.partial.take();
        let joined = match &partial {
            Some(aside) => connections.wire.join(aside, slice),
            None => Some(Joined { whole: slice, left: None }),
        };
        let Some(gathered) = joined else {
            self.ended(connections, from);
            return None;
        };
        if let Some(left) = gathered.left {
            // A head longer than a buffer.
            connections.wire.engine.release(gathered.whole.buffer);
            connections.wire.engine.release(left.buffer);
            self.ended(connections, from);
            return None;
        }
        let Slice { buffer, start, end } = gathered.whole;
        // The framing leaves its connection while the bytes are borrowed.
        let mut framing = std::mem::take(&mut connections.at(from).state.framing);
        let bytes = &mut connections.wire.engine.bytes_mut(buffer)[start as usize..end as usize];
        let found = framing.scan(bytes, &self.end_of_head, body_without_length);
        let tail = &bytes[found.complete..];
        let partial = (!tail.is_empty()).then(|| tail.into());
        let state = &mut connections.at(from).state;
        (state.framing, state.partial) = (framing, partial);
        if found.complete == 0 {
            connections.wire.engine.release(buffer);
            return None;
        }
        Some((Slice { buffer, start, end: start + found.complete as u32 }, found))
    }
}

impl Policy for Http {
    type State = State;

    fn accepted(&mut self, _connections: &mut Connections<State>, _client: usize) {}

    fn received(&mut self, connections: &mut Connections<State>, from: usize, slice: Slice) {
        match connections.at(from).link.key.owner() {
            Owner::Client => self.take_request(connections, from, slice),
            _ => self.take_answer(connections, from, slice),
        }
    }

    fn ended(&mut self, connections: &mut Connections<State>, from: usize) {
        let peer = connections.part(from);
        let end = connections.at(from);
        if peer.is_none() && end.link.key.owner() == Owner::Backend {
            let idle = &mut self.idle[end.state.backend];
            idle.retain(|upstream| *upstream != from);
        }
        connections.close(from);
        if let Some(peer) = peer {
            connections.close(peer);
        }
    }
}
