//! Open connections and what connects them: forwarding with back-pressure, closing once all that
//! was queued is sent and every operation has ended. Does not: know what the bytes mean.

use ringway::engine::uring::Uring;
use ringway::engine::{Close, Engine, Failure, Key, Owner, Slice, Socket, Source};
use ringway::link::{Life, Link, Wire, Write};
use slab::Slab;
use std::net::SocketAddr;

/// One end of one connection.
pub struct End<S> {
    /// Its socket and queue.
    pub link: Link,
    /// What its bytes go to.
    pub peer: Option<usize>,
    /// What the policy keeps of it.
    pub state: S,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// It is closed once all that is queued has been sent.
    Flushing,
    /// Its operations are cancelled; it is closed when the last one has ended.
    Quiescing,
}

/// See the module.
pub struct Connections<S> {
    /// The engine and the queues.
    pub wire: Wire<Uring>,
    ends: Slab<End<S>>,
    generation: u32,
}

impl<S: Default> Connections<S> {
    /// No connection.
    pub fn new(engine: Uring) -> Self {
        Self { wire: Wire::new(engine), ends: Slab::with_capacity(1024), generation: 0 }
    }

    /// A connection that exists.
    pub fn at(&mut self, index: usize) -> &mut End<S> {
        &mut self.ends[index]
    }

    /// Takes over a client's socket and receives from it.
    pub fn open(&mut self, socket: Socket) -> usize {
        let index = self.insert(Owner::Client, |_, _| Some(socket));
        let index = index.expect("a socket was given");
        self.resume(index);
        index
    }

    /// Connects; none if the system has no socket left.
    pub fn connect(&mut self, address: SocketAddr) -> Option<usize> {
        let connect = |engine: &mut Uring, key| engine.connect(address, Source::Any, key).ok();
        let index = self.insert(Owner::Backend, connect)?;
        self.ends[index].link.life = Life::Connecting;
        Some(index)
    }

    fn insert(
        &mut self,
        owner: Owner,
        socket: impl FnOnce(&mut Uring, Key) -> Option<Socket>,
    ) -> Option<usize> {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.ends.vacant_entry();
        let index = entry.key();
        let key = Key::new(owner, index, self.generation);
        let link = Link::new(socket(&mut self.wire.engine, key)?, key, Life::Open);
        entry.insert(End { link, peer: None, state: S::default(), stage: Stage::Open });
        Some(index)
    }

    /// Bytes of one go to the other from now on.
    pub fn join(&mut self, one: usize, other: usize) {
        self.ends[one].peer = Some(other);
        self.ends[other].peer = Some(one);
    }

    /// Each stands alone from now on.
    pub fn part(&mut self, one: usize) -> Option<usize> {
        let other = self.ends[one].peer.take()?;
        self.ends[other].peer = None;
        Some(other)
    }

    /// Receives from a connection, again if it was paused.
    pub fn resume(&mut self, index: usize) {
        self.wire.receive(&mut self.ends[index].link);
    }

    /// Sends what came on one connection over another; pauses the one if the other is slow.
    pub fn forward(&mut self, from: usize, to: usize, slice: Slice) {
        let target = &mut self.ends[to];
        if target.stage != Stage::Open {
            return self.wire.engine.release(slice.buffer);
        }
        self.wire.send(&mut target.link, slice);
        if self.wire.is_congested(&target.link) {
            self.wire.pause(&mut self.ends[from].link);
        }
    }

    /// Closes a connection when all that is queued for it has been sent.
    pub fn close(&mut self, index: usize) {
        if self.ends[index].stage == Stage::Open {
            self.ends[index].stage = Stage::Flushing;
        }
        self.settle(index);
    }

    fn settle(&mut self, index: usize) {
        let end = &mut self.ends[index];
        if end.stage == Stage::Flushing && (end.link.is_flushed() || end.link.is_broken()) {
            end.stage = Stage::Quiescing;
            self.wire.quiesce(&mut end.link);
        }
        if end.stage == Stage::Quiescing && end.link.is_quiet() {
            self.wire.close(&mut end.link, Close::Graceful);
            self.ends.remove(index);
        }
    }

    /// Hands over all that was queued in this turn, and arms what had found no receive buffer.
    pub fn flush(&mut self) {
        while let Some(key) = self.wire.next_dirty() {
            if let Some(index) = self.index_of(key) {
                self.wire.flush(&mut self.ends[index].link);
            }
        }
        while let Some(key) = self.wire.next_out_of_buffers() {
            if let Some(index) = self.index_of(key) {
                self.wire.rearm(&mut self.ends[index].link);
            }
        }
    }

    // --- what the engine reports; each returns the connection that the policy must look at ---

    /// A connect ended; returns the connection if it failed.
    pub fn connected(&mut self, key: Key, result: Result<(), Failure>) -> Option<usize> {
        let index = self.index_of(key)?;
        let link = &mut self.ends[index].link;
        link.life = Life::Open;
        match result {
            Ok(()) => {
                self.wire.receive(link);
                self.wire.schedule_flush(link);
            }
            Err(_) => link.write = Write::Failed,
        }
        self.open_or_settle(index).filter(|_| result.is_err())
    }

    /// Bytes came; returns the connection they are to be taken from.
    pub fn received(&mut self, key: Key, slice: Slice, is_armed: bool) -> Option<usize> {
        let index = self.index_of(key);
        if let Some(index) = index {
            self.wire.received(&mut self.ends[index].link, is_armed);
            if let Some(index) = self.open_or_settle(index) {
                return Some(index);
            }
        }
        self.wire.engine.release(slice.buffer);
        None
    }

    /// A receive ended; returns the connection if its stream has ended too.
    pub fn receive_ended(&mut self, key: Key, failure: Option<Failure>) -> Option<usize> {
        let index = self.index_of(key)?;
        let has_ended = self.wire.receive_ended(&mut self.ends[index].link, failure);
        self.open_or_settle(index).filter(|_| has_ended)
    }

    /// A send ended; returns the connection if it is broken. Otherwise its peer may go on.
    pub fn sent(&mut self, key: Key, result: Result<u32, Failure>) -> Option<usize> {
        let index = self.index_of(key)?;
        let end = &mut self.ends[index];
        let is_well = self.wire.sent(&mut end.link, result);
        let peer = end.peer.filter(|_| is_well && self.wire.has_room(&end.link));
        if let Some(peer) = peer.filter(|peer| !self.ends[*peer].link.is_connecting()) {
            self.resume(peer);
        }
        self.open_or_settle(index).filter(|_| !is_well)
    }

    fn index_of(&self, key: Key) -> Option<usize> {
        let end = self.ends.get(key.index())?;
        (end.link.key == key).then_some(key.index())
    }

    /// The connection if nobody has closed it; else takes the next step of its closing.
    fn open_or_settle(&mut self, index: usize) -> Option<usize> {
        if self.ends[index].stage == Stage::Open {
            return Some(index);
        }
        self.settle(index);
        None
    }
}
