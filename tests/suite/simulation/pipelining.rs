//! Requests that come before their turn.

use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::snapshot::Share;
use std::time::Duration;

#[test]
fn a_request_that_came_before_its_turn_is_served_once_the_answer_before_it_is_read() {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    let client = scene.client();
    scene.say(client, "GET /1 HTTP/1.1\r\nHost: t\r\n\r\n");
    let (backend, _) = scene.connected();
    assert!(scene.heard(backend).starts_with("GET /1 "));
    // The client hardly reads, and as much of its answer waits as may.
    scene.network.borrow_mut().meanness.receive_bytes_max = u32::MAX;
    scene.network.borrow_mut().meanness.peer_bytes_max = 1;
    scene.say(client, "GET /2 HTTP/1.1\r\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5140\r\n\r\n";
    scene.say(backend, &format!("{head}{}", "x".repeat(5_000)));
    (0..13).for_each(|_| scene.say(backend, "0123456789"));
    // The rest of its next request, after which nothing more is received of it, comes with the end
    // of the answer.
    let mut network = scene.network.borrow_mut();
    network.streams.get_mut(&backend).expect("open").to_proxy.push(b"0123456789");
    drop(network);
    scene.say(client, "Host: t\r\n\r\n");
    assert_eq!(scene.heard(backend), "", "not yet");
    scene.network.borrow_mut().meanness.peer_bytes_max = 1 << 20;
    scene.turns(8);
    assert!(scene.heard(client).ends_with("0123456789"));
    assert!(scene.heard(backend).starts_with("GET /2 "), "it waits for ever");
    scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert!(scene.heard(client).ends_with("good"));
    scene.pass(Duration::from_secs(59));
    assert!(!scene.is_closed(client), "idle for less than it may be");
}
