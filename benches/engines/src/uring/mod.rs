//! Ringway's own engine with nothing around it: the floor that the product is held against.
//!
//! Does: run turns and hand events to one of two policies. Does not: use sessions, routes, pools,
//! timers or counts of the product; only its engine and the queues of its links.

mod bare;
mod connections;
mod framing;
mod http;

use crate::{BACKLOG, BUFFER_SIZE, Plan};
use bare::Bare;
use connections::Connections;
use http::Http;
use ringway::engine::uring::{Uring, UringOptions};
use ringway::engine::{Engine, Event, Failure, Key, Owner, Slice, Socket};
use ringway::limits::COMPLETIONS_PER_TURN_MAX;
use ringway::sys::event_fd::EventFd;
use ringway::sys::socket;
use std::error::Error;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

/// As long as a shard of Ringway waits at most.
pub const TURN_MAX: Duration = Duration::from_millis(500);

/// Ringway's defaults.
pub const OPTIONS: UringOptions = UringOptions {
    ring_entries: 4096,
    receive_buffers: 1024,
    buffer_size: BUFFER_SIZE,
    private_buffers_max: 4096,
};

/// What is done with connections; everything below that is the same for both relays.
trait Policy {
    /// What is kept for each connection.
    type State: Default;

    /// A client came; it is being received from.
    fn accepted(&mut self, connections: &mut Connections<Self::State>, client: usize);

    /// Bytes came on a connection; they are the policy's.
    fn received(&mut self, connections: &mut Connections<Self::State>, from: usize, slice: Slice);

    /// The stream from a connection ended or broke, or it could not be made.
    fn ended(&mut self, connections: &mut Connections<Self::State>, from: usize);
}

/// Each client keeps one backend connection.
pub fn relay_connections(plan: Plan) -> Result<(), Box<dyn Error>> {
    let policy = Bare::new(plan.backends);
    run(policy, plan.listen)
}

/// Each request takes an idle backend connection from a pool.
pub fn relay_requests(plan: Plan) -> Result<(), Box<dyn Error>> {
    let policy = Http::new(plan.backends);
    run(policy, plan.listen)
}

fn run(policy: impl Policy, listen: std::net::SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = Socket(socket::listen(listen, BACKLOG)?.into_raw_fd());
    let engine = Uring::new(&OPTIONS, Arc::new(EventFd::new()?))?;
    let mut shard = Shard { connections: Connections::new(engine), policy, listener };
    shard.accept();
    loop {
        shard.turn()?;
    }
}

struct Shard<P: Policy> {
    connections: Connections<P::State>,
    policy: P,
    listener: Socket,
}

impl<P: Policy> Shard<P> {
    fn accept(&mut self) {
        let key = Key::new(Owner::Listener, 0, 0);
        self.connections.wire.engine.accept(self.listener, key, true);
    }

    fn turn(&mut self) -> Result<(), Box<dyn Error>> {
        let engine = &mut self.connections.wire.engine;
        engine.turn(engine.now() + TURN_MAX);
        for _ in 0..COMPLETIONS_PER_TURN_MAX {
            let Some(event) = self.connections.wire.engine.next_event() else { break };
            self.dispatch(event)?;
        }
        self.connections.flush();
        Ok(())
    }

    fn dispatch(&mut self, event: Event) -> Result<(), Box<dyn Error>> {
        let connections = &mut self.connections;
        match event {
            Event::Accepted { socket, more, .. } => {
                let client = connections.open(socket);
                self.policy.accepted(connections, client);
                if !more {
                    self.accept();
                }
            }
            Event::AcceptEnded { failure: Failure::OutOfDescriptors, .. } => {
                return Err("no descriptor left for a client: raise `ulimit -n`".into());
            }
            Event::AcceptEnded { .. } => self.accept(),
            Event::Connected { key, result } => {
                if let Some(failed) = connections.connected(key, result) {
                    self.policy.ended(connections, failed);
                }
            }
            Event::Received { key, buffer, length, flags } => {
                let slice = Slice { buffer, start: 0, end: length };
                if let Some(from) = connections.received(key, slice, flags.still_armed) {
                    self.policy.received(connections, from, slice);
                }
            }
            Event::ReceiveEnded { key, failure } => {
                if let Some(ended) = connections.receive_ended(key, failure) {
                    self.policy.ended(connections, ended);
                }
            }
            Event::Sent { key, result } => {
                if let Some(broken) = connections.sent(key, result) {
                    self.policy.ended(connections, broken);
                }
            }
            Event::Datagram { .. }
            | Event::DatagramLost { .. }
            | Event::Readable { .. }
            | Event::Woken => {}
        }
        Ok(())
    }
}
