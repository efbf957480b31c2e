//! Peers that send heads, sizes and trailers byte by byte: they hold no buffer, and what they send
//! is not read again and again from its start.

use super::scene::Scene;
use crate::counting::allocated_bytes;
use ringway::config::{Protocol, Timeouts};
use ringway::snapshot::Share;
use ringway::stats::CloseReason;
use std::time::Duration;

/// Most buffers for a head in single bytes: two for each time that it is read, which is when its
/// first line ends, when it is twice as long as the last time, and when it ends.
const ACQUIRED_MAX: u64 = 2 * 16;

/// In which nobody is too slow.
fn scene_of(protocol: Protocol) -> Scene {
    let hour = Duration::from_secs(3_600);
    Scene::with(&[Share::Weight(1)], |config| {
        config.timeouts =
            Timeouts { request_head: hour, between_bytes: hour, ..Timeouts::default() };
        config.listeners[0].protocol = protocol;
    })
}

fn scene() -> Scene {
    scene_of(Protocol::Http)
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

/// A ClientHello without a server name whose message has about this many bytes, in records of 100.
fn hello(bytes: usize) -> Vec<u8> {
    let vector = |content: &[u8]| [&(content.len() as u16).to_be_bytes()[..], content].concat();
    let padding = [&[0, 21][..], &vector(&vec![0; bytes])].concat();
    let ciphers = [0x13, 0x01];
    let body =
        [&[3, 3][..], &[7; 32], &[0], &vector(&ciphers), &[1, 0], &vector(&padding)].concat();
    let length = (body.len() as u32).to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    message.chunks(100).flat_map(|part| [&[22, 3, 1][..], &vector(part)].concat()).collect()
}

/// Bytes that are allocated while a hello comes byte by byte, for each of its bytes.
fn allocated_for_each_byte(hello: &[u8]) -> u64 {
    let mut scene = scene_of(Protocol::TlsPassthrough);
    let client = scene.client();
    let before = allocated_bytes();
    for at in 0..hello.len() - 1 {
        scene.say_bytes(client, &hello[at..=at]);
        assert_eq!(scene.held_buffers(), 0, "byte {at}");
    }
    let allocated = allocated_bytes() - before;
    assert_eq!(scene.connects(), 0, "it is not complete");
    scene.say_bytes(client, &hello[hello.len() - 1..]);
    let (backend, _) = scene.connected();
    assert!(scene.heard_bytes(backend) == hello, "it is forwarded as it came");
    assert_eq!(scene.mailbox.counters.read_closes(CloseReason::NotTls), 0);
    allocated / hello.len() as u64
}

#[test]
fn a_client_hello_in_single_bytes_is_gathered_once() {
    // A message that is gathered anew with each byte is allocated anew with each byte.
    let (short, long) = (hello(500), hello(4_000));
    let [short, long] = [short, long].map(|hello| allocated_for_each_byte(&hello));
    assert!(
        long < short + short / 4,
        "{short} bytes for each of a short one, {long} of a long one"
    );
}
