//! A connection that takes half of a request's head and breaks: no backend ever gets the rest of
//! it, whatever follows in the same moment.

use super::network::Fate;
use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::snapshot::Share;
use std::time::Duration;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
const GET: &str = "GET /again HTTP/1.1\r\nHost: t\r\n\r\n";
const POST: &str = "POST /once HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str =
    "PUT /long HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

/// A client that has been served, and the idle connection that is left to the backend.
fn served() -> (Scene, i32, i32) {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    let client = scene.client();
    scene.say(client, "GET /first HTTP/1.1\r\nHost: t\r\n\r\n");
    let (idle, _) = scene.connected();
    scene.say(idle, ANSWER);
    assert!(scene.heard(client).ends_with("good"));
    scene.heard(idle);
    (scene, client, idle)
}

/// A client, and an idle connection to a backend that is going to end at the next send, after a
/// part of that. `says`: what it says before.
fn about_to_break(says: &str) -> (Scene, i32, i32) {
    let (scene, client, idle) = served();
    let mut network = scene.network.borrow_mut();
    network.meanness.sends_short_one_in = 1;
    network.ends_at_send.insert(idle, says.to_owned());
    drop(network);
    (scene, client, idle)
}

#[test]
fn a_request_that_may_be_sent_again_is_sent_whole() {
    let (mut scene, client, idle) = about_to_break("");
    scene.say(client, GET);
    let part = scene.heard(idle);
    assert!(!part.is_empty() && !part.contains("\r\n\r\n"), "a part of the head: {part}");
    let (fresh, _) = scene.connected();
    assert_ne!(fresh, idle);
    let whole = scene.heard(fresh);
    assert!(whole.starts_with("GET /again HTTP/1.1\r\n") && whole.ends_with("\r\n\r\n"), "{whole}");
    scene.say(fresh, ANSWER);
    assert!(scene.heard(client).ends_with("good"));
}

/// A request whose head no small buffer holds.
fn long_get() -> String {
    format!("GET /long HTTP/1.1\r\nHost: t\r\nCookie: {}\r\n\r\n", "x".repeat(7_000))
}

#[test]
fn one_with_a_long_head_is_sent_again_as_it_was() {
    let (mut scene, client, idle) = served();
    scene.say(client, &long_get());
    let first = scene.heard(idle);
    assert!(first.contains(&"x".repeat(7_000)) && first.ends_with("\r\n\r\n"), "{first}");
    assert_eq!(scene.private_buffers(), 0, "a request that waits holds none");
    scene.end(idle);
    let (fresh, _) = scene.connected();
    assert_ne!(fresh, idle);
    assert_eq!(scene.heard(fresh), first);
    scene.say(fresh, ANSWER);
    assert!(scene.heard(client).ends_with("good"));
}

#[test]
fn one_with_a_long_head_waits_for_its_connection_without_a_buffer() {
    let body = "Content-Length: 5\r\n\r\nhello";
    let post = long_get().replacen("GET", "POST", 1).replace("\r\n\r\n", &format!("\r\n{body}"));
    let old = long_get().replace("1.1\r\nHost: t", "1.0");
    for request in [long_get(), post, old] {
        let mut scene = Scene::new(&[Share::Weight(1), Share::Weight(1)], Timeouts::default());
        scene.accepts = false;
        let client = scene.client();
        scene.say(client, &request);
        let (silent, first) = scene.connected();
        assert_eq!((scene.connects(), scene.private_buffers()), (1, 0), "{request}");
        scene.accepts = true;
        scene.pass(Timeouts::default().connect);
        scene.turns(8);
        let (fresh, second) = scene.connected();
        assert!(scene.is_closed(silent) && first != second, "it goes to the other one");
        let heard = scene.heard(fresh);
        let end = if request.ends_with("hello") { "\r\n\r\nhello" } else { "\r\n\r\n" };
        assert!(heard.contains(&"x".repeat(7_000)) && heard.ends_with(end), "{heard}");
        let host = if request.contains("Host") { "t".to_owned() } else { second.to_string() };
        let said = heard.lines().find_map(|line| line.strip_prefix("Host:"));
        assert_eq!(said.map(str::trim), Some(host.as_str()), "{heard}");
        scene.say(fresh, ANSWER);
        assert!(scene.heard(client).ends_with("good"));
    }
}

#[test]
fn one_with_a_long_head_goes_from_a_silent_backend_to_an_idle_connection() {
    for has_buffers in [true, false] {
        let mut scene = Scene::new(&[Share::Weight(1), Share::Weight(1)], Timeouts::default());
        let client = scene.client();
        scene.say(client, GET);
        let (idle, first) = scene.connected();
        scene.say(idle, ANSWER);
        assert!(scene.heard(client).ends_with("good"));
        scene.heard(idle);
        scene.accepts = false;
        scene.say(client, &long_get());
        assert_ne!(scene.connected().1, first, "the next in turn");
        if !has_buffers {
            drop(scene.hoard());
        }
        scene.pass(Timeouts::default().connect);
        scene.turns(8);
        assert_eq!(scene.connects(), 2);
        assert_eq!(scene.heard(idle).contains(&"x".repeat(7_000)), has_buffers);
        assert_eq!((scene.is_closed(idle), scene.has_ended(client)), (!has_buffers, !has_buffers));
    }
}

#[test]
fn one_with_a_long_head_and_no_buffer_when_its_connection_is_there_is_cut() {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    scene.network.borrow_mut().next_fate = Some(Fate::Connects(50));
    let client = scene.client();
    scene.say(client, &long_get());
    drop(scene.hoard());
    scene.pass(Duration::from_secs(1));
    let (fresh, _) = scene.connected();
    assert!(scene.has_ended(client) && scene.heard(client).is_empty());
    assert!(scene.is_closed(fresh) && scene.connects() == 1);
}

#[test]
fn one_with_a_long_head_and_no_buffer_to_send_it_from_again_is_cut() {
    let (mut scene, client, idle) = served();
    scene.say(client, &long_get());
    drop(scene.hoard());
    scene.end(idle);
    assert!(scene.has_ended(client) && scene.heard(client).is_empty());
    let (fresh, _) = scene.connected();
    assert!(scene.is_closed(fresh) && scene.heard(fresh).is_empty());
}

#[test]
fn one_that_may_not_goes_to_nobody_else() {
    for request in [POST, CHUNKED] {
        let (mut scene, client, idle) = about_to_break("");
        scene.say(client, request);
        assert!(!scene.heard(idle).is_empty(), "a part was sent");
        assert!(scene.heard(client).starts_with("HTTP/1.1 502 "), "{request}");
        assert_eq!(scene.connects(), 1, "the rest of {request} on a fresh connection");
    }
}

#[test]
fn an_answer_that_comes_after_a_part_of_the_head_is_the_clients() {
    let refusal = "HTTP/1.1 431 Too Much\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    for request in [GET, POST, CHUNKED] {
        let (mut scene, client, _) = about_to_break(refusal);
        scene.say(client, request);
        let heard = scene.heard(client);
        assert!(heard.starts_with("HTTP/1.1 431 ") && heard.ends_with("no"), "{heard}");
        assert_eq!(scene.connects(), 1, "{request} is not sent again");
    }
}

/// The connection that was begun last has a whole request; its answer is the client's.
fn is_served(scene: &mut Scene, client: i32, request: &str) {
    let (fresh, _) = scene.connected();
    let whole = scene.heard(fresh);
    let line = request.split("\r\n").next().expect("a request");
    let (_, body) = request.split_once("\r\n\r\n").expect("a request");
    assert!(whole.starts_with(line) && whole.ends_with(&format!("\r\n\r\n{body}")), "{whole}");
    scene.say(fresh, ANSWER);
    assert!(scene.heard(client).ends_with("good"), "{request}");
}

#[test]
fn one_of_which_a_send_that_failed_took_nothing_is_sent_by_a_fresh_connection() {
    for request in [GET, POST] {
        let (mut scene, client, idle) = about_to_break("");
        let mut network = scene.network.borrow_mut();
        network.ends_at_send.clear();
        network.resets_at_send.insert(idle);
        drop(network);
        scene.say(client, request);
        assert_eq!((scene.heard(idle), scene.connects()), (String::new(), 2), "{request}");
        is_served(&mut scene, client, request);
        // A fresh one that is cut as early: another backend has the request.
        let mut scene = Scene::new(&[Share::Weight(1), Share::Weight(1)], Timeouts::default());
        scene.network.borrow_mut().next_fate = Some(Fate::Connects(20));
        let client = scene.client();
        scene.say(client, request);
        let (first, to) = scene.connected();
        scene.network.borrow_mut().resets_at_send.insert(first);
        scene.turns(30);
        assert_eq!(scene.heard(first), "");
        assert!(scene.connects() == 2 && scene.connected().1 != to);
        is_served(&mut scene, client, request);
    }
}

#[test]
fn one_whose_body_goes_on_is_not_sent_without_what_is_lost() {
    let (mut scene, client, idle) = about_to_break("");
    let mut network = scene.network.borrow_mut();
    network.ends_at_send.clear();
    network.resets_at_send.insert(idle);
    drop(network);
    scene.say(client, CHUNKED);
    assert_eq!((scene.heard(idle), scene.connects()), (String::new(), 2));
    scene.say(client, "5\r\nworld\r\n0\r\n\r\n");
    let whole = format!("{CHUNKED}5\r\nworld\r\n0\r\n\r\n");
    is_served(&mut scene, client, &whole);
}
