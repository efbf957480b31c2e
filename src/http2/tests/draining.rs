//! The end of a server's connection: GOAWAY in two steps (RFC 9113 §6.8).

use super::*;

#[test]
fn a_drain_takes_what_is_on_its_way() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    scene.connection.drain();
    assert_eq!(scene.hears(), ["GOAWAY 2147483647 NO_ERROR", "PING rw-drain"]);
    scene.gets(HEADERS, WHOLE, 3, &get(&[]));
    assert!(scene.events().ends_with("request 3 end: GET / a None"));
    scene.gets(PING, ACK, 0, b"rw-drain");
    assert_eq!(scene.hears(), ["GOAWAY 3 NO_ERROR"]);
    // What comes later is not processed, and not answered.
    let mut payload = get(&[]);
    payload.extend(b"\x40\x01x\x01y");
    scene.gets(HEADERS, END_HEADERS, 5, &payload).gets(DATA, NONE, 5, b"a");
    scene.gets(HEADERS, WHOLE, 5, &block(&[("x", "y")])).gets(RST_STREAM, NONE, 5, &[0; 4]);
    scene.gets(WINDOW_UPDATE, NONE, 5, &[0, 0, 0, 1]);
    assert_eq!((scene.events(), scene.hears()), (String::new(), vec![]));
    assert!(!scene.connection.is_done());
    scene.serves(1);
    assert!(!scene.connection.is_done());
    scene.serves(3);
    assert!(scene.connection.is_done());
    scene.connection.drain();
    assert_eq!(scene.hears().len(), 2, "the answers alone");
}

#[test]
fn a_drain_is_concluded_by_time_too() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    scene.connection.conclude_drain();
    assert_eq!(scene.hears(), [""; 0], "it has not begun");
    scene.connection.drain();
    scene.connection.conclude_drain();
    scene.connection.conclude_drain();
    assert_eq!(scene.hears()[2..], ["GOAWAY 1 NO_ERROR"]);
    scene.gets(PING, ACK, 0, b"rw-drain");
    assert_eq!(scene.hears(), [""; 0]);
    scene.connection.close(ErrorCode::NO_ERROR, "");
    assert_eq!(scene.hears(), ["GOAWAY 1 NO_ERROR"]);
}

#[test]
fn a_client_is_drained_at_once() {
    let mut scene = Scene::client();
    assert_eq!(scene.asks("GET", true), Some(1));
    scene.connection.drain();
    assert_eq!(scene.hears(), ["GOAWAY 0 NO_ERROR"]);
    assert_eq!((scene.asks("GET", true), scene.connection.is_done()), (None, false));
    scene.gets(HEADERS, WHOLE, 1, &block(&[(":status", "200")]));
    assert_eq!(scene.events(), "response 1 end: 200 None");
    scene.connection.finished(StreamId(1));
    assert!(scene.connection.is_done());
}

#[test]
fn a_fault_tells_the_highest_stream() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 7, &get(&[]));
    scene.gets(PING, NONE, 1, b"12345678");
    assert_eq!(scene.hears(), ["GOAWAY 7 PROTOCOL_ERROR"]);
    scene.connection.close(ErrorCode::NO_ERROR, "");
    scene.connection.drain();
    scene.connection.ping();
    scene.connection.finished(StreamId(7));
    assert_eq!(scene.hears(), [""; 0], "it is over");
    assert_eq!(scene.connection.streams(), 0);
}
