//! Frames one by one (RFC 9113 §3.4, §4, §6): what each must be, whatever the streams are.

use super::*;
use crate::limits::HTTP2_SETTINGS_MAX;

#[test]
fn a_server_begins_with_its_settings_and_window() {
    let config = Config { extended_connect: true, ..Config::default() };
    let mut scene = Scene::new(Role::Server, &config);
    assert_eq!(scene.hears(), ["SETTINGS 3=100 4=65536 6=16384 9=1 8=1", "WINDOW_UPDATE 0 983041"]);
    let begun = Instant::default();
    assert_eq!(scene.connection.settings_due(begun), Some(begun + HTTP2_SETTINGS_MAX));
    scene.feed(PREFACE);
    scene.gets(SETTINGS, NONE, 0, &setting(4, 100));
    scene.gets(SETTINGS, ACK, 0, b"");
    assert_eq!(scene.hears(), ["SETTINGS ack"]);
    assert_eq!(scene.connection.settings_due(begun), None);
}

#[test]
fn a_client_begins_with_the_preface() {
    let mut scene = Scene::new(Role::Client, &Config::default());
    assert_eq!(&scene.connection.output()[..24], PREFACE);
    scene.connection.advance_output(24);
    assert_eq!(scene.hears(), ["SETTINGS 2=0 4=65536 6=16384", "WINDOW_UPDATE 0 983041"]);
}

#[test]
fn another_preface_is_refused_at_its_first_wrong_byte() {
    for wrong in 0..PREFACE.len() {
        let mut bytes = PREFACE.to_vec();
        bytes[wrong] ^= 1;
        let mut scene = Scene::new(Role::Server, &Config::default());
        scene.feed(&bytes[..wrong]);
        assert_eq!(scene.events(), "");
        scene.feed(&bytes[wrong..=wrong]);
        assert_eq!(scene.events(), "closed PROTOCOL_ERROR");
    }
}

#[test]
fn the_first_frame_is_settings() {
    for (rule, first) in [
        ("§3.4: PING", frame(PING, NONE, 0, b"12345678")),
        ("§3.4: HEADERS", frame(HEADERS, WHOLE, 1, &get(&[]))),
        ("§3.4: an acknowledgement", frame(SETTINGS, ACK, 0, b"")),
        ("§3.4: an unknown frame", frame(0x42, NONE, 0, b"")),
    ] {
        let mut scene = Scene::new(Role::Server, &Config::default());
        scene.feed(PREFACE);
        scene.closes_on(rule, &first, "PROTOCOL_ERROR");
        let scene = Scene::new(Role::Client, &Config::default());
        scene.closes_first_on(rule, &first);
    }
}

impl Scene {
    fn closes_first_on(mut self, rule: &str, bytes: &[u8]) {
        self.feed(bytes);
        assert_eq!(self.events(), "closed PROTOCOL_ERROR", "{rule}");
    }
}

#[test]
fn faults_of_a_frame_end_the_connection() {
    let (protocol, size, flow) = ("PROTOCOL_ERROR", "FRAME_SIZE_ERROR", "FLOW_CONTROL_ERROR");
    let mut padded = vec![100];
    padded.extend([0; 50]);
    for (rule, bytes, code) in [
        ("§4.2: DATA too large", frame(DATA, NONE, 1, &[0; 16_385]), size),
        ("§4.2: HEADERS too large", frame(HEADERS, WHOLE, 1, &[0; 16_385]), size),
        ("§4.2: an unknown frame too large", frame(0x42, NONE, 1, &[0; 16_385]), size),
        ("§6.1: DATA without stream", frame(DATA, NONE, 0, b"a"), protocol),
        ("§6.1: DATA for an idle stream", frame(DATA, NONE, 1, b"a"), protocol),
        ("§6.2: HEADERS without stream", frame(HEADERS, WHOLE, 0, &get(&[])), protocol),
        ("§6.2: HEADERS with wrong padding", frame(HEADERS, WHOLE | PADDED, 1, &padded), protocol),
        ("§6.2: HEADERS without padding length", frame(HEADERS, WHOLE | PADDED, 1, b""), size),
        ("§6.2: HEADERS too short", frame(HEADERS, WHOLE | WITH_PRIORITY, 1, b"1234"), size),
        ("§6.3: PRIORITY without stream", frame(PRIORITY, NONE, 0, b"12345"), protocol),
        ("§6.3: PRIORITY too short, idle", frame(PRIORITY, NONE, 1, b"1234"), size),
        ("§6.4: RST_STREAM without stream", frame(RST_STREAM, NONE, 0, b"\0\0\0\x08"), protocol),
        (
            "§6.4: RST_STREAM for an idle stream",
            frame(RST_STREAM, NONE, 1, b"\0\0\0\x08"),
            protocol,
        ),
        ("§6.4: RST_STREAM too short", frame(RST_STREAM, NONE, 1, b"\0\0\0"), size),
        ("§6.5: SETTINGS ack with payload", frame(SETTINGS, ACK, 0, &setting(1, 1)), size),
        ("§6.5: SETTINGS with a stream", frame(SETTINGS, NONE, 1, b""), protocol),
        ("§6.5: SETTINGS of no size", frame(SETTINGS, NONE, 0, b"123"), size),
        ("§6.5: SETTINGS acknowledged twice", frame(SETTINGS, ACK, 0, b""), protocol),
        ("§6.5.2: ENABLE_PUSH", frame(SETTINGS, NONE, 0, &setting(2, 2)), protocol),
        ("§6.5.2: INITIAL_WINDOW_SIZE", frame(SETTINGS, NONE, 0, &setting(4, 1 << 31)), flow),
        ("§6.5.2: MAX_FRAME_SIZE small", frame(SETTINGS, NONE, 0, &setting(5, 16_383)), protocol),
        ("§6.5.2: MAX_FRAME_SIZE large", frame(SETTINGS, NONE, 0, &setting(5, 1 << 24)), protocol),
        ("§8.4: PUSH_PROMISE", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02"), protocol),
        ("§6.7: PING with a stream", frame(PING, NONE, 1, b"12345678"), protocol),
        ("§6.7: PING too short", frame(PING, NONE, 0, b"123456"), size),
        ("§6.8: GOAWAY with a stream", frame(GOAWAY, NONE, 1, &[0; 8]), protocol),
        ("§6.8: GOAWAY too short", frame(GOAWAY, NONE, 0, &[0; 7]), size),
        ("§6.9: no increment", frame(WINDOW_UPDATE, NONE, 0, &[0; 4]), protocol),
        ("§6.9: WINDOW_UPDATE too short", frame(WINDOW_UPDATE, NONE, 0, &[0; 3]), size),
        ("§6.9: WINDOW_UPDATE, idle", frame(WINDOW_UPDATE, NONE, 1, &[0, 0, 0, 1]), protocol),
        ("§6.9.1: overflow", frame(WINDOW_UPDATE, NONE, 0, &[0x7f, 255, 255, 255]), flow),
        ("§6.10: CONTINUATION alone", frame(CONTINUATION, END_HEADERS, 1, b""), protocol),
        ("§6.10: CONTINUATION without stream", frame(CONTINUATION, END_HEADERS, 0, b""), protocol),
        ("§5.1.1: an even stream", frame(HEADERS, WHOLE, 2, &get(&[])), protocol),
        ("§4.3: a bad block", frame(HEADERS, WHOLE, 1, b"\x40"), "COMPRESSION_ERROR"),
        (
            "§10.5: SETTINGS_ENABLE_CONNECT_PROTOCOL",
            frame(SETTINGS, NONE, 0, &setting(8, 2)),
            protocol,
        ),
    ] {
        Scene::server().closes_on(rule, &bytes, code);
    }
}

#[test]
fn padding_of_data_is_checked() {
    for (padding, length) in [(5, 5), (6, 6), (255, 20), (1, 1)] {
        let mut payload = vec![0; length];
        payload[0] = padding;
        let mut scene = Scene::server();
        scene.gets(HEADERS, END_HEADERS, 1, &post(&[]));
        scene.closes_on("§6.1", &frame(DATA, PADDED, 1, &payload), "PROTOCOL_ERROR");
    }
    let mut scene = Scene::server();
    scene.gets(HEADERS, END_HEADERS, 1, &post(&[]));
    scene.events();
    scene.gets(DATA, PADDED, 1, b"\x03ab\0\0\0").gets(DATA, PADDED | END_STREAM, 1, b"\x02\0\0");
    assert_eq!(scene.events(), "data 1: ab\ndata 1 end: ");
    Scene::server().closes_on("a size of 0", &frame(DATA, PADDED, 1, b""), "FRAME_SIZE_ERROR");
}

#[test]
fn a_header_block_is_not_interrupted() {
    let begun = frame(HEADERS, END_STREAM, 1, &get(&[]));
    for (rule, next) in [
        ("§4.3: PRIORITY", frame(PRIORITY, NONE, 1, b"12345")),
        ("§4.3: HEADERS of another stream", frame(HEADERS, WHOLE, 3, &get(&[]))),
        ("§6.2: HEADERS of the same stream", frame(HEADERS, WHOLE, 1, &get(&[]))),
        ("§5.5: an unknown frame", frame(0x16, NONE, 0, b"12345678")),
        ("§6.10: DATA", frame(DATA, END_STREAM, 1, b"a")),
        ("§6.10: CONTINUATION of another stream", frame(CONTINUATION, END_HEADERS, 3, b"")),
    ] {
        let bytes = [&begun[..], &next].concat();
        Scene::server().closes_on(rule, &bytes, "PROTOCOL_ERROR");
        let bytes = [&begun[..], &frame(CONTINUATION, NONE, 1, b""), &next].concat();
        Scene::server().closes_on(rule, &bytes, "PROTOCOL_ERROR");
    }
    let whole =
        [&frame(HEADERS, WHOLE, 1, &get(&[]))[..], &frame(CONTINUATION, END_HEADERS, 1, b"")];
    Scene::server().closes_on("§6.10: behind the end", &whole.concat(), "PROTOCOL_ERROR");
}

#[test]
fn a_header_block_comes_in_up_to_nine_frames() {
    for continuations in 1..=9 {
        let whole = get(&[("x", "1"), ("y", "2")]);
        let mut scene = Scene::server();
        let (first, rest) = whole.split_at(3);
        scene.gets(HEADERS, END_STREAM, 1, first);
        let step = rest.len() / continuations;
        for at in 0..continuations - 1 {
            scene.gets(CONTINUATION, NONE, 1, &rest[at * step..][..step]);
        }
        scene.gets(CONTINUATION, END_HEADERS, 1, &rest[(continuations - 1) * step..]);
        match continuations {
            ..=8 => assert_eq!(scene.events(), "request 1 end: GET / a None | x: 1 | y: 2"),
            _ => assert_eq!(scene.events(), "closed ENHANCE_YOUR_CALM"),
        }
    }
}

#[test]
fn what_is_unknown_is_ignored() {
    let mut scene = Scene::server();
    scene.gets(0x42, 0xff, 0, b"12345678");
    scene.gets(0x16, NONE, 0x7fff_ffff, &[0; 16_384]);
    scene.gets(SETTINGS, NONE, 0, &setting(0x4242, 7));
    scene.gets(GOAWAY, NONE, 0, b"\0\0\0\0\0\0\0\xfftext");
    scene.gets(PING, 0x16 & !ACK, 0x8000_0000, b"12345678");
    assert_eq!(scene.hears(), ["SETTINGS ack", "PING ack 12345678"]);
    assert_eq!(scene.events(), "goaway UNKNOWN");
    scene.gets(PING, ACK, 0, b"invalid!");
    assert_eq!(scene.hears(), [""; 0], "no answer to an answer");
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    scene.gets(RST_STREAM, NONE, 1, b"\0\0\0\xff");
    scene.lives("§7: an unknown code");
}

#[test]
fn pings_are_answered_and_ours_too() {
    let mut scene = Scene::server();
    scene.gets(PING, NONE, 0, b"\0\x01\x02\x03\x04\x05\x06\xff");
    assert_eq!(scene.hears(), ["PING ack \\x00\\x01\\x02\\x03\\x04\\x05\\x06\\xff"]);
    scene.connection.ping();
    assert_eq!(scene.hears(), ["PING rw-alive"]);
    scene.gets(PING, ACK, 0, b"rw-alive");
    assert_eq!(scene.events(), "pong");
}

#[test]
fn priorities_of_rfc_7540_are_ignored() {
    let mut scene = Scene::server();
    scene.gets(PRIORITY, NONE, 1, b"\0\0\0\x03\xff");
    scene.gets(PRIORITY, NONE, 7, b"\x80\0\0\x05\xff");
    let mut payload = b"\x80\0\0\x07\xff".to_vec();
    payload.extend(get(&[]));
    scene.gets(HEADERS, WHOLE | WITH_PRIORITY, 5, &payload);
    assert_eq!(scene.events(), "request 5 end: GET / a None");
    scene.gets(PRIORITY, NONE, 5, b"\0\0\0\x07\xff");
    scene.lives("§5.3");
    // RFC 9113 has left the rule out; h2spec still has it, and no client breaks it.
    let rule = "RFC 7540 §5.3.1: a stream that depends on itself";
    let mut own = b"\x80\0\0\x05\xff".to_vec();
    own.extend(get(&[]));
    for bytes in [
        frame(PRIORITY, NONE, 5, b"\0\0\0\x05\xff"),
        frame(PRIORITY, NONE, 5, b"\x80\0\0\x05\xff"),
        frame(HEADERS, WHOLE | WITH_PRIORITY, 5, &own),
    ] {
        Scene::server().closes_on(rule, &bytes, "PROTOCOL_ERROR");
    }
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    scene.resets_on("§6.3", &frame(PRIORITY, NONE, 1, b"1234"), 1, "FRAME_SIZE_ERROR");
}
