//! Chunked bodies on their way through a shard: what of their framing goes on, wherever it is
//! split.

use super::engine::BUFFER_SIZE;
use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::snapshot::Share;

const GET: &str = "GET /next HTTP/1.1\r\nHost: t\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

fn scene() -> Scene {
    Scene::new(&[Share::Weight(1)], Timeouts::default())
}

/// What is heard behind a head.
fn behind_head(text: &str) -> &str {
    text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}")).1
}

#[test]
fn a_request_is_relayed_without_what_readers_may_differ_on() {
    let head =
        "POST / HTTP/1.1\r\nHost: t\r\nConnection: x-a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, relayed) in [
        ("5 ;a=\"\r\nhello\r\n0;x\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        (
            "00B\r\nhello world\r\nA\r\n0123456789\r\n00\r\n\r\n",
            "b\r\nhello world\r\na\r\n0123456789\r\n0\r\n\r\n",
        ),
        (
            "2;;\r\nhi\r\n0\r\nX-A: 1\r\nX-B: 2\r\nX-Real-IP: 3\r\nCookie: 4\r\nX_C: 5\r\n\r\n",
            "2\r\nhi\r\n0\r\nX-B: 2\r\n\r\n",
        ),
    ] {
        let text = [head, body, GET].concat();
        for at in 1..text.len() {
            let mut scene = scene();
            let client = scene.client();
            let (one, two) = text.split_at(at);
            scene.say(client, one);
            scene.say(client, two);
            let (backend, _) = scene.connected();
            assert_eq!(behind_head(&scene.heard(backend)), relayed, "{body:?} at {at}");
            scene.say(backend, ANSWER);
            assert!(scene.heard(backend).starts_with("GET /next "), "{body:?} at {at}");
            scene.say(backend, ANSWER);
            assert_eq!(scene.heard(client).matches("good").count(), 2, "{body:?} at {at}");
        }
    }
}

#[test]
fn trailers_that_a_backend_may_not_send_are_left_out_of_a_good_answer() {
    let head = "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = "2 \r\nhi\r\n00B\r\nhello world\r\n00\r\n";
    let section = "Cache-Control: no-store\r\nX-B: 1\r\nx_sum: 2\r\nX-Hop: 3\r\n\r\n";
    let text = [head, chunks, section].concat();
    for (version, content) in
        [("1.1", "2\r\nhi\r\nb\r\nhello world\r\n0\r\nX-B: 1\r\n\r\n"), ("1.0", "hihello world")]
    {
        for at in 1..text.len() {
            let mut scene = scene();
            let client = scene.client();
            scene.say(client, &format!("GET / HTTP/{version}\r\nHost: t\r\n\r\n"));
            let (backend, _) = scene.connected();
            let (one, two) = text.split_at(at);
            scene.say(backend, one);
            scene.say(backend, two);
            assert_eq!(behind_head(&scene.heard(client)), content, "HTTP/{version} at {at}");
            assert_eq!(scene.failures(0), 0);
            assert!(!scene.is_closed(backend), "it is kept");
        }
    }
}

#[test]
fn trailers_go_on_wherever_the_read_that_ends_them_is_cut_to_fit_a_buffer() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let end = "\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n";
    for first in 1..40 {
        // The second read fills a buffer, so of the answer its last `first` bytes do not fit one
        // with the bytes before them.
        let size = first + BUFFER_SIZE - head.len() - "0000\r\n".len() - end.len();
        let body = format!("{size:04x}\r\n{}{end}", "x".repeat(size));
        let text = [head, &body].concat();
        let mut scene = scene();
        scene.network.borrow_mut().meanness.receive_bytes_max = u32::MAX;
        let client = scene.client();
        scene.say(client, GET);
        let (backend, _) = scene.connected();
        let (one, two) = text.split_at(first);
        scene.say(backend, one);
        scene.say(backend, two);
        assert!(behind_head(&scene.heard(client)) == body, "not as sent, {first} bytes first");
        assert_eq!(scene.failures(0), 0, "{first} bytes first");
        scene.say(client, GET);
        scene.say(backend, ANSWER);
        assert!(scene.heard(client).ends_with("good"), "its connection goes on, {first} first");
    }
}

#[test]
fn chunks_go_on_wherever_a_size_is_cut_before_a_read_that_fills_a_buffer() {
    let heads = [
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    let line = "0003Ff0 ;x=\"y\"\r\n";
    let data = "x".repeat(0x3ff0);
    let relayed = format!("2\r\nhi\r\n3ff0\r\n{data}\r\n3ff0\r\n{data}\r\n0\r\n\r\n");
    for is_of_backend in [false, true] {
        for cut in 1..line.len() {
            let mut scene = scene();
            scene.network.borrow_mut().meanness.receive_bytes_max = u32::MAX;
            let client = scene.client();
            let (first, rest) = line.split_at(cut);
            let body = format!("{rest}{data}\r\n{line}{data}\r\n00\r\n\r\n");
            let head = heads[usize::from(is_of_backend)];
            scene.say(client, if is_of_backend { GET } else { head });
            let (backend, _) = scene.connected();
            let (from, to) = if is_of_backend { (backend, client) } else { (client, backend) };
            if is_of_backend {
                scene.say(from, head);
            }
            let before = scene.heard(to);
            scene.say(from, &format!("02\r\nhi\r\n{first}"));
            scene.say(from, &body);
            let heard = behind_head(&(before + &scene.heard(to))).to_owned();
            assert!(heard == relayed, "cut at {cut}, of the backend: {is_of_backend}");
        }
    }
}

#[test]
fn a_malformed_chunk_that_comes_with_its_head_is_answered_with_502() {
    // With little and with much of a body before it.
    for (chunk, size) in
        [("5 0\r\nhello\r\n0\r\n\r\n", 1), ("x", 5_000), ("0\r\nA : b\r\n\r\n", 5_000)]
    {
        let mut scene = scene();
        let client = scene.client();
        scene.say(client, GET);
        let (backend, _) = scene.connected();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        scene.say(backend, &format!("{head}{size:x}\r\n{}\r\n{chunk}", "x".repeat(size)));
        let heard = scene.heard(client);
        assert!(heard.starts_with("HTTP/1.1 502 "), "{chunk:?}: {heard}");
        assert_eq!((scene.is_closed(backend), scene.failures(0)), (true, 1), "{chunk:?}");
        scene.say(client, GET);
        let (next, _) = scene.connected();
        assert_ne!(next, backend, "the client's connection goes on, with another one");
        scene.say(next, ANSWER);
        assert!(scene.heard(client).ends_with("good"), "{chunk:?}");
    }
}
