//! Whole exchanges: the real shard over a scripted engine, events in, verbs out.

use super::Case;
use super::engine::{Script, ScriptedEngine};
use ringway::balance::Algorithm;
use ringway::base::{Generation, ShardId};
use ringway::config::{Backend, Config};
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

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

pub(super) fn cases() -> Vec<Case> {
    [(1, false), (64, false), (1, true), (64, true)]
        .map(|(clients, each)| case(clients, each))
        .into()
}

fn case(clients: u32, connection_each: bool) -> Case {
    let kind = if connection_each { "a connection each" } else { "keep-alive" };
    let script = Script { request: REQUEST, response: RESPONSE, clients, connection_each };
    Case::new(format!("exchange, {kind}, {clients} clients"), OPERATIONS, move |operations| {
        let mut shard = shard(script);
        while shard.traffic().engine().answered < operations {
            shard.turn();
        }
    })
}

fn shard(script: Script) -> Shard<ScriptedEngine> {
    let listener = "127.0.0.1:8080".parse().expect("an address");
    let backends = [0, 1, 2, 3].map(|port| Backend {
        address: format!("127.0.0.1:{}", 9000 + port).parse().expect("an address"),
        weight: 1,
    });
    let config = Config::quick(&[listener], &backends, Algorithm::P2c).expect("it is valid");
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
