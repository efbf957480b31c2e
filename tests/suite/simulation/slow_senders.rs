//! Peers that send heads, sizes and trailers byte by byte: they hold no buffer, and what they send
//! is not read again and again from its start.

use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::snapshot::Share;
use std::time::Duration;

/// Most buffers for a head in single bytes: two for each time that it is read, which is when its
/// first line ends, when it is twice as long as the last time, and when it ends.
const ACQUIRED_MAX: u64 = 2 * 16;

/// In which nobody is too slow.
fn scene() -> Scene {
    let hour = Duration::from_secs(3_600);
    let timeouts = Timeouts { request_head: hour, between_bytes: hour, ..Timeouts::default() };
    Scene::new(&[Share::Weight(1)], timeouts)
}

fn fields(bytes: usize) -> String {
    let line = |n: usize| format!("x-{n:04}: {}\r\n", "v".repeat(100));
    (0..).map(line).take(bytes / 110).collect()
}

fn say_slowly(scene: &mut Scene, socket: i32, text: &str) {
    for at in 0..text.len() {
        scene.say(socket, &text[at..=at]);
        assert!(at + 1 == text.len() || scene.held_buffers() == 0, "byte {at}");
    }
}

#[test]
fn a_request_in_single_bytes_is_read_a_few_times() {
    let mut scene = scene();
    let client = scene.client();
    let (trailers, head) = (fields(2_000), fields(8_000));
    let text = format!("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n{head}\r\n");
    say_slowly(&mut scene, client, &text);
    assert!(scene.acquired() <= ACQUIRED_MAX, "{} buffers", scene.acquired());
    let (backend, _) = scene.connected();
    assert!(scene.heard(backend).contains(&head));
    let before = scene.acquired();
    say_slowly(&mut scene, client, &format!("5;a=b\r\nhello\r\n0\r\n{trailers}\r\n"));
    let acquired = scene.acquired() - before;
    assert!(acquired <= ACQUIRED_MAX, "{acquired} buffers");
    assert!(scene.heard(backend).ends_with(&format!("0\r\n{trailers}\r\n")));
}

#[test]
fn a_response_in_single_bytes_is_read_a_few_times() {
    let mut scene = scene();
    let client = scene.client();
    scene.say(client, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (backend, _) = scene.connected();
    let before = scene.acquired();
    let head = fields(8_000);
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{head}\r\n");
    text.chars().for_each(|byte| scene.say(backend, byte.encode_utf8(&mut [0; 4])));
    let acquired = scene.acquired() - before;
    assert!(acquired <= ACQUIRED_MAX, "{acquired} buffers");
    assert!(scene.heard(client).contains(&head));
    scene.say(backend, "good");
    assert!(scene.heard(client).ends_with("good"));
}
