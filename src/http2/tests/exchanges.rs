//! Both roles with each other: random bodies over links that split bytes anywhere.

use super::writing::{fields, request, response, rewrite};
use super::*;
use crate::base::Prng;
use std::collections::HashMap;

/// One side of an exchange: bytes that it has to send, and those that it got.
#[derive(Default)]
struct Body {
    /// Bytes that are not queued yet, and those that are queued.
    unqueued: u64,
    queued: u64,
    sent: u64,
    has_ended: bool,
    got: u64,
    got_end: bool,
    held: u32,
}

/// One end of the link.
struct End {
    connection: Connection,
    section: Section,
    bodies: HashMap<u32, Body>,
    /// What the other end has not read.
    wire: Vec<u8>,
}

const NOW: Instant = Instant::from_nanos(1 << 50);

/// The byte of a body at a place.
fn byte(stream: u32, at: u64) -> u8 {
    (at.wrapping_mul(31) ^ u64::from(stream)) as u8
}

impl End {
    fn new(role: Role, config: &Config) -> Self {
        let connection = Connection::new(role, config);
        let (section, bodies, wire) = (Section::new(), HashMap::new(), Vec::new());
        Self { connection, section, bodies, wire }
    }

    /// Sends what there is, as the rules have it: the output before the DATA behind it.
    fn flush(&mut self, random: &mut Prng) {
        for (stream, body) in &mut self.bodies {
            let more = u64::from(random.below(20_000)).min(body.unqueued);
            if more > 0 && self.connection.queue(StreamId(*stream), more) {
                body.unqueued -= more;
                body.queued += more;
            }
            if body.unqueued == 0 && !body.has_ended {
                body.has_ended = self.connection.end(StreamId(*stream));
            }
        }
        loop {
            self.wire.extend_from_slice(self.connection.output());
            let length = self.connection.output().len();
            self.connection.advance_output(length);
            let Some(data) = self.connection.next_data(random.below(20_000)) else { break };
            self.wire.extend_from_slice(&data.header);
            let body = self.bodies.get_mut(&data.stream.0).expect("it has queued");
            for at in body.sent..body.sent + u64::from(data.bytes) {
                self.wire.push(byte(data.stream.0, at));
            }
            body.sent += u64::from(data.bytes);
            assert!(body.sent <= body.queued);
        }
    }

    /// Reads some bytes; returns the streams that have something new.
    fn read(&mut self, bytes: &[u8]) -> Vec<Event> {
        let (mut at, mut events) = (0, Vec::new());
        loop {
            let received = self.connection.receive(&bytes[at..], &mut self.section, NOW);
            match received.event {
                Some(Event::Data { stream, range, is_last }) => {
                    let body = self.bodies.entry(stream.0).or_default();
                    for byte_ in &bytes[at..][range] {
                        assert_eq!(*byte_, byte(stream.0, body.got));
                        body.got += 1;
                        body.held += 1;
                    }
                    assert!(!body.got_end);
                    body.got_end = is_last;
                }
                Some(event) => events.push(event),
                None => break,
            }
            at += received.consumed;
        }
        events
    }

    fn release(&mut self, random: &mut Prng) {
        for (stream, body) in &mut self.bodies {
            if body.held > 0 {
                let some = random.below(body.held + 1).max(1);
                self.connection.release(StreamId(*stream), some);
                body.held -= some;
            }
        }
    }
}

#[test]
fn bodies_arrive_whole_and_credit_is_conserved() {
    for seed in 0..12 {
        let mut random = Prng::new(seed);
        let config = Config { streams_max: 8, connection_window: 100_000, ..Config::default() };
        let mut client = End::new(Role::Client, &config);
        let mut server = End::new(Role::Server, &config);
        let (mut asked, mut served) = (0, 0);
        let total = 60;
        for _ in 0..100_000 {
            while asked < total && client.connection.room() > 0 && random.one_in(2) {
                ask(&mut client, &mut random);
                asked += 1;
            }
            client.flush(&mut random);
            server.flush(&mut random);
            let length = client.wire.len().min(random.below(30_000) as usize);
            let bytes: Vec<u8> = client.wire.drain(..length).collect();
            for event in server.read(&bytes) {
                match event {
                    Event::Request { stream, is_last } => {
                        answer(&mut server, stream, is_last, &mut random)
                    }
                    other => panic!("{other:?}"),
                }
            }
            let length = server.wire.len().min(random.below(30_000) as usize);
            let bytes: Vec<u8> = server.wire.drain(..length).collect();
            for event in client.read(&bytes) {
                assert!(matches!(event, Event::Response { .. }), "{event:?}");
            }
            server.release(&mut random);
            client.release(&mut random);
            served += finish(&mut client, &mut server);
            if served == total {
                break;
            }
        }
        assert_eq!(served, total, "seed {seed}");
        assert_eq!((client.connection.streams(), server.connection.streams()), (0, 0));
    }
}

fn ask(client: &mut End, random: &mut Prng) {
    let all = fields(&[("Host", "a"), ("X-Some", "field")]);
    let rewrite = rewrite();
    let to = RequestTo { scheme: "http", form: RequestForm::Rewritten(&rewrite) };
    let mut head = request("POST", "/", &all);
    head.body = crate::head::BodyLength::Chunked;
    let stream = client.connection.send_request(&head, &to, false).expect("room");
    let unqueued = u64::from(random.below(200_000));
    client.bodies.insert(stream.0, Body { unqueued, ..Body::default() });
}

fn answer(server: &mut End, stream: StreamId, is_last: bool, random: &mut Prng) {
    assert!(!is_last);
    let all = fields(&[("Server", "s")]);
    assert!(server.connection.send_response(stream, &response(200, &all), None, false));
    let body = server.bodies.entry(stream.0).or_default();
    body.unqueued = u64::from(random.below(200_000));
}

/// Finishes streams that are over on both ends.
fn finish(client: &mut End, server: &mut End) -> u32 {
    let mut finished = 0;
    let streams: Vec<u32> = client.bodies.keys().copied().collect();
    for stream in streams {
        let Some(of_server) = server.bodies.get(&stream) else { continue };
        let of_client = &client.bodies[&stream];
        if !of_client.got_end || !of_server.got_end {
            continue;
        }
        assert_eq!((of_client.got, of_server.got), (of_server.sent, of_client.sent));
        assert_eq!((of_client.queued, of_server.queued), (of_client.sent, of_server.sent));
        for end in [&mut *client, &mut *server] {
            end.connection.finished(StreamId(stream));
            end.bodies.remove(&stream);
        }
        finished += 1;
    }
    finished
}
