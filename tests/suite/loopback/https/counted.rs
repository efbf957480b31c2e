//! Connections and requests of HTTPS in status and metrics, and what is no HTTP/2 there.

use super::*;
use serde_json::json;
use std::io::Write;

fn start(authority: &Authority, backend: &Origin, keys: &str) -> Operated {
    let Issued { chain, key } = authority.issue(&["a.test"]);
    let files = [("a.pem", &*chain), ("a-key.pem", &*key)];
    super::start(&files, &secure(backend, keys, &[("a", "")]))
}

/// A connection that stays, on which one request was answered.
fn served(
    caller: &Caller,
    address: SocketAddr,
) -> StreamOwned<ClientConnection, std::net::TcpStream> {
    let name = ServerName::try_from("a.test").expect("a name");
    let connection = ClientConnection::new(Arc::new(caller.config.clone()), name);
    let mut stream = StreamOwned::new(connection.expect("a configuration"), connect(address));
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").expect("sent");
    let mut heard = Vec::new();
    while !heard.ends_with(b"hello") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        heard.push(byte[0]);
    }
    stream
}

#[test]
fn connections_and_requests_of_https_count_like_those_of_http() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start(&authority, &backend, "");
    let caller = Caller::trusting(&authority);
    let address = secure.ringway.address;
    let mut held: Vec<_> = (0..3).map(|_| served(&caller, address)).collect();
    let web = || secure.json(&["status"])["listeners"][0].clone();
    let counts = |web: &serde_json::Value| {
        ["protocol", "connections", "accepted", "requests"].map(|key| web[key].clone())
    };
    let seen = web();
    assert_eq!(json!(counts(&seen)), json!(["https", 3, 3, 3]), "{seen}");
    assert!(seen["received_bytes"].is_null() && seen["datagrams"].is_null(), "{seen}");
    let status = secure.json(&["status"]);
    assert_eq!(status["routes"][0]["requests"], 3, "{status}");
    let metrics = secure.asked("GET /metrics", "");
    for (family, value) in [("connections", 3), ("accepted_total", 3), ("requests_total", 3)] {
        let begin = format!("ringway_listener_{family}{{listener=\"web\"");
        let line = metrics.lines().find(|line| line.starts_with(&begin));
        let ends = line.is_some_and(|line| line.ends_with(&format!(" {value}")));
        assert!(ends, "{family}: {line:?}");
    }
    held.truncate(1);
    await_that("two are gone", || web()["connections"] == 1);
    drop(held);
    await_that("all are gone", || web()["connections"] == 0);
    assert_eq!(json!(counts(&web())), json!(["https", 0, 3, 3]));
}

#[test]
fn http2_is_spoken_over_tls_only_where_it_was_agreed_on() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for keys in ["", "http2 = false"] {
        let secure = start(&authority, &backend, keys);
        for protocols in [vec![], vec![b"http/1.1".to_vec()]] {
            let mut caller = Caller::trusting(&authority);
            caller.config.alpn_protocols = protocols;
            let seen = caller.ask(secure.ringway.address, "a.test", preface).expect("an answer");
            assert!(seen.answer.starts_with("HTTP/1.1 505 "), "{keys}: {}", seen.answer);
        }
    }
    assert_eq!(backend.connections(), 0);
}
