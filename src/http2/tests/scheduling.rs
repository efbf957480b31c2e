//! The order in which streams send (RFC 9218).

use super::*;

/// A server with a response of 100,000 bytes for each priority, and room in its windows.
fn serving(priorities: &[&str]) -> Scene {
    let mut scene = Scene::server();
    scene.gets(SETTINGS, NONE, 0, &setting(4, 1 << 20));
    scene.gets(WINDOW_UPDATE, NONE, 0, &[0, 0x40, 0, 0]);
    for (at, priority) in priorities.iter().enumerate() {
        let stream = 2 * at as u32 + 1;
        let head = match *priority {
            "" => get(&[]),
            value => get(&[("priority", value)]),
        };
        scene.gets(HEADERS, WHOLE, stream, &head);
        scene.answers(stream, 200, false);
        scene.connection.queue(StreamId(stream), 100_000);
        scene.connection.end(StreamId(stream));
    }
    scene
}

/// The streams of the next frames.
fn order(scene: &mut Scene) -> Vec<u32> {
    let mut streams = Vec::new();
    while let Some(data) = scene.connection.next_data(u32::MAX) {
        streams.push(data.stream.0);
    }
    streams
}

#[test]
fn urgency_comes_first() {
    let order = order(&mut serving(&["u=5", "u=0", "", "u=7"]));
    let expected = [[3; 7], [5; 7], [1; 7], [7; 7]].concat();
    assert_eq!(order, expected);
}

#[test]
fn incremental_streams_take_turns() {
    let order = order(&mut serving(&["u=2, i", "u=2, i", "u=2, i"]));
    assert_eq!(order[..7], [1, 3, 5, 1, 3, 5, 1]);
}

#[test]
fn others_end_one_after_the_other_within_a_bound() {
    let order = order(&mut serving(&["", ""]));
    assert_eq!(order, [1, 1, 1, 1, 3, 3, 3, 3, 1, 1, 1, 3, 3, 3]);
    let mut scene = serving(&[]);
    for stream in [1, 3, 5] {
        scene.gets(HEADERS, WHOLE, stream, &get(&[]));
        scene.answers(stream, 200, false);
        scene.connection.queue(StreamId(stream), 20_000);
        scene.connection.end(StreamId(stream));
    }
    assert_eq!(self::order(&mut scene), [1, 1, 3, 3, 5, 5]);
}

#[test]
fn a_blocked_stream_holds_up_no_other() {
    let mut scene = Scene::server();
    scene.gets(SETTINGS, NONE, 0, &setting(4, 10));
    for (stream, priority) in [(1, "u=0"), (3, "u=6")] {
        scene.gets(HEADERS, WHOLE, stream, &get(&[("priority", priority)]));
        scene.answers(stream, 200, false);
        scene.connection.queue(StreamId(stream), 100);
    }
    let mut bytes = Vec::new();
    while let Some(data) = scene.connection.next_data(u32::MAX) {
        bytes.push((data.stream.0, data.bytes));
    }
    assert_eq!(bytes, [(1, 10), (3, 10)]);
}

#[test]
fn no_more_is_taken_than_the_caller_has_room_for() {
    let mut scene = serving(&[""]);
    let bytes = |data: Option<DataFrame>| data.map(|data| (data.bytes, data.is_last));
    assert_eq!(bytes(scene.connection.next_data(0)), None);
    assert_eq!(bytes(scene.connection.next_data(1_000)), Some((1_000, false)));
    assert_eq!(scene.connection.queued(StreamId(1)), 99_000);
    scene.connection.reset(StreamId(1), ErrorCode::INTERNAL_ERROR);
    assert_eq!(bytes(scene.connection.next_data(1_000)), None);
    assert!(!scene.connection.queue(StreamId(1), 5) && !scene.connection.end(StreamId(1)));
}
