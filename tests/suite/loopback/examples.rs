//! The files in `config/`, each with addresses of this machine in the place of its own, and driven
//! as their comments say.

use super::datagrams;
use super::harness::*;
use super::http2_backends::client::Http2Client;
use super::http2_backends::origin::Http2Origin;
use super::load::Operated;
use super::tcp::echo;
use super::tls_passthrough::{Client, Server};
use std::io::{Read, Write};
use std::net::{Shutdown, UdpSocket};

/// Runs a file of `config/` with these addresses in the place of its own; `LISTEN` stands for any
/// port.
fn started(file: &str, places: &[(&str, String)]) -> Operated {
    let path = format!("{}/config/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(path).expect("it is there");
    for (own, other) in places {
        assert!(text.contains(own), "{file} has no {own}");
        text = text.replace(own, other);
    }
    assert!(!text.contains("\"10.0.") && !text.contains("\"0.0.0.0"), "{file}: an address is left");
    Operated::start(&text)
}

fn here(port: &str) -> (&str, String) {
    (port, "LISTEN".to_owned())
}

#[test]
fn the_database_is_forwarded_and_its_replica_waits_for_weight() {
    let (primary, replica) = (
        echo(),
        Origin::start(|mut stream| {
            // With bytes unread its close would be a reset.
            read_to_end(&mut stream);
            let _ = stream.write_all(b"replica");
        }),
    );
    let operated = started(
        "tcp-database.toml",
        &[
            here("0.0.0.0:5432"),
            ("10.0.0.21:5432", primary.address.to_string()),
            ("10.0.0.22:5432", replica.address.to_string()),
        ],
    );
    let asks = || {
        let mut client = operated.ringway.connect();
        client.write_all(b"select").expect("sent");
        client.shutdown(Shutdown::Write).expect("ended");
        read_to_end(&mut client)
    };
    assert!((0..4).all(|_| asks() == b"select"), "the replica has no weight");
    let place = replica.address.to_string();
    operated.done(&["backend", "weight", "db", &place, "1000"]);
    await_that("the replica gets some", || asks() == b"replica");
}

#[test]
fn tls_goes_by_name_and_without_a_known_name_nowhere() {
    let shop = Server::of("shop", &["shop.example.com"]);
    let tenants = Server::of("tenants", &["a.tenants.example.com"]);
    let acme = Server::of("acme", &["a.tenants.example.com"]);
    let redirects = Origin::saying("moved");
    let (_held, refusing) = refusing();
    let operated = started(
        "tls-by-name.toml",
        &[
            here("0.0.0.0:443"),
            here("0.0.0.0:80"),
            ("10.0.0.11:443", shop.origin.address.to_string()),
            ("10.0.0.12:443", refusing.to_string()),
            ("10.0.0.31:443", tenants.origin.address.to_string()),
            ("10.0.0.41:443", acme.origin.address.to_string()),
            ("10.0.0.51:8080", redirects.address.to_string()),
        ],
    );
    let at = operated.address_of("tls");
    let client = Client::trusting(&[&shop, &tenants], &["h2"], true);
    assert_eq!(client.hears("shop.example.com", connect(at)).expect("a server"), "shop");
    assert_eq!(client.hears("a.tenants.example.com", connect(at)).expect("a server"), "tenants");
    let challenge = Client::trusting(&[&acme], &["acme-tls/1"], true);
    // The server of this test refuses the protocol; that it is asked shows where the route leads.
    let asked = acme.origin.connections();
    assert!(challenge.hears("a.tenants.example.com", connect(at)).is_err());
    assert!(acme.origin.connections() > asked);
    assert!(client.hears("other.example.com", connect(at)).is_err());
    let unnamed = Client::trusting(&[&shop], &["h2"], false);
    assert!(unnamed.hears("shop.example.com", connect(at)).is_err(), "`no_sni` is \"reject\"");
    let mut web = connect(operated.address_of("web"));
    web.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").expect("sent");
    assert_eq!(body(&read_to_end(&mut web)), b"moved");
}

#[test]
fn behind_a_balancer_the_announced_client_counts_and_is_announced_on() {
    let app = Origin::http(|head, _| ok(head.as_bytes()));
    let mail = Origin::start(|mut stream| {
        let _ = stream.write_all(b"220 mail.example.com\r\n");
        let mut header = [0; 28];
        if stream.read_exact(&mut header).is_ok() {
            let _ = stream.write_all(&header[16..20]);
        }
    });
    let operated = started(
        "behind-a-balancer.toml",
        &[
            ("[\"10.0.0.2\", \"10.0.0.3\"]", "[\"127.0.0.1\"]".to_owned()),
            here("0.0.0.0:8080"),
            here("0.0.0.0:25"),
            ("10.0.0.11:8080", app.address.to_string()),
            ("10.0.0.61:25", mail.address.to_string()),
        ],
    );
    let announced = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n";
    let mut web = connect(operated.address_of("web"));
    web.write_all(announced).expect("sent");
    web.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").expect("sent");
    let answer = String::from_utf8(read_to_end(&mut web)).expect("text");
    assert!(answer.contains("X-Forwarded-For: 192.0.2.7\r\n"), "{answer}");
    let mut client = connect(operated.address_of("mail"));
    client.write_all(announced).expect("sent");
    let told = read_to_end(&mut client);
    assert_eq!(told, [b"220 mail.example.com\r\n", &[192, 0, 2, 7][..]].concat());
    let mut unannounced = connect(operated.address_of("mail"));
    unannounced.write_all(b"HELO x\r\n").expect("sent");
    assert_eq!(read_to_end(&mut unannounced), b"", "closed without a header");
}

/// A game server: answers the query of lists with four bytes 255, everything else with its name.
fn game_server(name: &'static str) -> datagrams::Server {
    datagrams::Server::start("127.0.0.1", move |asked, _| {
        match asked.strip_prefix(b"\xff\xff\xff\xff") {
            Some(b"TSource Engine Query\0") => vec![b"\xff\xff\xff\xffA1234".to_vec()],
            _ => vec![name.as_bytes().to_vec()],
        }
    })
}

#[test]
fn a_player_stays_at_one_game_server_and_finds_it_again() {
    let servers = ["one", "two"].map(game_server);
    let operated = started(
        "udp-game.toml",
        &[
            here("0.0.0.0:27015"),
            ("10.0.0.71:27015", servers[0].address.to_string()),
            ("10.0.0.72:27015", servers[1].address.to_string()),
        ],
    );
    let healthy = || operated.json(&["status"])["pools"][0]["healthy"] == 2;
    await_that("both answer the query", healthy);
    let at = operated.address_of("game");
    let player = datagrams::Client::of(at);
    let first = player.ask(b"move");
    for _ in 0..20 {
        assert_eq!(player.ask(b"move"), first, "a flow keeps its backend");
    }
    // From another port of the same address, and of any of its players.
    for _ in 0..5 {
        assert_eq!(datagrams::Client::of(at).ask(b"join"), first, "the key is the address");
    }
    let place = servers[usize::from(first == b"two")].address.to_string();
    operated.done(&["backend", "drain", "game", &place]);
    let other = if first == b"one" { b"two" } else { b"one" };
    assert_eq!(player.ask(b"move"), other, "a drained server hands its players over");
    let listener = &operated.json(&["status"])["listeners"][0];
    assert_eq!(listener["connections"], 6, "flows: {listener}");
    let datagrams = &listener["datagrams"];
    let counts = ["received", "sent", "dropped"].map(|key| datagrams[key].as_u64());
    assert_eq!(counts, [Some(27), Some(27), Some(0)], "{listener}");
    let bytes = ["received_bytes", "sent_bytes"].map(|key| listener[key].as_u64());
    assert_eq!(bytes, [Some(27 * 4), Some(27 * 3)], "{listener}");
    let backends = operated.json(&["status"])["pools"][0]["backends"].clone();
    let sum = |key: &str| {
        let all = backends.as_array().into_iter().flatten();
        all.filter_map(|backend| backend[key].as_u64()).sum::<u64>()
    };
    let sums = ["connects", "connections", "in_flight", "received_bytes", "sent_bytes"].map(sum);
    assert_eq!(sums, [7, 6, 6, 27 * 3, 27 * 4], "{backends}");
    let shown = operated.done(&["status"]);
    assert!(shown.contains("UDP LISTENER") && shown.contains("game"), "{shown}");
    assert_eq!(operated.metric("ringway_listener_datagrams_total"), 54);
}

/// The answer to a query (RFC 1035, 4.1): the question again, and one record.
fn dns_answer(query: &[u8], number: u8) -> Option<Vec<u8>> {
    let mut answer = query.to_vec();
    let flags = answer.get_mut(2..4)?;
    flags.copy_from_slice(&[0x81, 0x80]);
    answer.get_mut(6..8)?.copy_from_slice(&[0, 1]);
    // A pointer to the name, A, IN, a TTL of a minute, four bytes.
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, number]);
    Some(answer)
}

fn dns_query(id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend(b"\x03www\x07example\x03com\0\0\x01\0\x01");
    query
}

/// A server of DNS over TCP: each message has its length in front (RFC 1035, 4.2.2).
fn dns_origin(number: u8) -> Origin {
    Origin::start(move |mut stream| {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut query = vec![0; u16::from_be_bytes(length).into()];
            if stream.read_exact(&mut query).is_err() {
                return;
            }
            let answer = dns_answer(&query, number).expect("it is a query");
            let length = (answer.len() as u16).to_be_bytes();
            if stream.write_all(&[&length[..], &answer].concat()).is_err() {
                return;
            }
        }
    })
}

/// A server of DNS by both transports on one port, whose answers end with `number`.
fn dns_server(number: u8) -> (Origin, datagrams::Server) {
    loop {
        let origin = dns_origin(number);
        // The port may be somebody else's by UDP.
        if let Ok(socket) = UdpSocket::bind(origin.address) {
            let answer = move |query: &[u8], _| dns_answer(query, number).into_iter().collect();
            return (origin, datagrams::Server::on(socket, answer));
        }
    }
}

/// The id of an answer, and its last byte.
fn id_and_number(answer: &[u8]) -> (u16, u8) {
    let number = *answer.last().expect("it is not empty");
    (u16::from_be_bytes([answer[0], answer[1]]), number)
}

#[test]
fn each_question_to_dns_goes_to_any_server_and_its_flow_ends_with_the_answer() {
    let (one, two) = (dns_server(1), dns_server(2));
    let operated = started(
        "dns.toml",
        &[
            here("0.0.0.0:53"),
            ("10.0.0.53:53", one.0.address.to_string()),
            ("10.0.0.54:53", two.0.address.to_string()),
        ],
    );
    let healthy = |count: u64| {
        await_that("the probes see it", || {
            operated.json(&["status"])["pools"][0]["healthy"].as_u64() == Some(count)
        });
    };
    healthy(2);
    let client = datagrams::Client::of(operated.address_of("dns"));
    let ask = |ids: std::ops::Range<u16>| -> Vec<u8> {
        let answered = |id| match id_and_number(&client.ask(&dns_query(id))) {
            (answered, number) if answered == id => number,
            other => panic!("{other:?} for {id}"),
        };
        ids.map(answered).collect()
    };
    let numbers = ask(0..100);
    assert!(numbers.contains(&1) && numbers.contains(&2), "from one port: {numbers:?}");
    await_that("no flow is left", || operated.metric("ringway_listener_connections") == 0);
    assert_eq!(operated.metric("ringway_flows_opened_total"), 100, "one for each question");

    let mut stream = connect(operated.address_of("dns-tcp"));
    for id in 0..3 {
        let query = dns_query(id);
        let length = (query.len() as u16).to_be_bytes();
        stream.write_all(&[&length[..], &query].concat()).expect("sent");
        let mut answer = vec![0; 2 + query.len() + 16];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(id_and_number(&answer[2..]).0, id);
    }

    drop(one.1);
    healthy(1);
    assert!(ask(100..120).iter().all(|number| *number == 2));
}

#[test]
fn calls_of_grpc_go_to_the_services_that_are_served() {
    let (served, (_held, refusing)) = (Http2Origin::start(), refusing());
    let operated = started(
        "grpc.toml",
        &[
            here("0.0.0.0:50051"),
            ("10.0.0.71:50051", served.address.to_string()),
            ("10.0.0.72:50051", refusing.to_string()),
        ],
    );
    let client = Http2Client::connect(operated.ringway.address);
    await_that("the service is found to be served", || {
        let answered = client.calls("/shop.Cart/Add", &[], b"\0\0\0\0\0").expect("an answer");
        answered.status == 200 && answered.body == b"hello"
    });
    let elsewhere = client.calls("/shop.Stock/Count", &[], b"\0\0\0\0\0").expect("an answer");
    assert_eq!(elsewhere.field("grpc-status"), Some("12"), "UNIMPLEMENTED: there is no route");
}
