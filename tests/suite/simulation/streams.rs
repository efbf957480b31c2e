//! Streams of HTTP/2 on both sides of the shard, by the codec: what one side says of a stream that
//! does not end well is passed on to the other one.

use super::scene::Scene;
use ringway::base::Instant;
use ringway::config::{BackendHttp, Timeouts};
use ringway::head::{RequestHead, Rules, Scheme, UnderscoreNames};
use ringway::http1::{FieldStorage, Verdict};
use ringway::http2::{
    Answer, Config, Connection, ErrorCode, Event, RequestForm, RequestTo, Role, Section, StreamId,
};
use ringway::limits::HTTP2_SETTINGS_MAX;
use ringway::snapshot::Share;
use ringway::stats::{CloseReason, Counter};
use std::time::Duration;

const RULES: Rules = Rules {
    scheme: Scheme::Http,
    head_bytes_max: 4096,
    fields_max: 20,
    target_bytes_max: 4096,
    underscore_names: UnderscoreNames::Allow,
    allow_connect: false,
};
const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n";

/// One end of a connection of HTTP/2.
struct Peer {
    socket: i32,
    connection: Connection,
    section: Section,
}

impl Peer {
    fn new(socket: i32, role: Role) -> Self {
        let connection = Connection::new(role, &Config::default());
        Self { socket, connection, section: Section::new() }
    }

    /// Says what the codec has to say, and reads what the shard has said.
    fn talks(&mut self, scene: &mut Scene) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..4 {
            let output = self.connection.output().to_vec();
            self.connection.advance_output(output.len());
            self.says(&output, scene);
            scene.turns(4);
            let heard = scene.heard_bytes(self.socket);
            let mut rest = &heard[..];
            loop {
                let received = self.connection.receive(rest, &mut self.section, Instant::default());
                rest = &rest[received.consumed..];
                let Some(event) = received.event else { break };
                events.push(event);
            }
        }
        events
    }

    fn says(&self, bytes: &[u8], scene: &Scene) {
        let mut network = scene.network.borrow_mut();
        network.streams.get_mut(&self.socket).expect("open").to_proxy.push(bytes);
    }

    /// Opens a stream with a request, as HTTP/1 has it, and the first bytes of its body.
    fn asks(&mut self, head: &str, body: &[u8], scene: &mut Scene) -> StreamId {
        // The settings of the shard come first.
        self.talks(scene);
        let mut storage = FieldStorage::own();
        let Verdict::Complete(head) = RequestHead::parse(head.as_bytes(), &mut storage, &RULES)
        else {
            panic!("a request");
        };
        let form = RequestForm::Kept { forward_upgrade: false, accepts_trailers: false };
        let to = RequestTo { scheme: "http", form };
        let is_last = body.is_empty();
        let stream = self.connection.send_request(&head, &to, is_last).expect("there is room");
        if !is_last {
            self.connection.queue(stream, body.len() as u64);
            let output = self.connection.output().to_vec();
            self.connection.advance_output(output.len());
            let frame = self.connection.next_data(16_384).expect("the window is open");
            self.says(&[&output, &frame.header[..], body].concat(), scene);
        }
        stream
    }

    /// Answers a stream with the head of a body of ten bytes.
    fn begins_to_answer(&mut self, stream: StreamId, scene: &mut Scene) {
        let answer =
            Answer { status: 200, content_type: "text/plain", content_length: 10, seconds: 0 };
        self.connection.send_answer(stream, &answer, false);
        self.talks(scene);
    }
}

fn scene() -> Scene {
    Scene::with(&[Share::Weight(1)], |config| {
        config.pools[0].http = BackendHttp::Http2;
        config.timeouts.idle = 10 * HTTP2_SETTINGS_MAX;
        config.timeouts.between_bytes = 10 * HTTP2_SETTINGS_MAX;
    })
}

/// The stream of the only request that has come.
fn asked(events: &[Event]) -> StreamId {
    let stream = |event: &Event| match event {
        Event::Request { stream, .. } => Some(*stream),
        _ => None,
    };
    events.iter().find_map(stream).expect("a request")
}

/// The code of the only reset that has come.
fn code(events: &[Event]) -> Option<ErrorCode> {
    events.iter().find_map(|event| match event {
        Event::Reset { code, .. } => Some(*code),
        _ => None,
    })
}

/// A client, and a backend that a request of it has come to.
fn both(scene: &mut Scene, head: &str, body: &[u8]) -> (Peer, StreamId, Peer, StreamId) {
    let mut client = Peer::new(scene.client(), Role::Client);
    let at_client = client.asks(head, body, scene);
    client.talks(scene);
    let mut backend = Peer::new(scene.connected().0, Role::Server);
    let at_backend = asked(&backend.talks(scene));
    (client, at_client, backend, at_backend)
}

#[test]
fn what_a_backend_means_by_a_reset_in_an_answer_is_passed_on() {
    for (said, heard) in [
        (ErrorCode::CANCEL, ErrorCode::CANCEL),
        (ErrorCode::ENHANCE_YOUR_CALM, ErrorCode::ENHANCE_YOUR_CALM),
        (ErrorCode::INTERNAL_ERROR, ErrorCode::INTERNAL_ERROR),
        (ErrorCode::PROTOCOL_ERROR, ErrorCode::INTERNAL_ERROR),
        (ErrorCode::NO_ERROR, ErrorCode::INTERNAL_ERROR),
        (ErrorCode(0xbad), ErrorCode::INTERNAL_ERROR),
        // It has begun to answer: the request was processed.
        (ErrorCode::REFUSED_STREAM, ErrorCode::INTERNAL_ERROR),
    ] {
        let mut scene = scene();
        let (mut client, _, mut backend, at_backend) = both(&mut scene, GET, b"");
        backend.begins_to_answer(at_backend, &mut scene);
        assert_eq!(code(&client.talks(&mut scene)), None);
        backend.connection.reset(at_backend, said);
        backend.talks(&mut scene);
        assert_eq!(code(&client.talks(&mut scene)), Some(heard), "{}", said.name());
    }
}

#[test]
fn a_request_that_was_not_processed_and_is_gone_is_refused_to_its_client() {
    let mut scene = scene();
    let (mut client, _, mut backend, at_backend) = both(&mut scene, POST, b"begun");
    backend.connection.reset(at_backend, ErrorCode::REFUSED_STREAM);
    backend.talks(&mut scene);
    assert_eq!(code(&client.talks(&mut scene)), Some(ErrorCode::REFUSED_STREAM));
    assert_eq!(scene.failures(0), 0);
}

#[test]
fn what_a_client_cancels_is_cancelled_at_its_backend() {
    for said in [ErrorCode::CANCEL, ErrorCode::INTERNAL_ERROR, ErrorCode::NO_ERROR] {
        let mut scene = scene();
        let (mut client, at_client, mut backend, _) = both(&mut scene, GET, b"");
        client.connection.reset(at_client, said);
        client.talks(&mut scene);
        assert_eq!(code(&backend.talks(&mut scene)), Some(ErrorCode::CANCEL), "{}", said.name());
    }
}

#[test]
fn a_client_that_never_acknowledges_settings_is_closed() {
    let mut scene = scene();
    let client = scene.client();
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let ping = "\0\0\x08\x06\0\0\0\0\0alive?!?";
    scene.say(client, preface);
    scene.say(client, ping);
    scene.heard_bytes(client);
    // A stream keeps the connection from being idle: GET, http, `/`, and an authority.
    let head = "\0\0\x10\x01\x05\0\0\0\x01";
    let block = [&[0x82, 0x86, 0x84][..], b"\x01\x0bexample.com"].concat();
    assert_eq!(block.len(), 0x10);
    scene.add(client, head);
    scene.network.borrow_mut().streams.get_mut(&client).expect("open").to_proxy.push(&block);
    scene.turns(8);
    assert!(!scene.has_ended(client));
    scene.pass(HTTP2_SETTINGS_MAX + Duration::from_secs(1));
    assert!(scene.has_ended(client));
    let goaway = scene.heard_bytes(client);
    let text: &[u8] = b"\0\0\0\x04SETTINGS are not";
    assert!(goaway.windows(text.len()).any(|bytes| bytes == text), "{goaway:?}");
    scene.end(client);
    let closes = scene.mailbox.counters.read_closes(CloseReason::Http2SettingsTimeout);
    assert_eq!(closes, 1);
}

#[test]
fn a_client_that_acknowledges_settings_may_take_its_time() {
    let mut scene = scene();
    let (mut client, _, mut backend, at_backend) = both(&mut scene, GET, b"");
    scene.pass(2 * HTTP2_SETTINGS_MAX);
    backend.begins_to_answer(at_backend, &mut scene);
    let events = client.talks(&mut scene);
    assert!(events.iter().any(|event| matches!(event, Event::Response { .. })), "{events:?}");
}

#[test]
fn a_backend_that_never_acknowledges_settings_is_a_bad_gateway() {
    let mut scene = scene();
    let client = scene.client();
    scene.say(client, GET);
    let (backend, _) = scene.connected();
    scene.say(backend, "\0\0\0\x04\0\0\0\0\0");
    scene.heard_bytes(backend);
    scene.pass(HTTP2_SETTINGS_MAX + Duration::from_secs(5));
    assert!(scene.heard(client).starts_with("HTTP/1.1 502 "));
    let goaway = scene.heard_bytes(backend);
    assert!(goaway.windows(4).any(|bytes| bytes == b"\0\0\0\x04"), "{goaway:?}");
    assert_eq!(scene.failures(0), 1);
}

#[test]
fn trailers_beside_a_length_are_dropped_and_counted() {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    let mut client = Peer::new(scene.client(), Role::Client);
    let stream = client.asks(POST, b"0123456789", &mut scene);
    let trailers = b"\0\0\x08\x01\x05\0\0\0\x01\0\x03sum\x02ok";
    assert_eq!(stream, StreamId(1));
    client.says(trailers, &scene);
    client.talks(&mut scene);
    let (backend, _) = scene.connected();
    let heard = scene.heard(backend);
    assert!(heard.ends_with("\r\n\r\n0123456789") && !heard.contains("sum"), "{heard}");
    assert_eq!(scene.count(Counter::TrailersDropped), 1);
}
