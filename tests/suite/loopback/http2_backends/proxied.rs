//! Clients of HTTP/1.1 whose requests go to backends of HTTP/2.

use super::*;
use std::io::{BufReader, Write};

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n").into_bytes()
}

/// The head and the body of an answer with a length.
fn answered(stream: &mut std::net::TcpStream, request: &[u8]) -> (String, Vec<u8>) {
    stream.write_all(request).expect("sent");
    let mut reader = BufReader::new(stream);
    read_request(&mut reader).expect("an answer")
}

#[test]
fn requests_and_answers_have_what_they_should() {
    let origin = Http2Origin::start();
    let ringway = Ringway::with_config(&config(&[origin.address], "", ""));
    let mut client = ringway.connect();
    let (head, body) = answered(&mut client, &get("/head?a=b"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let told = String::from_utf8(body).expect("text");
    let first = told.lines().next().expect("a line");
    assert_eq!(first, "GET http://a.example/head?a=b HTTP/2.0");
    assert!(told.contains("x-forwarded-for: 127.0.0.1\n"), "{told}");
    for hop in ["connection", "te:", "transfer-encoding", "keep-alive", "\nhost:"] {
        assert!(!told.contains(hop), "{hop} in {told}");
    }
    let (head, body) = answered(&mut client, &get("/bytes/100000"));
    assert!(
        head.contains("content-length: 100000\r\n") || head.contains("Content-Length: 100000\r\n"),
        "{head}"
    );
    assert_eq!(body, vec![b'x'; 100_000]);
    client.write_all(b"HEAD /bytes/100 HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    let head = String::from_utf8(read_until(&mut client, b"\r\n\r\n")).expect("text");
    assert!(head.contains("100\r\n"), "{head}");
    let (head, _) = answered(&mut client, &get("/status/404"));
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert_eq!(origin.connections(), 1, "one connection carries them all");
}

#[test]
fn trailers_go_both_ways_between_the_versions() {
    let origin = Http2Origin::start();
    let ringway = Ringway::with_config(&config(&[origin.address], "", ""));
    let mut client = ringway.connect();
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";
    client.write_all(request.as_bytes()).expect("sent");
    let heard = read_until(&mut client, b"0\r\nx-sum: 7\r\n\r\n");
    let heard = String::from_utf8(heard).expect("text");
    assert!(heard.contains("5\r\nhello\r\n"), "{heard}");
    let both = client::Http2Client::connect(ringway.address);
    let answered = both.asks("POST", "/trailers", &[], b"hello", None).expect("an answer");
    assert_eq!(answered.fields["content-length"], "5", "a length, and trailers all the same");
    assert_eq!(
        (&answered.body[..], answered.field("x-of-origin")),
        (&b"hello"[..], Some("at the end"))
    );
}

#[test]
fn an_early_answer_goes_out_before_the_request_is_complete() {
    let origin = Http2Origin::start();
    let ringway = Ringway::with_config(&config(&[origin.address], "", ""));
    let mut client = ringway.connect();
    let head = "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegun";
    client.write_all(head.as_bytes()).expect("sent");
    let heard = read_until(&mut client, b"too much");
    assert_eq!(status(&heard), 413);
    assert_eq!(ringway.status_of("/bytes/1"), 200);
}

#[test]
fn a_backend_that_speaks_another_version_is_a_bad_gateway() {
    let origin = Origin::saying("HTTP/1.1 it is");
    let ringway = Ringway::with_config(&config(&[origin.address], "", ""));
    assert_eq!(ringway.status_of("/"), 502);
}
