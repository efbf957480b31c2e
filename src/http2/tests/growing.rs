//! Windows that grow where they limit the peer.

use super::*;
use crate::limits::HTTP2_WINDOW_BYTES_MAX;

const MIB: u32 = 1024 * 1024;

/// A client far away: it sends as much as the windows allow, and what is answered to that arrives a
/// round trip later.
struct FarClient {
    connection: Connection,
    section: Section,
    /// The server takes what comes at once.
    releases: bool,
    stream_credit: i64,
    connection_credit: i64,
}

impl FarClient {
    fn new(growth: u32) -> Self {
        let mut connection = Connection::new(Role::Server, &Config::default());
        connection.advance_output(connection.output().len());
        connection.allow_growth(growth);
        let (stream_credit, connection_credit) = (64 * 1024, i64::from(MIB));
        let section = Section::new();
        let releases = true;
        let mut client = Self { connection, section, releases, stream_credit, connection_credit };
        client.sends(PREFACE);
        client.sends(&frame(SETTINGS, NONE, 0, b""));
        client.asks(1);
        client
    }

    fn asks(&mut self, stream: u32) {
        self.sends(&frame(HEADERS, END_HEADERS, stream, &post(&[])));
    }

    fn sends(&mut self, bytes: &[u8]) {
        let mut at = 0;
        loop {
            let now = Instant::from_nanos(1 << 40);
            let received = self.connection.receive(&bytes[at..], &mut self.section, now);
            at += received.consumed;
            match received.event {
                Some(Event::Data { stream, range, .. }) if self.releases => {
                    self.connection.release(stream, range.len() as u32);
                }
                Some(Event::Closed { fault }) => panic!("{fault:?}"),
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Sends on a stream until a window is shut or so many bytes are sent, then takes the answers.
    /// Returns the bytes that were sent.
    fn round_trip(&mut self, stream: u32, most: i64) -> i64 {
        let full = [0; 16_384];
        let left = self.stream_credit.min(self.connection_credit).min(most);
        let mut sent = 0;
        while sent < left {
            let bytes = (left - sent).min(full.len() as i64);
            self.sends(&frame(DATA, NONE, stream, &full[..bytes as usize]));
            sent += bytes;
        }
        self.stream_credit -= sent;
        self.connection_credit -= sent;
        self.hears();
        sent
    }

    fn hears(&mut self) {
        let output = self.connection.output().to_vec();
        self.connection.advance_output(output.len());
        let mut rest = &output[..];
        while let Some((header, behind)) = rest.split_first_chunk() {
            let header = FrameHeader::read(header);
            let (payload, behind) = behind.split_at(header.length);
            rest = behind;
            let is_ack = header.flags.has(Flags::ACK);
            match header.kind {
                FrameKind::WindowUpdate if header.stream == StreamId::CONNECTION => {
                    self.connection_credit += i64::from(frame::increment(payload));
                }
                FrameKind::WindowUpdate => {
                    self.stream_credit += i64::from(frame::increment(payload));
                }
                FrameKind::Ping if !is_ack => self.sends(&frame(PING, ACK, 0, payload)),
                _ => {}
            }
        }
    }
}

#[test]
fn a_window_that_limits_the_peer_grows_up_to_what_is_allowed() {
    for (growth, expected) in [(0, MIB), (MIB, 2 * MIB), (1 << 30, HTTP2_WINDOW_BYTES_MAX)] {
        let mut client = FarClient::new(growth);
        let sent = (0..40).map(|_| client.round_trip(1, i64::MAX)).max().unwrap();
        assert_eq!(client.connection.grown_by() + MIB, expected);
        // Half of a window is announced while the other half comes.
        let window = i64::from(expected) / 4 * 3;
        assert!(sent >= window / 2 && sent <= window, "{sent} of {window}");
    }
}

#[test]
fn a_window_that_does_not_limit_does_not_grow() {
    let mut client = FarClient::new(1 << 30);
    for _ in 0..200 {
        assert_eq!(client.round_trip(1, 20_000), 20_000);
    }
    assert_eq!(client.connection.grown_by(), 0);
}

#[test]
fn a_window_does_not_grow_where_the_caller_is_slow() {
    let mut client = FarClient::new(1 << 30);
    client.releases = false;
    for _ in 0..20 {
        client.round_trip(1, i64::MAX);
        client.connection.release(StreamId(1), 20_000);
    }
    assert_eq!(client.connection.grown_by(), 0);
    assert!(client.stream_credit <= 64 * 1024);
}

#[test]
fn growth_ends_when_the_connection_is_idle() {
    let mut client = FarClient::new(1 << 30);
    for _ in 0..40 {
        client.round_trip(1, i64::MAX);
    }
    client.sends(&frame(DATA, END_STREAM, 1, b""));
    client.connection.reset(StreamId(1), ErrorCode::NO_ERROR);
    client.connection.finished(StreamId(1));
    client.connection.shrink();
    assert_eq!(client.connection.grown_by(), 0);
    client.connection.allow_growth(0);
    client.hears();
    client.asks(3);
    client.stream_credit = 64 * 1024;
    for _ in 0..200 {
        client.round_trip(3, i64::MAX);
    }
    assert_eq!(client.connection.grown_by(), 0);
    let left = client.connection_credit;
    assert!(left > 0 && left <= i64::from(MIB), "the credit went down to the window: {left}");
}

#[test]
fn an_unasked_answer_counts_as_a_ping() {
    let mut scene = Scene::server();
    let pongs = frame(PING, ACK, 0, b"rw-sound").repeat(2_000);
    scene.feed(&pongs);
    assert!(scene.events().contains("ENHANCE_YOUR_CALM"));
}

#[test]
fn windows_towards_a_backend_do_not_grow() {
    let mut scene = Scene::client();
    scene.asks("GET", true);
    scene.gets(HEADERS, END_HEADERS, 1, &block(&[(":status", "200")]));
    for _ in 0..100 {
        scene.gets(DATA, NONE, 1, &[0; 16_384]);
        scene.events();
    }
    let heard = scene.hears();
    assert!(heard.iter().all(|text| text.starts_with("WINDOW_UPDATE")), "{heard:?}");
}
