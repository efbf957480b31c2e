//! The states of streams (RFC 9113 §5.1) as a server sees them.

use super::*;

const CANCEL: &[u8] = b"\0\0\0\x08";

#[test]
fn frames_behind_the_end_of_a_stream_are_faults_of_it() {
    for (rule, bytes, code) in [
        ("half-closed: DATA", frame(DATA, END_STREAM, 1, b"a"), "STREAM_CLOSED"),
        ("half-closed: HEADERS", frame(HEADERS, WHOLE, 1, &block(&[("x", "y")])), "STREAM_CLOSED"),
    ] {
        let mut scene = Scene::server();
        scene.gets(HEADERS, WHOLE, 1, &get(&[]));
        scene.resets_on(rule, &bytes, 1, code);
    }
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    let bytes = frame(CONTINUATION, END_HEADERS, 1, b"");
    scene.closes_on("half-closed: CONTINUATION", &bytes, "PROTOCOL_ERROR");
}

#[test]
fn a_half_closed_stream_takes_what_is_about_it() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    scene.gets(WINDOW_UPDATE, NONE, 1, &[0, 0, 0, 1]).gets(PRIORITY, NONE, 1, b"\0\0\0\0\0");
    scene.lives("§5.1");
    scene.events();
    scene.gets(RST_STREAM, NONE, 1, CANCEL);
    assert_eq!(scene.events(), "reset 1 CANCEL end");
}

#[test]
fn frames_behind_a_reset_of_the_client() {
    for finished in [false, true] {
        for (rule, bytes) in [
            ("DATA", frame(DATA, END_STREAM, 1, b"a")),
            ("HEADERS", frame(HEADERS, WHOLE, 1, &get(&[]))),
        ] {
            let mut scene = Scene::server();
            scene.gets(HEADERS, END_HEADERS, 1, &post(&[])).gets(RST_STREAM, NONE, 1, CANCEL);
            assert!(scene.events().ends_with("reset 1 CANCEL"));
            if finished {
                scene.connection.finished(StreamId(1));
            }
            match (rule, finished) {
                ("HEADERS", true) => scene.closes_on(rule, &bytes, "STREAM_CLOSED"),
                _ => scene.resets_on(rule, &bytes, 1, "STREAM_CLOSED"),
            }
        }
    }
}

#[test]
fn frames_behind_both_ends() {
    let closed = || {
        let mut scene = Scene::server();
        scene.gets(HEADERS, WHOLE, 1, &get(&[]));
        scene.serves(1);
        scene.hears();
        scene
    };
    let head = get(&[]);
    closed().resets_on("DATA", &frame(DATA, END_STREAM, 1, b"a"), 1, "STREAM_CLOSED");
    closed().closes_on("HEADERS", &frame(HEADERS, WHOLE, 1, &head), "STREAM_CLOSED");
    let bytes = frame(CONTINUATION, END_HEADERS, 1, b"");
    closed().closes_on("CONTINUATION", &bytes, "PROTOCOL_ERROR");
    let mut scene = closed();
    scene.gets(RST_STREAM, NONE, 1, CANCEL).gets(WINDOW_UPDATE, NONE, 1, &[0, 0, 0, 1]);
    scene.gets(PRIORITY, NONE, 1, b"\0\0\0\0\0");
    scene.lives("late ones are ignored");
    assert!(scene.events().starts_with("request 1") && scene.events.is_empty());
}

#[test]
fn numbers_of_streams_grow() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 5, &get(&[]));
    let bytes = frame(HEADERS, WHOLE, 3, &get(&[]));
    scene.closes_on("§5.1.1: a skipped stream", &bytes, "PROTOCOL_ERROR");
}

#[test]
fn what_was_on_its_way_to_a_stream_that_we_reset_is_ignored_and_credited() {
    for finished in [false, true] {
        let mut scene = Scene::server();
        scene.gets(HEADERS, END_HEADERS, 1, &post(&[]));
        scene.connection.reset(StreamId(1), ErrorCode::CANCEL);
        if finished {
            scene.connection.finished(StreamId(1));
        }
        assert_eq!(scene.hears(), ["RST_STREAM 1 CANCEL"]);
        scene.events();
        for _ in 0..200 {
            scene.gets(DATA, NONE, 1, &[0; 16_384]);
        }
        scene.gets(HEADERS, WHOLE, 1, &[0x40, 1, b'x', 1, b'y']);
        assert_eq!(scene.events(), "");
        let credit = scene.hears();
        assert!(credit.len() > 3 && credit.iter().all(|text| text == "WINDOW_UPDATE 0 524288"));
        // The trailers have entered the table.
        let mut payload = get(&[]);
        payload.push(0xbe);
        scene.gets(HEADERS, WHOLE, 3, &payload);
        assert_eq!(scene.events(), "request 3 end: GET / a None | x: y");
    }
}

#[test]
fn a_stream_counts_until_it_is_finished_whoever_reset_it() {
    let mut scene = Scene::server_with(&Config { streams_max: 3, ..Config::default() });
    for stream in [1, 3, 5] {
        scene.gets(HEADERS, WHOLE, stream, &get(&[]));
    }
    scene.gets(RST_STREAM, NONE, 1, CANCEL);
    scene.connection.reset(StreamId(3), ErrorCode::INTERNAL_ERROR);
    scene.answers(5, 200, true);
    scene.hears();
    assert_eq!(scene.connection.streams(), 3);
    let refused =
        |scene: &mut Scene, stream| scene.verdict(&frame(HEADERS, WHOLE, stream, &get(&[])));
    let expected =
        ("rejected 7 REFUSED_STREAM".to_owned(), "RST_STREAM 7 REFUSED_STREAM".to_owned());
    assert_eq!(refused(&mut scene, 7), expected);
    for (at, stream) in [1, 3, 5].into_iter().enumerate() {
        scene.connection.finished(StreamId(stream));
        assert_eq!(scene.hears(), [""; 0]);
        let (event, _) = refused(&mut scene, 9 + 2 * at as u32);
        assert!(event.starts_with("request"), "{event}");
    }
    assert_eq!(scene.connection.streams(), 3);
}

#[test]
fn a_refused_stream_is_ignored_behind_its_head() {
    let mut scene = Scene::server_with(&Config { streams_max: 0, ..Config::default() });
    scene.gets(HEADERS, END_HEADERS, 1, &post(&[]));
    scene.gets(DATA, NONE, 1, b"data").gets(HEADERS, WHOLE, 1, &block(&[("x", "y")]));
    scene.gets(RST_STREAM, NONE, 1, CANCEL);
    assert_eq!(scene.events(), "rejected 1 REFUSED_STREAM");
    assert_eq!(scene.hears(), ["RST_STREAM 1 REFUSED_STREAM"]);
}

#[test]
fn finishing_tells_what_was_not_ended() {
    for (flags, answered, expected) in [
        (WHOLE, true, &[][..]),
        (END_HEADERS, true, &["RST_STREAM 1 NO_ERROR"]),
        (WHOLE, false, &["RST_STREAM 1 INTERNAL_ERROR"]),
        (END_HEADERS, false, &["RST_STREAM 1 INTERNAL_ERROR"]),
    ] {
        let mut scene = Scene::server();
        scene.gets(HEADERS, flags, 1, &post(&[]));
        if answered {
            scene.answers(1, 413, true);
            scene.hears();
        }
        scene.connection.finished(StreamId(1));
        assert_eq!(scene.hears(), expected);
        assert_eq!(scene.connection.streams(), 0);
        scene.connection.finished(StreamId(1));
        scene.connection.reset(StreamId(1), ErrorCode::CANCEL);
        assert_eq!(scene.hears(), [""; 0], "nothing twice");
    }
}

#[test]
fn a_reset_in_the_middle_of_data_is_followed_by_credit() {
    let mut scene = Scene::server();
    scene.releases = false;
    scene.gets(HEADERS, END_HEADERS, 1, &post(&[]));
    let data = frame(DATA, NONE, 1, &[b'x'; 10_000]);
    scene.feed(&data[..5_000]);
    scene.connection.reset(StreamId(1), ErrorCode::CANCEL);
    scene.feed(&data[5_000..6_000]);
    scene.connection.finished(StreamId(1));
    scene.feed(&data[6_000..]);
    scene.hears();
    // All credit has come back: so much more until the next increment.
    for _ in 0..31 {
        scene.gets(DATA, NONE, 1, &[0; 16_384]);
    }
    scene.gets(DATA, NONE, 1, &vec![0; 524_288 - 10_000 - 31 * 16_384 - 1]);
    assert_eq!(scene.hears(), [""; 0]);
    scene.gets(DATA, NONE, 1, b"1");
    assert_eq!(scene.hears(), ["WINDOW_UPDATE 0 524288"]);
}
