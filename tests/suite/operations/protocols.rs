//! Listeners of other protocols than HTTP, as operators see them.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, await_that, connect, read_to_end, status};
use crate::loopback::load::{Operated, signed};
use std::io::Write;
use std::net::Shutdown;

const LISTENERS: &str = "[[listener]]\nname = \"db\"\naddress = \"127.0.0.1:0\"\n\
    protocol = \"tcp\"\n\
    [[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:0\"\nprotocol = \"tls-passthrough\"\n\
    no_sni = \"reject\"\n\
    [[listener]]\nname = \"behind\"\naddress = \"127.0.0.1:0\"\nprotocol = \"tcp\"\n\
    proxy_protocol = \"require\"\n\
    [http]\ntrusted_proxies = [\"192.0.2.0/24\"]\n\
    [[route]]\nlistener = \"tls\"\nhost = \"*.a.test\"\nalpn = [\"h2\"]\npool = \"app\"\n\
    [[route]]\nlistener = \"tls\"\nhost = \"b.test\"\npool = \"app\"\n";

/// The address of a listener.
fn address(operated: &Operated, name: &str) -> String {
    let status = operated.json(&["status"]);
    let listeners = status["listeners"].as_array().cloned().unwrap_or_default();
    let found = listeners.iter().find(|listener| listener["name"] == name);
    let found = found.unwrap_or_else(|| panic!("there is no {name} in {status}"));
    found["address"].as_str().expect("a text").to_owned()
}

#[test]
fn explain_follows_a_connection() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let more = format!("{QUICK}{LISTENERS}");
    let operated = Operated::start(&config(&[origin.address], "", &more));
    let [db, tls, behind] =
        ["db", "tls", "behind"].map(|name| format!("tcp://{}", address(&operated, name)));
    for (arguments, expected, part) in [
        (&["explain", &db][..], 0, "pool   app: picked"),
        (&["explain", &db, "--expect-pool", "other"], 1, "pool   app: picked"),
        (&["explain", &tls, "--sni", "X.A.test", "--alpn", "x,h2"], 0, "alpn=h2"),
        (&["explain", &tls, "--sni", "b.test"], 0, "route  host b.test"),
        (&["explain", &tls, "--sni", "x.a.test"], 1, "no route matches server name `x.a.test`"),
        (&["explain", &tls], 1, "without a server name"),
        (&["explain", &behind, "--client", "192.0.2.7"], 0, "listener behind"),
        (&["explain", &behind, "--client", "203.0.113.1"], 1, "none of `http.trusted_proxies`"),
        (&["explain", "tcp://203.0.113.1:1"], 1, "no listener takes this connection"),
        (&["explain", "tcp://nowhere"], 2, "has no port"),
        (&["explain", "GET", "http://a.test/", "--listener", "db"], 1, "ask for tcp://HOST:PORT"),
        (&["explain", "GET"], 2, "the URL is missing"),
    ] {
        let (status, text) = operated.verb(arguments);
        assert_eq!(status, expected, "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    let request = operated.done(&["explain", "GET", "http://a.test/"]);
    assert!(request.contains("listener web") && !request.contains("listener db"), "{request}");
    let status = operated.done(&["status"]);
    assert!(status.contains("PROTOCOL") && status.contains("tls-passthrough"), "{status}");
}

#[test]
fn a_reload_changes_the_protocol_of_connections_that_come_later() {
    let origin = Origin::start(|mut stream| {
        let asked = read_to_end(&mut stream);
        let _ = stream.write_all(&asked);
    });
    let text = config(&[origin.address], "", "[pool.app.health]\nprotocol = \"none\"\n");
    let operated = Operated::start(&text);
    let sent = b"not HTTP\r\n\r\n";
    let answer = || {
        let mut stream = operated.ringway.connect();
        stream.write_all(sent).expect("sent");
        stream.shutdown(Shutdown::Write).expect("ended");
        read_to_end(&mut stream)
    };
    assert_eq!(status(&answer()), 400);
    operated.rewrite(&text.replacen("[pool.app]", "protocol = \"tcp\"\n[pool.app]", 1));
    let done = operated.done(&["reload"]);
    assert!(done.contains("protocol \"http\" -> \"tcp\""), "{done}");
    assert_eq!(answer(), sent);
    operated.rewrite(&text);
    operated.done(&["reload"]);
    assert_eq!(status(&answer()), 400);
}

#[test]
fn explain_says_where_the_key_of_a_connection_leads() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    for (key, asked) in [("client", ["--client", "192.0.2.7"]), ("sni", ["--sni", "b.test"])] {
        let pool = format!("algorithm = \"hash\"\nhash_key = \"{key}\"");
        let more = format!("{QUICK}{LISTENERS}");
        let operated = Operated::start(&config(&[origin.address], &pool, &more));
        let tls = format!("tcp://{}", address(&operated, "tls"));
        let name: &[&str] = if key == "sni" { &[] } else { &["--sni", "b.test"] };
        let text = operated.done(&[&["explain", &tls][..], name, &asked].concat());
        let expected = format!("hash of {key} (here {})", origin.address);
        assert!(text.contains(&expected), "{text}");
        let db = format!("tcp://{}", address(&operated, "db"));
        let text = operated.done(&["explain", &db]);
        assert!(text.contains(&format!("hash of {key} among")), "{text}");
    }
}

#[test]
fn explain_follows_a_flow() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let listener = "[[listener]]\nname = \"game\"\naddress = \"LISTEN\"\nprotocol = \"udp\"\n";
    let pool = "algorithm = \"hash\"\nhash_key = \"client-port\"";
    let text = config(&[origin.address], pool, &format!("{QUICK}{listener}"));
    let operated = Operated::start(&text);
    let udp = format!("udp://{}", address(&operated, "game"));
    let tcp = format!("tcp://{}", operated.ringway.address);
    let hashed = format!("hash of client-port (here {})", origin.address);
    for (arguments, expected, part) in [
        (&["explain", &udp][..], 0, "pool   app: picked by hash of client-port among"),
        (&["explain", &udp], 0, "that serve, for each new flow"),
        (&["explain", &udp, "--client", "192.0.2.7:5000"], 0, &*hashed),
        (&["explain", &udp, "--client", "[2001:db8::7]:5000"], 0, &hashed),
        (&["explain", &udp, "--client", "192.0.2.7"], 0, "hash of client-port among"),
        (&["explain", &udp, "--client", "192.0.2.7:"], 2, "write an IP address"),
        (&["explain", &udp, "--expect-pool", "app"], 0, "listener game"),
        (&["explain", &udp, "--sni", "a.test"], 2, "--sni is for connections"),
        (
            &["explain", "udp://203.0.113.1:1"],
            1,
            "no listener takes this flow; there are game (udp://",
        ),
        (&["explain", "udp://nowhere"], 2, "has no port"),
        (&["explain", &tcp], 1, "this listener reads requests"),
        (&["explain", "GET", "http://a.test/", "--listener", "game"], 1, "ask for udp://HOST:PORT"),
    ] {
        let (status, text) = operated.verb(arguments);
        assert_eq!(status, expected, "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    let asked = operated.json(&["explain", &udp, "--client", "192.0.2.7:5000"]);
    assert_eq!(asked["connection"]["client"], "192.0.2.7:5000", "{asked}");
    // Ports of one transport are none of the other.
    for (other, known) in
        [(udp.replacen("udp", "tcp", 1), "web"), (tcp.replacen("tcp", "udp", 1), "game")]
    {
        let (status, text) = operated.verb(&["explain", &other]);
        assert!(status == 1 && text.contains(known), "{other}: {text}");
    }
}

/// Sends these bytes over a connection to a listener, ends it, and returns what comes back.
fn echoed(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address.parse().expect("an address"));
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    read_to_end(&mut stream)
}

#[test]
fn connections_are_counted_and_named_as_what_they_are() {
    // Two bytes for each that comes.
    let origin = Origin::start(|mut stream| {
        let asked = read_to_end(&mut stream);
        let _ = stream.write_all(&asked.repeat(2));
    });
    let pool = "max_connections_per_backend = 1";
    let listeners = LISTENERS.replacen("\"tcp\"", "\"tcp\"\nmax_connections = 9", 1);
    let unprobed = "[pool.app.health]\nprotocol = \"none\"\n";
    let more = format!("{unprobed}{listeners}[access_log]\npath = \"FOLDER/access\"\n");
    let operated = Operated::start(&config(&[origin.address], pool, &more));
    let [db, tls, behind] = ["db", "tls", "behind"].map(|name| address(&operated, name));
    (0..3).for_each(|_| assert_eq!(echoed(&db, b"12345").len(), 10));
    let held = connect(db.parse().expect("an address"));
    await_that("it has its backend", || origin.connections() == 4);
    assert_eq!(echoed(&db, b"6"), b"", "its backend has as many as it may have");
    assert_eq!(echoed(&tls, b"no TLS"), b"");
    assert_eq!(echoed(&behind, b"PROXY TCP4"), b"", "not from a trusted proxy");
    let counted = || {
        let status = operated.json(&["status"]);
        let listeners = status["listeners"].as_array().cloned().unwrap_or_default();
        let keys = ["connections", "accepted", "refused", "received_bytes", "sent_bytes"];
        let of = |name: &str| {
            let found = listeners.iter().find(|one| one["name"] == name).expect("it listens");
            (keys.map(|key| found[key].as_u64()), found["requests"].as_u64())
        };
        (of("db"), of("tls"), of("behind"), of("web"))
    };
    let [zero, one, unread] = [Some(0), Some(1), None::<u64>];
    let db_counts = ([one, Some(5), one, Some(15), Some(30)], unread);
    let refused = ([zero, one, one, zero, zero], unread);
    let web = ([zero, zero, zero, None, None], zero);
    await_that("all are counted", || counted() == (db_counts, refused, refused, web));
    let backend = operated.backend(origin.address);
    let keys = ["connections", "connects", "in_flight", "received_bytes", "sent_bytes"];
    assert_eq!(keys.map(|key| backend[key].as_u64()), [1, 4, 1, 30, 15].map(Some), "{backend}");
    let metrics = operated.asked("GET /metrics", "");
    for line in [
        "ringway_listener_connections{listener=\"db\"} 1",
        "ringway_listener_refused_total{listener=\"tls\"} 1",
        "ringway_listener_sent_bytes_total{listener=\"db\"} 30",
        "ringway_route_connections_total{listener=\"tls\",host=\"*.a.test\",alpn=\"h2\"} 0",
        &format!("ringway_backend_connects_total{{pool=\"app\",backend=\"{}\"}} 4", origin.address),
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in {metrics}");
    }
    for part in ["requests_total{listener=\"db\"", "requests_total{listener=\"tls\""] {
        assert!(!metrics.contains(part), "a connection is no request: {metrics}");
    }
    let table = operated.done(&["status"]);
    let row = table.lines().find(|line| line.starts_with("db ")).expect("a row");
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words, ["db", "tcp", &db, "1/9", "5", "1", "-"]);
    drop(held);
    operated.await_nothing_left();
}

#[test]
fn routes_are_shown_by_what_their_listeners_tell_apart() {
    let origin = Origin::saying("x");
    let more = format!("{QUICK}{LISTENERS}[[route]]\npath = \"/a\"\npool = \"app\"\n");
    let operated = Operated::start(&config(&[origin.address], "", &more));
    let status = operated.json(&["status"]);
    let shown = |route: &serde_json::Value| {
        let texts = ["listener", "host", "path", "alpn"].map(|key| route[key].as_str());
        (texts.map(Option::<&str>::unwrap_or_default).join(" "), route["requests"].is_u64())
    };
    let routes: Vec<_> = status["routes"].as_array().expect("routes").iter().map(shown).collect();
    for (route, is_of_requests) in
        [("tls *.a.test  h2", false), ("tls b.test  ", false), (" * /a ", true)]
    {
        assert!(routes.contains(&(route.to_owned(), is_of_requests)), "{route} in {routes:?}");
    }
    let db = address(&operated, "db");
    let text = operated.done(&["explain", &format!("tcp://{db}")]);
    assert!(text.contains("route  host *\n"), "{text}");
    let (status, text) = operated.verb(&["explain", "GET", &format!("http://{db}/")]);
    assert!(status == 1 && text.contains("listener db reads no requests"), "{text}");
    let port = operated.ringway.address.port();
    let text = operated.done(&["explain", "GET", &format!("http://a.test:{port}/a/b")]);
    assert!(text.contains("route  host * path /a\n"), "{text}");
}
