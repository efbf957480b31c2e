//! Last answers: they arrive, whatever the client sends behind its requests or still has to send.

use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::engine::Close;
use ringway::limits::{LINGER_MAX, LINGER_SILENCE};
use ringway::snapshot::Share;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

fn scene() -> Scene {
    Scene::new(&[Share::Weight(1)], Timeouts::default())
}

#[test]
fn a_client_that_ends_its_stream_behind_more_than_a_request_gets_the_answer_to_it() {
    let cut_body = "POST /2 HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf";
    let cut_chunk = "POST /2 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf";
    for more in ["\r\n", "\n", "\r", "GET /2 HT", "\r\nGET", cut_body, cut_chunk] {
        for ends_first in [true, false] {
            let mut scene = scene();
            let client = scene.client();
            scene.say(client, &format!("{GET}{more}"));
            let (backend, _) = scene.connected();
            if ends_first {
                scene.end(client);
            }
            // The end and the answer may be found in the same turn, too.
            scene.add(backend, ANSWER);
            scene.end(client);
            assert!(scene.heard(client).ends_with("good"), "{more:?}, first: {ends_first}");
            assert_eq!(scene.closed(client), Some(Close::Graceful), "{more:?}");
        }
    }
}

#[test]
fn an_answer_that_is_cut_short_takes_none_that_came_before_it_away() {
    let heads = ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"];
    for (head, how) in heads.into_iter().zip([Close::Graceful, Close::Reset]) {
        let mut scene = scene();
        let client = scene.client();
        scene.say(client, &format!("{GET}{GET}"));
        let (backend, _) = scene.connected();
        // The client hardly reads.
        scene.network.borrow_mut().meanness.peer_bytes_max = 1;
        scene.say(backend, ANSWER);
        scene.network.borrow_mut().meanness.peer_bytes_max = 1 << 20;
        scene.heard(backend);
        scene.network.borrow_mut().meanness.peer_bytes_max = 1;
        scene.say(backend, &format!("{head}half"));
        scene.reset(backend);
        scene.network.borrow_mut().meanness.peer_bytes_max = 1 << 20;
        scene.turns(8);
        let heard = scene.heard(client);
        assert!(heard.contains("good") && heard.ends_with("half"), "{heard:?}");
        scene.end(client);
        assert_eq!(scene.closed(client), Some(how), "it shows that the answer is not whole");
    }
}

/// What a backend does with an upload that it does not want.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unwilling {
    Ends,
    Resets,
    Idles,
}

const REFUSED: &str = "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno";

/// Uploads that get an early answer: what declares them, what of them is too much, what the
/// backend does.
const UPLOADS: [(&str, bool, Option<Unwilling>); 5] = [
    ("Content-Length: 16777216", true, None),
    ("Transfer-Encoding: chunked", true, None),
    ("Content-Length: 16777216", false, Some(Unwilling::Ends)),
    ("Content-Length: 16777216", false, Some(Unwilling::Resets)),
    ("Transfer-Encoding: chunked", false, Some(Unwilling::Idles)),
];

/// A client whose upload has begun and got its answer, which it has not looked for.
fn answered_early(field: &str, is_bounded: bool, unwilling: Option<Unwilling>) -> (Scene, i32) {
    let mut scene = Scene::with(&[Share::Weight(1)], |config| {
        config.http.request_body_max = if is_bounded { 100_000 } else { 0 };
    });
    let client = scene.client();
    scene.say(client, &format!("PUT / HTTP/1.1\r\nHost: t\r\n{field}\r\n\r\n"));
    if field.starts_with("Transfer") {
        scene.say(client, "1000000\r\n");
    }
    if let Some(unwilling) = unwilling {
        let (backend, _) = scene.connected();
        scene.say(backend, REFUSED);
        match unwilling {
            Unwilling::Ends => scene.end(backend),
            Unwilling::Resets => scene.reset(backend),
            Unwilling::Idles => {}
        }
    }
    (scene, client)
}

#[test]
fn an_upload_that_goes_on_does_not_cost_its_early_answer() {
    // 16 MiB at 2 MiB/s.
    let (pieces, pace) = (128, Duration::from_secs(8) / 128);
    let piece = "u".repeat((16 << 20) / pieces);
    for (field, is_bounded, unwilling) in UPLOADS {
        let (mut scene, client) = answered_early(field, is_bounded, unwilling);
        for _ in 0..pieces {
            scene.add(client, &piece);
            scene.pass(pace);
            assert_eq!(scene.closed(client), None, "{field}, {unwilling:?}: it is reset");
        }
        let status = if unwilling.is_some() { "HTTP/1.1 401 " } else { "HTTP/1.1 413 " };
        assert!(scene.heard(client).contains(status), "{field}, {unwilling:?}");
        scene.end(client);
        assert_eq!(scene.closed(client), Some(Close::Graceful), "{field}, {unwilling:?}");
    }
}

#[test]
fn who_goes_on_after_its_last_answer_is_listened_to_for_a_while_only() {
    let (field, is_bounded, unwilling) = UPLOADS[0];
    let (mut scene, client) = answered_early(field, is_bounded, unwilling);
    scene.pass(LINGER_SILENCE - Duration::from_secs(1));
    assert_eq!(scene.closed(client), None, "it may only be slow");
    scene.pass(Duration::from_secs(2));
    assert!(scene.closed(client).is_some(), "nothing comes");

    let (mut scene, client) = answered_early(field, is_bounded, unwilling);
    for _ in 0..LINGER_MAX.as_secs() - 2 {
        scene.say(client, "u");
        scene.pass(Duration::from_secs(1));
        assert_eq!(scene.closed(client), None, "bytes come");
    }
    scene.say(client, "u");
    scene.pass(Duration::from_secs(3));
    assert!(scene.closed(client).is_some(), "for ever is too long");
}

#[test]
fn a_tunnel_whose_sides_have_ended_is_closed_at_once() {
    let asked = "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                     Upgrade: websocket\r\n\r\nbye";
    for backend_first in [true, false] {
        let mut scene = scene();
        let client = scene.client();
        scene.say(client, asked);
        let (backend, _) = scene.connected();
        scene.say(backend, switching);
        let (one, two) = if backend_first { (backend, client) } else { (client, backend) };
        scene.end(one);
        assert_eq!(scene.closed(client), None, "the other direction goes on");
        scene.end(two);
        assert!(scene.heard(client).ends_with("bye"));
        assert_eq!(scene.closed(client), Some(Close::Graceful), "first: {backend_first}");
        assert_eq!(scene.closed(backend), Some(Close::Graceful), "first: {backend_first}");
    }
}
