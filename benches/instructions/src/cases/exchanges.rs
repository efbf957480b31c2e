//! Whole exchanges, relays, and datagrams of flows: the real shard over a scripted engine, events in,
//! verbs out.

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
    for protocol in [Protocol::Tcp, Protocol::TlsPassthrough] {
        cases.extend([false, true].map(|connection_each| relay(protocol, connection_each)));
    }
    cases.extend([(1, false), (64, false), (1, true), (64, true)].map(|(c, e)| flows(c, e)));
    cases
}

/// A request and its response, forwarded unread, where the connection may begin with a ClientHello
/// that it is routed by.
fn relay(protocol: Protocol, connection_each: bool) -> Case {
    let clients = 64;
    let (kind, greeting) = match protocol {
        Protocol::TlsPassthrough => ("behind a ClientHello", client_hello().leak() as &[u8]),
        _ => ("bytes", &b""[..]),
    };
    let each = if connection_each { "a connection each, " } else { "" };
    let script = Script {
        request: REQUEST,
        greeting,
        response: RESPONSE,
        clients,
        connection_each,
        is_udp: false,
    };
    Case::new(format!("relay, {kind}, {each}{clients} clients"), OPERATIONS, move |operations| {
        let mut shard = shard(script, |config| config.listeners[0].protocol = protocol);
        while shard.traffic().engine().answered < operations {
            shard.turn();
        }
    })
}

/// A ClientHello in one record, with a server name behind a post-quantum key share.
fn client_hello() -> Vec<u8> {
    let vector = |content: &[u8]| [&(content.len() as u16).to_be_bytes()[..], content].concat();
    let extension =
        |kind: u16, content: &[u8]| [&kind.to_be_bytes()[..], &vector(content)].concat();
    let name = [&[0][..], &vector(b"shop.example.com")].concat();
    let share = [&[0x11, 0xec][..], &vector(&[0x5a; 1_216])].concat();
    let extensions = [extension(51, &vector(&share)), extension(0, &vector(&name))].concat();
    let ciphers = vector(&[0x13, 0x01, 0x13, 0x02]);
    let body = [&[3, 3][..], &[7; 32], &[0], &ciphers, &[1, 0], &vector(&extensions)].concat();
    let length = (body.len() as u32).to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    [&[22, 3, 1][..], &vector(&message)].concat()
}

/// A request and its response, in a flow that goes on, or in a flow of their own.
fn flows(clients: u32, flow_each: bool) -> Case {
    let kind = if flow_each { "a flow each" } else { "flows that go on" };
    let script = Script {
        request: DATAGRAM,
        greeting: b"",
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
    let script = Script {
        request: REQUEST,
        greeting: b"",
        response: RESPONSE,
        clients,
        connection_each,
        is_udp: false,
    };
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
