//! curl, nghttp and h2load, as people run them.

use super::*;
use crate::drilling::{record, size};
use crate::loopback::https::{Authority, beside, secure, start};
use crate::loopback::programs::programs;
use std::path::Path;
use std::process::Command;

/// An origin for what clients of HTTP/2 may see: `/early` has an interim response, `/trailers` ends
/// with trailers, all others say what was asked.
fn origin() -> Origin {
    Origin::http(|head, body| match head.split(' ').nth(1).unwrap_or_default() {
        "/early" => {
            let early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
            [&early[..], &ok(b"late")].concat()
        }
        "/trailers" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\n\
            X-Digest: 4711\r\n\r\n"
            .to_vec(),
        _ => ok(&[head.as_bytes(), body].concat()),
    })
}

/// What a program prints on both streams.
fn said(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("it runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn curl_is_served_by_prior_knowledge() {
    let Some([curl]) = programs(["curl"]) else { return };
    let origin = origin();
    let operated = started(&origin, "");
    let curl = |path: &str, more: &[&str]| {
        let url = format!("http://{}{path}", operated.ringway.address);
        let own = ["-sS", "--noproxy", "*", "--max-time", "60", "--http2-prior-knowledge", "-i"];
        said(&curl, &[&own[..], more, &[&url]].concat())
    };
    let answer = curl("/a?b=c", &["-H", "X-Own: 1"]);
    assert!(answer.starts_with("HTTP/2 200 \r\n"), "{answer}");
    assert!(answer.contains("GET /a?b=c HTTP/1.1\r\n"), "{answer}");
    assert!(answer.contains(&format!("\r\nHost: {}\r\n", operated.ringway.address)), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nx-own: 1\r\n"), "{answer}");
    let answer = curl("/", &["-d", "some content"]);
    assert!(answer.contains("POST / HTTP/1.1\r\n") && answer.ends_with("some content"), "{answer}");
    let answer = curl("/", &["-I"]);
    assert!(
        answer.starts_with("HTTP/2 200 \r\n") && answer.contains("content-length: "),
        "{answer}"
    );
    let answer = curl("/early", &[]);
    assert!(answer.starts_with("HTTP/2 103 \r\nlink: </a.css>; rel=preload\r\n\r\n"), "{answer}");
    assert!(answer.contains("HTTP/2 200 ") && answer.ends_with("late"), "{answer}");
    let answer = curl("/trailers", &[]);
    assert!(answer.contains("some") && answer.contains("x-digest: 4711"), "{answer}");
    // A body that waits for 100 goes out all the same.
    let large = "x".repeat(2_000_000);
    let file = TempFolder::new();
    let file = file.write("large", &large);
    let data = format!("@{}", file.display());
    let answer = curl("/", &["-H", "Expect: 100-continue", "--data-binary", &data]);
    assert!(answer.ends_with(&large), "{} bytes", answer.len());
    assert!(operated.metric("ringway_http2_connections_total") >= 6);
}

#[test]
fn the_key_of_a_listener_turns_it_off() {
    let Some([curl]) = programs(["curl"]) else { return };
    let origin = origin();
    let text = config(&[origin.address], "[runtime]\nshards = 1\n");
    let off = text.replace("protocol = \"http\"", "protocol = \"http\"\nhttp2 = false");
    let plain = Operated::start(&off);
    let answer = plain.ringway.exchange(PREFACE);
    assert_eq!(status(&answer), 505, "{}", String::from_utf8_lossy(&answer));
    assert_eq!(plain.ringway.status_of("/"), 200);
    // A part of the preface is a part of a head that is refused as soon as that is known.
    let mut stream = plain.ringway.connect();
    PREFACE.chunks(5).for_each(|part| drop(stream.write_all(part)));
    assert_eq!(status(&read_to_end(&mut stream)), 505);

    let authority = Authority::new();
    let shop = authority.issue(&["shop.test"]);
    let files =
        [("shop.pem", &*shop.chain), ("shop-key.pem", &shop.key), ("root.pem", &authority.pem)];
    for (key, agreed) in [("http2 = true", "2"), ("http2 = false", "1.1")] {
        let secure = start(&files, &secure(&origin, key, &[("shop", "")]));
        let root = beside(&secure, "root.pem");
        let address = secure.ringway.address;
        let url = format!("https://shop.test:{}/", address.port());
        let resolve = format!("shop.test:{}:{}", address.port(), address.ip());
        let root = root.to_str().expect("text");
        let own = ["-sS", "--noproxy", "*", "--max-time", "60", "--http2", "--cacert", root];
        let more = ["--resolve", &resolve, "-w", "\n%{http_version}", &url];
        let answer = said(&curl, &[&own[..], &more].concat());
        assert!(answer.ends_with(&format!("\n{agreed}")), "{key}: {answer}");
    }
}

#[test]
fn nghttp_sees_pushless_streams_side_by_side_and_trailers_both_ways() {
    let Some([nghttp]) = programs(["nghttp"]) else { return };
    let origin = origin();
    let operated = started(&origin, "");
    let url = |path: &str| format!("http://{}{path}", operated.ringway.address);
    let verbose = said(&nghttp, &["-v", "-n", &url("/trailers")]);
    assert!(verbose.contains("x-digest: 4711"), "{verbose}");
    let file = TempFolder::new();
    let file = file.write("body", "some content");
    let body = file.to_str().expect("text");
    let answer = said(&nghttp, &["-d", body, "--trailer", "x-end: 1", &url("/")]);
    assert!(answer.contains("POST / HTTP/1.1") && answer.contains("some content"), "{answer}");
    // Padding, and many requests at once.
    let urls: Vec<String> = (0..30).map(|n| url(&format!("/n{n}"))).collect();
    let arguments: Vec<&str> =
        ["-b", "20"].into_iter().chain(urls.iter().map(String::as_str)).collect();
    let answer = said(&nghttp, &arguments);
    (0..30).for_each(|n| assert!(answer.contains(&format!("GET /n{n} HTTP/1.1")), "{n}: {answer}"));
}

#[test]
fn h2load_gets_all_that_it_asks_for() {
    let Some([h2load]) = programs(["h2load"]) else { return };
    let origin = Origin::saying("hello");
    let operated = started(&origin, "");
    let url = format!("http://{}/", operated.ringway.address);
    let requests = size("RINGWAY_REQUESTS", 3_000, 200_000);
    let count = requests.to_string();
    let text = said(&h2load, &["-n", &count, "-c", "10", "-m", "32", &url]);
    let expected = format!("{requests} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(text.contains(&expected), "{text}");
    let rate = text.lines().find_map(|line| line.strip_prefix("finished in "));
    record("h2load -c 10 -m 32", "finished in", rate.unwrap_or_default());
    operated.await_nothing_left();
}
