//! Clients of every protocol that go away in every state that a connection can be in: nothing of
//! them is left.

use super::harness::*;
use super::https::{Authority, start};
use super::load::{Operated, echoing};
use super::tcp::echo;
use super::tls_passthrough::Client;
use crate::drilling::{record, size};
use ringway::base::Prng;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Connections that are open at the same time.
const HELD: usize = 200;

/// What a client sends, and what it waits for before it goes away.
struct State {
    listener: SocketAddr,
    sent: Vec<u8>,
    awaited: Awaited,
}

#[derive(Clone, Copy)]
enum Awaited {
    Nothing,
    /// The first byte that comes.
    Byte,
    /// The end of what is answered at once.
    Text(&'static [u8]),
}

const LISTENERS: [(&str, &str, &str); 5] = [
    ("tcp", "tcp", ""),
    ("sni", "tls-passthrough", ""),
    ("web", "http", ""),
    ("behind", "http", "proxy_protocol = \"require\""),
    ("secure", "https", ""),
];

fn configuration(bytes: SocketAddr, http: SocketAddr) -> String {
    let mut text = String::from(
        "[runtime]\nshards = 1\n[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
         [[certificate]]\nchain = \"shop.pem\"\nkey = \"shop-key.pem\"\n",
    );
    for (name, protocol, more) in LISTENERS {
        let pool = if ["tcp", "sni"].contains(&name) { "bytes" } else { "app" };
        text += &format!(
            "[[listener]]\nname = \"{name}\"\naddress = \"LISTEN\"\nprotocol = \"{protocol}\"\n\
             {more}\n[[route]]\nlistener = \"{name}\"\npool = \"{pool}\"\n"
        );
    }
    for (pool, address) in [("bytes", bytes), ("app", http)] {
        text += &format!(
            "[pool.{pool}.health]\nprotocol = \"none\"\n[[pool.{pool}.backend]]\n\
             address = \"{address}\"\n"
        );
    }
    text
}

fn states(operated: &Operated) -> Vec<State> {
    let hello = Client::trusting(&[], &["h2"], true).hello("shop.test");
    let half = &hello[..hello.len() / 2];
    let get = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let head = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n";
    let chunked = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
    let upgrade =
        b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n";
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = b"\0\0\0\x04\0\0\0\0\0";
    // A complete GET, the head of a POST, and half a frame of its body.
    let get2 = [&b"\0\0\x06\x01\x05\0\0\0\x01"[..], b"\x82\x86\x84\x41\x01t"].concat();
    let post2 = [&b"\0\0\x06\x01\x04\0\0\0\x01"[..], b"\x83\x86\x84\x41\x01t"].concat();
    let data = [&b"\0\0\x64\0\0\0\0\0\x01"[..], &[b'x'; 50]].concat();
    let opened = [&preface[..], settings].concat();
    use Awaited::{Byte, Nothing, Text};
    let table: &[(&str, &[&[u8]], Awaited)] = &[
        ("tcp", &[], Nothing),
        ("tcp", &[b"some"], Nothing),
        ("tcp", &[&[b'x'; 100_000]], Nothing),
        ("tcp", &[b"some"], Text(b"some")),
        ("sni", &[], Nothing),
        ("sni", &[half], Nothing),
        ("sni", &[&hello], Byte),
        ("sni", &[b"no hello"], Nothing),
        ("behind", &[], Nothing),
        ("behind", &[b"PROXY TCP4 192."], Nothing),
        ("behind", &[b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f"], Nothing),
        ("behind", &[line], Nothing),
        ("behind", &[line, &get[..10]], Nothing),
        ("behind", &[line, get], Text(b"plain")),
        ("behind", &[line, &get[..10], &[0; 40]], Nothing),
        ("web", &[], Nothing),
        ("web", &[&get[..20]], Nothing),
        ("web", &[head], Nothing),
        ("web", &[head, &[b'x'; 50_000]], Nothing),
        ("web", &[chunked], Nothing),
        ("web", &[get], Nothing),
        ("web", &[get], Text(b"plain")),
        ("web", &[get, get, get, &get[..7]], Text(b"plain")),
        ("web", &[upgrade], Text(b"\r\n\r\n")),
        ("web", &[upgrade, b"echoed"], Text(b"echoed")),
        ("web", &[&preface[..12]], Nothing),
        ("web", &[&opened], Byte),
        ("web", &[&opened, &get2[..11]], Nothing),
        ("web", &[&opened, &get2], Text(b"plain")),
        ("web", &[&opened, &post2], Nothing),
        ("web", &[&opened, &post2, &data], Nothing),
        ("secure", &[], Nothing),
        ("secure", &[half], Nothing),
        ("secure", &[&hello], Nothing),
        ("secure", &[&hello], Byte),
        ("secure", &[get], Byte),
    ];
    let addresses: Vec<(&str, SocketAddr)> =
        LISTENERS.iter().map(|(name, ..)| (*name, operated.address_of(name))).collect();
    let address =
        |name: &str| addresses.iter().find(|(known, _)| *known == name).expect("listed").1;
    let state = |(name, parts, awaited): &(&str, &[&[u8]], Awaited)| State {
        listener: address(name),
        sent: parts.concat(),
        awaited: *awaited,
    };
    table.iter().map(state).collect()
}

impl State {
    fn enter(&self) -> TcpStream {
        let mut stream = connect(self.listener);
        // One that is refused early may be closed already.
        let _ = stream.write_all(&self.sent);
        match self.awaited {
            Awaited::Nothing => {}
            Awaited::Byte => {
                let _ = stream.read(&mut [0]).expect("it is answered");
            }
            Awaited::Text(end) => drop(read_until(&mut stream, end)),
        }
        stream
    }
}

/// Goes away: with an end, with a reset, or with a direction ended before the other.
fn leave(stream: TcpStream, prng: &mut Prng) {
    match prng.below(3) {
        0 => drop(socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
        1 => drop(stream.shutdown(Shutdown::Write)),
        _ => {}
    }
}

#[test]
fn nothing_is_left_of_clients_that_go_away_in_any_state() {
    let authority = Authority::new();
    let shop = authority.issue(&["shop.test"]);
    let (bytes, http) = (echo(), Origin::start(echoing));
    let files = [("shop.pem", &*shop.chain), ("shop-key.pem", &shop.key)];
    let operated = start(&files, &configuration(bytes.address, http.address));
    let before = operated.own_descriptors();
    let states = states(&operated);
    let total = size("RINGWAY_LEAVING", 20 * states.len(), 10_000);
    let mut prng = Prng::new(11);
    let mut held = Vec::with_capacity(HELD);
    for number in 0..total {
        // Each state is entered, and in an order that differs from round to round.
        let at = (number + prng.below(3) as usize) % states.len();
        if held.len() == HELD {
            leave(held.swap_remove(prng.below(HELD as u32) as usize), &mut prng);
        }
        held.push(states[at].enter());
    }
    held.into_iter().for_each(|stream| leave(stream, &mut prng));
    operated.await_nothing_left();
    await_that("descriptors return", || operated.own_descriptors() <= before);
    let [begun, ended] = ["ringway_connections_accepted_total", "ringway_sessions_closed_total"]
        .map(|name| operated.metric(name));
    record("connections dropped in every state", "of which nothing is left", total);
    record("connections dropped in every state", "states", states.len());
    assert_eq!(begun, ended, "each session has ended once");
}
