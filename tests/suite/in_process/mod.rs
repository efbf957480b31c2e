//! Shards on the real engine in this process, where a test can look inside: what they allocate,
//! what they never free, and what happens when one panics.

mod allocations;
mod panics;
mod snapshots;

use ringway::balance::Algorithm;
use ringway::base::{Generation, ShardId};
use ringway::config::{Backend, Config};
use ringway::coordinator::{self, BellReceiver};
use ringway::engine::Socket;
use ringway::engine::uring::UringOptions;
use ringway::mailbox::{Mailbox, Shared};
use ringway::snapshot::{self, Registry, Snapshot};
use ringway::sys::event_fd::EventFd;
use ringway::sys::socket;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::sync::Arc;

const OPTIONS: UringOptions = UringOptions {
    ring_entries: 256,
    receive_buffers: 64,
    buffer_size: 16 * 1024,
    private_buffers_max: 1024,
};

/// Everything that some shards need but their threads.
struct Stage {
    config: Config,
    sockets: Vec<Socket>,
    bell: BellReceiver,
    address: SocketAddr,
    wakes: Vec<Arc<EventFd>>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    snapshot: Arc<Snapshot>,
}

fn stage(shards: usize, backend: SocketAddr) -> Stage {
    let any = "127.0.0.1:0".parse().expect("an address");
    let first = socket::listen(any, 128).expect("a port");
    let address = socket::local_address(&first).expect("bound");
    let siblings = (1..shards).map(|_| socket::listen(address, 128).expect("shared"));
    let sockets = std::iter::once(first).chain(siblings);
    let sockets: Vec<Socket> = sockets.map(|socket| Socket(socket.into_raw_fd())).collect();
    let wakes: Vec<_> =
        (0..shards).map(|_| Arc::new(EventFd::new().expect("an eventfd"))).collect();
    let (ringing, bell) = coordinator::bell().expect("a socket pair");
    let shared = Shared::new(shards, 0, Arc::new(ringing));
    let mailbox = |(index, wake): (usize, &Arc<EventFd>)| {
        let shard = ShardId(index as u16);
        Arc::new(Mailbox::new(shard, wake.clone(), shared.clone()))
    };
    let mailboxes = wakes.iter().enumerate().map(mailbox).collect();
    let backends = [Backend { address: backend, weight: 1 }];
    let config = Config::quick(&[address], &backends, Algorithm::P2c).expect("it is well");
    let registry = &mut Registry::default();
    let snapshot =
        snapshot::build(&config, Generation(1), registry, std::slice::from_ref(&sockets), shards);
    let snapshot = Arc::new(snapshot);
    Stage { config, sockets, bell, address, wakes, mailboxes, snapshot }
}
