//! What a shard needs for a flow, counted by the allocator, and which flows end when there are too
//! many. `RINGWAY_FLOWS` flows; the kernel's part of each, a socket, is not in it.

use super::bare::Bare;
use super::scene::address;
use super::shards;
use crate::counting::held_bytes;
use crate::drilling::{record, size};
use ringway::balance::Algorithm;
use ringway::base::{Generation, ListenerId};
use ringway::config::{self, Config, FlowRules, Protocol};
use ringway::engine::Socket;
use ringway::mailbox::{Mailbox, Stage};
use ringway::shard::{Shard, ShardParts};
use ringway::snapshot::{self, Registry};
use ringway::stats::{CloseReason, Counter};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that a flow may need.
const BYTES_MAX: f64 = 300.0;
/// Flows that begin in one turn.
const AT_ONCE: usize = 64;

struct Scene {
    shard: Shard<Bare>,
    mailbox: Arc<Mailbox>,
    asked: usize,
}

fn client(number: usize) -> SocketAddr {
    let [a, b, c, _] = ((number as u32 / 50) << 8).to_be_bytes();
    ([10, a, b, c], 1_024 + (number % 50) as u16).into()
}

impl Scene {
    /// A listener that may have so many flows; `most` of them are going to begin.
    fn new(limit: usize, most: usize) -> Self {
        let mailboxes = shards::mailboxes(1, 0);
        let backends = [0, 1, 2].map(|slot| config::Backend { address: address(slot), weight: 1 });
        let listen = SocketAddr::from(([192, 0, 2, 3], 53));
        let mut config = Config::quick(&[listen], &backends, Algorithm::P2c).expect("it is well");
        config.runtime.max_connections = 1;
        config.listeners[0].protocol = Protocol::Udp;
        config.listeners[0].flows = FlowRules { max_flows: limit as u32, ..FlowRules::default() };
        let (registry, sockets) = (&mut Registry::default(), [vec![Socket(7)]]);
        let snapshot = snapshot::build(&config, Generation(1), registry, &sockets, 1);
        let shard = Shard::new(ShardParts {
            engine: Bare::new(most),
            mailboxes: mailboxes.clone(),
            index: 0,
            snapshot: Arc::new(snapshot),
            access_log: None,
            seed: 1,
        });
        Self { shard, mailbox: mailboxes[0].clone(), asked: 0 }
    }

    fn engine(&mut self) -> &mut Bare {
        self.shard.traffic().engine()
    }

    fn turn(&mut self) {
        self.shard.turn();
        self.engine().pass(Duration::from_micros(10));
    }

    /// So many further clients ask, each for a flow, and are answered.
    fn begin(&mut self, flows: usize) {
        let last = self.asked + flows;
        while self.asked < last {
            let next = last.min(self.asked + AT_ONCE);
            for number in self.asked..next {
                self.engine().ask(client(number), [192, 0, 2, 3].into());
            }
            self.turn();
            assert_eq!(self.engine().flows(), next, "each begins at once");
            (self.asked..next).for_each(|flow| self.engine().answer(flow));
            self.turn();
            self.asked = next;
        }
    }
}

/// Bytes that a shard has allocated when so many flows have begun and were answered.
fn bytes_with(flows: usize) -> i64 {
    let before = held_bytes();
    let mut scene = Scene::new(flows, flows);
    scene.begin(flows);
    assert_eq!(scene.engine().sent, [flows as u64; 2]);
    assert_eq!(scene.shard.traffic().flows().len(), flows);
    // What the engine keeps is not the shard's.
    let own = size_of::<Option<ringway::engine::Key>>() + size_of::<usize>();
    held_bytes() - before - (flows * own) as i64
}

#[test]
fn a_flow_needs_few_bytes_and_the_one_that_is_idle_for_longest_ends_first() {
    let flows = size("RINGWAY_FLOWS", 20_000, 100_000);
    let bytes = (bytes_with(flows) - bytes_with(1)) as f64 / (flows - 1) as f64;
    record("flows of UDP", "flows", flows);
    record("flows of UDP", "bytes for each in user space", format!("{bytes:.0}"));
    assert!(bytes <= BYTES_MAX, "{bytes:.1} bytes for each of {flows} flows");

    let (more, kept) = (flows / 10, flows / 100);
    let mut scene = Scene::new(flows, flows + more);
    scene.begin(flows);
    // The first ones are used again: others are the oldest now.
    (0..kept).for_each(|flow| scene.engine().answer(flow));
    scene.turn();
    scene.begin(more);
    for _ in 0..4 {
        scene.turn();
    }
    let expected: Vec<usize> = (kept..kept + more).collect();
    assert_eq!(scene.engine().closed, expected, "the oldest ones, in their order");
    let counters = &scene.mailbox.counters;
    assert_eq!(counters.read_closes(CloseReason::FlowEvicted), more as u64);
    assert_eq!(counters.read(Counter::FlowsOpened), (flows + more) as u64);
    assert_eq!(scene.shard.traffic().flows().len(), flows);

    scene.mailbox.order(Stage::Ending);
    while !scene.shard.is_over() {
        scene.turn();
        scene.engine().pass(Duration::from_secs(1));
    }
    assert_eq!(scene.engine().closed.len(), flows + more, "each socket is closed");
    let ledger = &scene.mailbox.shared.ledger;
    let open: u32 = ledger.listeners(ListenerId(0)).map(|cell| cell.sessions()).sum();
    assert_eq!((open, scene.shard.traffic().flows().len()), (0, 0), "nothing is left");
}
