//! Whole exchanges, and datagrams of flows: the real shard over a scripted engine, events in, verbs
//! out.

use super::Case;
use super::engine::{Script, ScriptedEngine};
use ringway::balance::Algorithm;
use ringway::base::{Generation, ShardId};
use ringway::config::{Backend, Config, FlowRules, Protocol};
use ringway::engine::{Socket, Wake};
use ringway::mailbox::{Mailbox, Shared};
use ringway::shard::{Shard, ShardParts};
use ringway::snapshot::{self, Registry};
use std::sync::Arc;

const OPERATIONS: u64 = 4_000;

const REQUEST: &[u8] = b"GET /bytes/128 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";

/// With a body of 128 bytes.
const RESPONSE: &[u8] = b"\
HTTP/1.1 200 OK\r\n\
Content-Type: application/octet-stream\r\n\
Content-Length: 128\r\n\
\r\n\
0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Of 100 bytes.
const DATAGRAM: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef\
    0123456789abcdef0123456789abcdef0123456789abcdef0123";

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [(1, false), (64, false), (1, true), (64, true)]
        .map(|(clients, each)| case(clients, each))
        .into();
    cases.extend([(1, false), (64, false), (1, true), (64, true)].map(|(c, e)| flows(c, e)));
    cases
}

/// A request and its response, in a flow that goes on, or in a flow of their own.
fn flows(clients: u32, flow_each: bool) -> Case {
    let kind = if flow_each { "a flow each" } else { "flows that go on" };
    let script = Script {
        request: DATAGRAM,
        response: DATAGRAM,
        clients,
        connection_each: false,
        is_udp: true,
    };
    Case::new(format!("datagrams, {kind}, {clients} clients"), OPERATIONS, move |operations| {
        let mut shard = shard(script, |config| {
            let listener = &mut config.listeners[0];
            listener.protocol = Protocol::Udp;
            if flow_each {
                listener.flows = FlowRules { requests: 1, responses: Some(1), ..listener.flows };
            }
        });
        while shard.traffic().engine().answered < operations {
            shard.turn();
        }
    })
}

fn case(clients: u32, connection_each: bool) -> Case {
    let kind = if connection_each { "a connection each" } else { "keep-alive" };
    let script =
        Script { request: REQUEST, response: RESPONSE, clients, connection_each, is_udp: false };
    Case::new(format!("exchange, {kind}, {clients} clients"), OPERATIONS, move |operations| {
        let mut shard = shard(script, |_| {});
        while shard.traffic().engine().answered < operations {
            shard.turn();
        }
    })
}

fn shard(script: Script, change: impl FnOnce(&mut Config)) -> Shard<ScriptedEngine> {
    let listener = "127.0.0.1:8080".parse().expect("an address");
    let backends = [0, 1, 2, 3].map(|port| Backend {
        address: format!("127.0.0.1:{}", 9000 + port).parse().expect("an address"),
        weight: 1,
    });
    let mut config = Config::quick(&[listener], &backends, Algorithm::P2c).expect("it is valid");
    change(&mut config);
    let sockets = [vec![Socket(0)]];
    let registry = &mut Registry::default();
    let snapshot = snapshot::build(&config, Generation(1), registry, &sockets, 1);
    let shared = Shared::new(1, 0, Arc::new(NoWake));
    let mailbox = Arc::new(Mailbox::new(ShardId(0), Arc::new(NoWake), shared));
    Shard::new(ShardParts {
        engine: ScriptedEngine::new(script),
        mailboxes: Arc::new([mailbox]),
        index: 0,
        snapshot: Arc::new(snapshot),
        access_log: None,
        seed: 1,
    })
}
