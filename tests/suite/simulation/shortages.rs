//! What is short here says nothing of a backend: it is not charged with it, and no attempt is lost
//! for long.

use super::bytes::Pipe;
use super::scene::Scene;
use super::secured::Secured;
use ringway::config::{BackendHttp, Timeouts};
use ringway::limits::HTTP2_PING_AFTER;
use ringway::snapshot::Share;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(2);
const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn scene(timeouts: Timeouts) -> Scene {
    let mut scene = Scene::new(&[Share::Weight(1)], timeouts);
    scene.secure();
    scene
}

/// A backend with TLS, at the other end of the connection that was begun last.
struct Backend {
    socket: i32,
    tls: Secured,
    heard: Pipe,
}

impl Backend {
    fn of(scene: &Scene) -> Self {
        Self { socket: scene.connected().0, tls: Secured::new(), heard: Pipe::default() }
    }

    /// Hears what has come, and answers what is TLS's own. Nothing happens yet.
    fn hear(&mut self, scene: &Scene) {
        let mut network = scene.network.borrow_mut();
        let stream = network.streams.get_mut(&self.socket).expect("open");
        self.tls.hear(stream, &mut self.heard);
    }

    /// What it has heard once there is nothing more to come.
    fn heard(&mut self, scene: &mut Scene) -> String {
        for _ in 0..4 {
            self.hear(scene);
            scene.turns(4);
        }
        let text = String::from_utf8(self.heard.front().to_vec()).expect("text");
        self.heard.clear();
        text
    }

    fn say(&mut self, text: &str, scene: &mut Scene) {
        self.add(text, scene);
        scene.turns(8);
    }

    fn add(&mut self, text: &str, scene: &Scene) {
        let mut network = scene.network.borrow_mut();
        let stream = network.streams.get_mut(&self.socket).expect("open");
        self.tls.say(text.as_bytes(), stream);
    }

    /// Takes back all but the first bytes of what it has just said.
    fn hold_back(&self, first: usize, scene: &Scene) -> Vec<u8> {
        let mut network = scene.network.borrow_mut();
        let stream = network.streams.get_mut(&self.socket).expect("open");
        let bytes = stream.to_proxy.front().to_vec();
        stream.to_proxy.clear();
        stream.to_proxy.push(&bytes[..first]);
        bytes[first..].to_vec()
    }
}

#[track_caller]
fn is_blameless(scene: &Scene) {
    assert_eq!((scene.told(), scene.failures(0)), (Vec::new(), 0));
}

#[test]
fn a_handshake_that_finds_no_buffer_is_tried_again() {
    let mut scene = scene(Timeouts::default());
    let client = scene.client();
    scene.say(client, GET);
    Backend::of(&scene).hear(&scene);
    let hoard = scene.hoard();
    scene.turns(1);
    scene.give_back(hoard);
    scene.turns(8);
    assert_eq!(scene.connects(), 2);
    let mut backend = Backend::of(&scene);
    assert!(backend.heard(&mut scene).starts_with("GET / HTTP/1.1\r\n"));
    backend.say(OK, &mut scene);
    assert!(scene.heard(client).ends_with("\r\n\r\nok"));
    is_blameless(&scene);
}

#[test]
fn a_handshake_that_cannot_be_received_is_waited_for() {
    let mut scene = scene(Timeouts { connect: SHORT, ..Timeouts::default() });
    let client = scene.client();
    scene.say(client, GET);
    let mut backend = Backend::of(&scene);
    scene.starve(backend.socket);
    backend.hear(&scene);
    scene.pass(LONG);
    scene.feed();
    assert!(backend.heard(&mut scene).starts_with("GET / HTTP/1.1\r\n"));
    backend.say(OK, &mut scene);
    assert!(scene.heard(client).ends_with("\r\n\r\nok"));
    is_blameless(&scene);
}

#[test]
fn an_answer_that_cannot_be_opened_is_no_fault_of_its_backend() {
    let mut scene = scene(Timeouts::default());
    let client = scene.client();
    scene.say(client, GET);
    let mut backend = Backend::of(&scene);
    backend.heard(&mut scene);
    backend.add(OK, &scene);
    let rest = backend.hold_back(20, &scene);
    scene.turns(8);
    drop(scene.hoard());
    scene.network.borrow_mut().streams.get_mut(&backend.socket).expect("open").to_proxy.push(&rest);
    scene.turns(8);
    assert!(scene.has_ended(client));
    is_blameless(&scene);
}

#[test]
fn a_request_that_cannot_be_sealed_is_no_fault_of_its_backend() {
    let timeouts = Timeouts { between_bytes: SHORT, ..Timeouts::default() };
    let mut scene = scene(timeouts);
    let client = scene.client();
    scene.say(client, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nfirst");
    let mut backend = Backend::of(&scene);
    assert!(backend.heard(&mut scene).ends_with("first"));
    drop(scene.hoard());
    scene.say(client, "other");
    scene.pass(LONG);
    assert!(scene.has_ended(client) && scene.is_closed(backend.socket));
    is_blameless(&scene);
}

#[test]
fn a_backend_whose_answer_to_a_ping_cannot_be_received_is_alive() {
    let mut scene = Scene::with(&[Share::Weight(1)], |config| {
        config.pools[0].http = BackendHttp::Http2;
        config.timeouts.connect = SHORT;
        config.timeouts.between_bytes = 10 * HTTP2_PING_AFTER;
    });
    let client = scene.client();
    scene.say(client, GET);
    let (backend, _) = scene.connected();
    scene.say(backend, "\0\0\0\x04\0\0\0\0\0");
    scene.pass(2 * HTTP2_PING_AFTER);
    scene.heard_bytes(backend);
    scene.starve(backend);
    let other = scene.client();
    scene.say(other, GET);
    let heard = scene.heard_bytes(backend);
    assert!(heard.windows(8).any(|bytes| bytes == b"rw-alive"), "{heard:?}");
    scene.say(backend, "\0\0\x08\x06\x01\0\0\0\0rw-alive");
    scene.pass(LONG);
    assert!(!scene.is_closed(backend));
    scene.feed();
    scene.pass(LONG);
    assert!(!scene.is_closed(backend) && !scene.has_ended(client));
    is_blameless(&scene);
}
