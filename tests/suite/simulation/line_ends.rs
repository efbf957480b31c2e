//! Line ends that belong to no request: some clients send them behind a body.

use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::mailbox::Stage;
use ringway::snapshot::Share;
use std::time::Duration;

const POST: &str = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}";
const GET: &str = "GET /next HTTP/1.1\r\nHost: t\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

/// Line ends in the pieces in which they come.
const STRAY: [&[&str]; 6] =
    [&["\r\n"], &["\r", "\n"], &["\n"], &["\r\n\r\n"], &["\r\n\r", "\n\n"], &["\n", "\n", "\r\n"]];

/// A client that has been served and whose connection to the backend is idle.
fn served() -> (Scene, i32, i32) {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    let client = scene.client();
    scene.say(client, POST);
    let (backend, _) = scene.connected();
    scene.say(backend, ANSWER);
    assert!(scene.heard(client).ends_with("good"));
    assert!(scene.heard(backend).ends_with("{}"));
    (scene, client, backend)
}

#[test]
fn line_ends_between_requests_change_nothing() {
    for pieces in STRAY {
        let (mut scene, client, backend) = served();
        pieces.iter().for_each(|piece| scene.say(client, piece));
        scene.pass(Timeouts::default().request_head + Duration::from_secs(1));
        assert_eq!(scene.heard(client), "", "{pieces:?} are no request");
        scene.say(client, GET);
        assert!(scene.heard(backend).starts_with("GET /next "), "{pieces:?}");
        scene.say(backend, ANSWER);
        assert!(scene.heard(client).ends_with("good"));
    }
}

#[test]
fn a_client_that_sends_line_ends_is_as_idle_as_one_that_sends_nothing() {
    for (pieces, is_late) in STRAY.into_iter().flat_map(|stray| [(stray, false), (stray, true)]) {
        let (mut scene, client, _) = served();
        let idle = Timeouts::default().idle;
        // Before and after the connection is polled instead of received on.
        scene.pass(if is_late { idle / 2 } else { Duration::from_secs(1) });
        pieces.iter().for_each(|piece| scene.say(client, piece));
        scene.pass(idle / 4);
        assert!(!scene.is_closed(client), "{pieces:?}");
        scene.pass(idle);
        assert!(scene.is_closed(client), "{pieces:?} do not keep it");
        assert_eq!(scene.heard(client), "");
    }
}

#[test]
fn a_client_that_sends_line_ends_holds_no_drain_up() {
    for pieces in STRAY {
        let (mut scene, client, _) = served();
        pieces.iter().for_each(|piece| scene.say(client, piece));
        scene.order(Stage::Draining);
        scene.turns(3);
        assert!(scene.has_ended(client), "{pieces:?}: it is told at once");
    }
}

#[test]
fn line_ends_before_a_request_are_no_part_of_it_wherever_they_are_split() {
    for stray in STRAY {
        let text = [POST, &stray.concat(), GET].concat();
        for at in 1..text.len() {
            let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
            let client = scene.client();
            let (one, two) = text.split_at(at);
            scene.say(client, one);
            scene.say(client, two);
            let (backend, _) = scene.connected();
            assert!(scene.heard(backend).ends_with("{}"), "{text:?} at {at}");
            scene.say(backend, ANSWER);
            assert!(scene.heard(backend).starts_with("GET /next "), "{text:?} at {at}");
            scene.say(backend, ANSWER);
            assert_eq!(scene.heard(client).matches("good").count(), 2, "{text:?} at {at}");
        }
    }
}

#[test]
fn who_sends_nothing_but_line_ends_is_refused_after_a_while() {
    let (mut scene, client, _) = served();
    (0..100).for_each(|_| scene.say(client, "\r\n"));
    assert!(scene.heard(client).starts_with("HTTP/1.1 400 "));
}
