//! Nobody is late for want of our receive buffers, wherever an exchange stands; who does not take
//! what waits for him is.

use super::scene::Scene;
use crate::loopback::harness::TempFolder;
use ringway::access_log::{self, Destination, Format};
use ringway::config::{AccessLog, BackendHttp, LogPath, Timeouts};
use ringway::snapshot::Share;
use serde_json::json;
use std::time::Duration;

/// Each of them is over several times while buffers are short.
const SHORT: Duration = Duration::from_millis(200);
const SHORTAGE: Duration = Duration::from_secs(2);

fn scene() -> Scene {
    let timeouts = Timeouts {
        request_head: SHORT,
        between_bytes: SHORT,
        tunnel: SHORT,
        ..Timeouts::default()
    };
    Scene::new(&[Share::Weight(1)], timeouts)
}

#[test]
fn a_100_that_cannot_be_read_is_no_fault_of_the_client_that_waits_for_it() {
    let mut scene = scene();
    let client = scene.client();
    let fields = "Host: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n";
    scene.say(client, &format!("POST / HTTP/1.1\r\n{fields}\r\n"));
    let (backend, _) = scene.connected();
    assert!(scene.heard(backend).starts_with("POST / HTTP/1.1\r\n"));
    scene.starve(backend);
    scene.say(backend, "HTTP/1.1 100 Continue\r\n\r\n");
    scene.pass(SHORTAGE);
    assert_eq!((scene.heard(client).as_str(), scene.is_closed(client)), ("", false));
    scene.feed();
    assert_eq!(scene.heard(client), "HTTP/1.1 100 Continue\r\n\r\n");
    scene.say(client, "hello");
    assert_eq!(scene.heard(backend), "hello");
    scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert!(scene.heard(client).ends_with("\r\n\r\nok"));
}

#[test]
fn a_backend_that_waits_for_the_rest_of_an_upload_is_not_charged() {
    let mut scene = scene();
    let client = scene.client();
    scene.say(client, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nfirst");
    let (backend, _) = scene.connected();
    scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    assert!(scene.heard(client).ends_with("\r\n\r\nfirst"));
    scene.heard(backend);
    scene.starve(client);
    scene.say(client, "other");
    scene.pass(SHORTAGE);
    assert!(!scene.is_closed(client) && !scene.is_closed(backend));
    scene.feed();
    assert_eq!(scene.heard(backend), "other");
    scene.say(backend, "other");
    assert_eq!(scene.heard(client), "other");
    assert_eq!((scene.told(), scene.failures(0)), (Vec::new(), 0));
}

#[test]
fn a_backend_that_is_silent_after_a_whole_request_is_late_whatever_the_client_sends_next() {
    let mut scene = scene();
    let client = scene.client();
    scene.say(client, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    scene.starve(client);
    scene.say(client, "GET /next HTTP/1.1\r\nHost: t\r\n\r\n");
    scene.pass(SHORTAGE);
    assert!(scene.heard(client).starts_with("HTTP/1.1 504 "));
    assert_eq!(scene.failures(0), 1);
}

#[test]
fn a_tunnel_whose_bytes_cannot_be_received_is_not_idle() {
    for is_client in [true, false] {
        let mut scene = scene();
        let client = scene.client();
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        scene.say(client, &format!("GET / HTTP/1.1\r\nHost: t\r\n{upgrade}"));
        let (backend, _) = scene.connected();
        scene.say(backend, &format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}"));
        assert!(scene.heard(client).starts_with("HTTP/1.1 101 "));
        scene.heard(backend);
        let (from, to) = if is_client { (client, backend) } else { (backend, client) };
        scene.starve(from);
        scene.say(from, "late");
        scene.pass(SHORTAGE);
        assert!(!scene.is_closed(client), "cut, and {from} had something to say");
        scene.feed();
        assert_eq!(scene.heard(to), "late");
        scene.pass(SHORTAGE);
        assert!(scene.is_closed(client) && scene.is_closed(backend), "now it is idle");
    }
}

/// A client whose first answer is still on its way to it, and that has sent half a second head.
fn half_a_head_behind_an_answer(scene: &mut Scene) -> i32 {
    let client = scene.client();
    scene.network.borrow_mut().meanness.peer_bytes_max = 1;
    scene.say(client, "GET /1 HTTP/1.1\r\nHost: t\r\n\r\nGET /2 HTT");
    let (backend, _) = scene.connected();
    scene.network.borrow_mut().meanness.peer_bytes_max = 1 << 20;
    scene.turns(2);
    scene.network.borrow_mut().meanness.peer_bytes_max = 1;
    let body = "x".repeat(10_000);
    scene.say(backend, &format!("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n{body}"));
    scene.starve(client);
    scene.say(client, "P/1.1\r\nHost: t\r\n\r\n");
    client
}

#[test]
fn a_head_that_cannot_be_received_behind_an_answer_that_is_read_slowly_is_waited_for() {
    let mut scene = scene();
    let client = half_a_head_behind_an_answer(&mut scene);
    scene.pass(SHORTAGE);
    assert!(!scene.is_closed(client), "{}", scene.heard(client));
    scene.network.borrow_mut().meanness.peer_bytes_max = 1 << 20;
    scene.feed();
    let text = scene.heard(client);
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "no 408 behind it: {text}");
    let (backend, _) = scene.connected();
    assert!(scene.heard(backend).contains("GET /2 HTTP/1.1\r\n"));
    scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
    assert!(scene.heard(client).ends_with("second"));
}

#[test]
fn a_client_that_does_not_read_is_cut_also_while_it_cannot_be_heard() {
    let mut scene = scene();
    let client = half_a_head_behind_an_answer(&mut scene);
    scene.network.borrow_mut().meanness.peer_bytes_max = 0;
    scene.pass(SHORTAGE);
    assert!(scene.is_closed(client));
}

/// The lines of the access log of a scene in which a client does something without any buffer left
/// for it.
fn lines_of(what: &str, act: impl FnOnce(&mut Scene, i32)) -> Vec<serde_json::Value> {
    let folder = TempFolder::new();
    let path = folder.0.join("access.log");
    let destination = Destination::File(path.clone());
    let (sender, writer) = access_log::start(&destination, Format::Json, 64).expect("it starts");
    let mut scene = Scene::recorded(&[Share::Weight(1)], Some(sender), |config| {
        config.timeouts.request_head = SHORT;
        config.access_log = Some(AccessLog::at(LogPath::File(path.clone())));
    });
    let client = scene.client();
    scene.turns(2);
    act(&mut scene, client);
    assert!(scene.has_ended(client), "{what}: it is cut");
    assert_eq!(scene.heard(client), "", "{what}");
    drop(scene);
    drop(writer);
    let text = std::fs::read_to_string(&path).expect("it is there");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_request_that_is_cut_for_want_of_buffers_leaves_a_line_in_the_access_log() {
    type Act = fn(&mut Scene, i32);
    let acts: [(&str, Act); 4] = [
        ("a whole head", |scene, client| {
            drop(scene.hoard());
            scene.say(client, "GET /a?b HTTP/1.1\r\nHost: t\r\n\r\n");
        }),
        ("a head in pieces", |scene, client| {
            scene.say(client, "GET /a?b HTTP/1.1\r\nHost: t\r\n");
            drop(scene.hoard());
            scene.say(client, "\r\n");
        }),
        ("a head that does not come in time", |scene, client| {
            scene.say(client, "GET /a?b HTTP/1.1\r\nHost: t\r\n");
            drop(scene.hoard());
            scene.pass(2 * SHORT);
        }),
        ("an answer that finds none", |scene, client| {
            scene.say(client, "GET /a?b HTTP/1.1\r\nHost: t\r\n\r\n");
            let (backend, _) = scene.connected();
            drop(scene.hoard());
            scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }),
    ];
    for (what, act) in acts {
        let lines = lines_of(what, act);
        assert_eq!(lines.len(), 1, "{what}: {lines:?}");
        let seen = ["status", "failure", "method", "host", "target"].map(|key| &lines[0][key]);
        let expected = json!([0, "out_of_buffers", "GET", "t", "/a?b"]);
        assert_eq!(json!(seen), expected, "{what}");
    }
}

/// How a client of HTTP/2 begins, its settings behind it.
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &str = "\0\0\0\x04\0\0\0\0\0";
const PING: &str = "\0\0\x08\x06\0\0\0\0\0alive?!?";
const PONG: &[u8] = b"\0\0\x08\x06\x01\0\0\0\0alive?!?";

/// A peer of HTTP/2 asks while there is no buffer for what answers it.
fn ping_without_buffers(scene: &mut Scene, peer: i32) {
    scene.heard_bytes(peer);
    let hoard = scene.hoard();
    scene.say(peer, PING);
    assert_eq!(scene.heard(peer), "");
    scene.give_back(hoard);
    scene.turns(8);
    assert_eq!(scene.heard_bytes(peer), PONG);
}

#[test]
fn frames_that_find_no_buffer_are_sent_to_a_client_as_soon_as_there_is_one() {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    let client = scene.client();
    scene.say(client, &format!("{PREFACE}{SETTINGS}"));
    ping_without_buffers(&mut scene, client);
}

#[test]
fn frames_that_find_no_buffer_are_sent_to_a_backend_as_soon_as_there_is_one() {
    let mut scene = Scene::with(&[Share::Weight(1)], |config| {
        config.pools[0].http = BackendHttp::Http2;
    });
    let client = scene.client();
    scene.say(client, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (backend, _) = scene.connected();
    scene.say(backend, SETTINGS);
    ping_without_buffers(&mut scene, backend);
}
