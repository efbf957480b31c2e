//! Floods: each kind drains the connection, then ends it; use that is fast and useful does not.

use super::*;

/// Repeats a step until the connection is closed; checks that it was drained before. Returns how
/// often.
fn repeats(scene: &mut Scene, what: &str, mut step: impl FnMut(&mut Scene, u32)) -> u32 {
    let mut drained_at = 0;
    for round in 1.. {
        step(scene, round);
        let events = scene.events();
        scene.hears();
        if events.contains("draining") {
            assert_eq!(drained_at, 0, "{what}: once");
            drained_at = round;
        }
        if events.contains("closed") {
            assert!(events.contains("closed ENHANCE_YOUR_CALM"), "{what}: {events}");
            assert!(drained_at > 0 && drained_at < round, "{what}: it is drained first");
            return round;
        }
        assert!(round < 100_000, "{what} is not limited");
    }
    unreachable!("the loop has no end")
}

#[test]
fn every_kind_is_limited() {
    let mut scene = Scene::server();
    let head = get(&[]);
    let rounds = repeats(&mut scene, "rapid reset", |scene, round| {
        let stream = 2 * round - 1;
        scene.gets(HEADERS, WHOLE, stream, &head).gets(RST_STREAM, NONE, stream, b"\0\0\0\x08");
        scene.connection.finished(StreamId(stream));
    });
    assert!((400..=600).contains(&rounds));
    for (what, provoke) in [
        ("no increment", frame(WINDOW_UPDATE, NONE, 0, &[0; 4])),
        ("overflow", frame(WINDOW_UPDATE, NONE, 0, &[0x7f, 255, 255, 255])),
        ("DATA behind the end", frame(DATA, END_STREAM, 0, b"a")),
        ("HEADERS behind the end", frame(HEADERS, WHOLE, 0, &head)),
        ("a bad PRIORITY", frame(PRIORITY, NONE, 0, b"1")),
    ] {
        let mut scene = Scene::server();
        repeats(&mut scene, what, |scene, round| {
            let stream = 2 * round - 1;
            scene.gets(HEADERS, WHOLE, stream, &head);
            let mut bytes = provoke.clone();
            bytes[5..9].copy_from_slice(&stream.to_be_bytes());
            scene.feed(&bytes);
            scene.connection.finished(StreamId(stream));
        });
    }
    let mut scene = Scene::server();
    repeats(&mut scene, "malformed heads", |scene, round| {
        scene.gets(HEADERS, WHOLE, 2 * round - 1, b"\x82");
    });
    let mut scene = Scene::server_with(&Config { streams_max: 0, ..Config::default() });
    repeats(&mut scene, "more streams than allowed", |scene, round| {
        scene.gets(HEADERS, WHOLE, 2 * round - 1, &head);
    });
    let large = get(&[("a", &"v".repeat(15_900)), ("b", "c")]);
    let large = [large, block(&[("d", &"v".repeat(400))])].concat();
    let mut scene = Scene::server();
    repeats(&mut scene, "heads beyond the limits", |scene, round| {
        let stream = 2 * round - 1;
        scene.gets(HEADERS, END_STREAM, stream, &large[..16_000]);
        scene.gets(CONTINUATION, END_HEADERS, stream, &large[16_000..]);
        scene.connection.finished(StreamId(stream));
    });
    for (what, bytes) in [
        ("PING", frame(PING, NONE, 0, b"12345678")),
        ("PING ack", frame(PING, ACK, 0, b"12345678")),
        ("an answer to no PING", frame(PING, ACK, 0, b"rw-alive")),
        ("an answer to no drain", frame(PING, ACK, 0, b"rw-drain")),
        ("SETTINGS", frame(SETTINGS, NONE, 0, &setting(4, 1))),
        ("small increments", frame(WINDOW_UPDATE, NONE, 0, &[0, 0, 0, 1])),
        ("PRIORITY", frame(PRIORITY, NONE, 3, b"\0\0\0\0\0")),
        ("unknown frames", frame(0x42, NONE, 0, b"")),
        ("empty DATA", frame(DATA, NONE, 1, b"")),
        ("padding alone", frame(DATA, PADDED, 1, b"\x02\0\0")),
    ] {
        let mut scene = Scene::server();
        scene.gets(HEADERS, END_HEADERS, 1, &post(&[]));
        repeats(&mut scene, what, |scene, _| scene.feed(&bytes));
    }
    let mut scene = Scene::server();
    repeats(&mut scene, "CONTINUATION", |scene, round| {
        let stream = 2 * round - 1;
        scene.gets(HEADERS, END_STREAM, stream, &head);
        for _ in 0..7 {
            scene.gets(CONTINUATION, NONE, stream, b"");
        }
        scene.gets(CONTINUATION, END_HEADERS, stream, b"");
        scene.connection.finished(StreamId(stream));
    });
}

#[test]
fn fast_use_is_no_flood() {
    let mut scene = Scene::server();
    for round in 0..20_000u32 {
        let stream = 2 * round + 1;
        scene.gets(HEADERS, WHOLE, stream, &get(&[]));
        scene.answers(stream, 200, false);
        scene.connection.queue(StreamId(stream), 100);
        scene.connection.end(StreamId(stream));
        assert_eq!(scene.connection.next_data(16_384).map(|data| data.bytes), Some(100));
        // A client that announces each bit that it reads.
        scene.gets(WINDOW_UPDATE, NONE, stream, &[0, 0, 0, 100]);
        scene.gets(WINDOW_UPDATE, NONE, 0, &[0, 0, 0, 100]);
        scene.connection.finished(StreamId(stream));
        // One that resets each stream behind its end, and measures each round trip.
        scene.gets(RST_STREAM, NONE, stream, &[0; 4]).gets(PING, NONE, 0, b"12345678");
        scene.hears();
        scene.waits(1);
        let events = scene.events();
        assert!(!events.contains("draining"), "{round}: {events}");
    }
    let mut scene = Scene::server();
    for round in 0..2_000u32 {
        let stream = 2 * round + 1;
        scene.gets(HEADERS, WHOLE, stream, &get(&[])).gets(PING, NONE, 0, b"12345678");
        scene.gets(RST_STREAM, NONE, stream, b"\0\0\0\x08");
        scene.connection.finished(StreamId(stream));
        scene.hears();
        scene.waits(10);
        assert!(!scene.events().contains("draining"), "a hundred each second");
    }
}

#[test]
fn a_response_that_was_complete_is_no_reset() {
    let mut scene = Scene::server();
    for round in 0..5_000 {
        let stream = 2 * round + 1;
        scene.gets(HEADERS, END_HEADERS, stream, &post(&[]));
        scene.answers(stream, 413, true);
        scene.gets(RST_STREAM, NONE, stream, b"\0\0\0\x08");
        scene.connection.finished(StreamId(stream));
        scene.hears();
    }
    assert!(!scene.events().contains("draining"));
}

#[test]
fn a_peer_that_does_not_read_its_answers_is_closed() {
    let mut scene = Scene::server();
    for _ in 0..990 {
        scene.gets(PING, NONE, 0, b"12345678");
        scene.waits(100);
    }
    assert_eq!(scene.events(), "closed ENHANCE_YOUR_CALM");
    assert!(scene.connection.output().len() < 20_000);
}
