//! Answers that Ringway gives itself, as a client reads them: status line, fields, body, and
//! whether the connection goes on.

use super::harness::*;
use ringway::base::calendar::imf_fixdate;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

/// What brings about a status, and whether the connection ends with it.
struct Case {
    status: u16,
    line: &'static str,
    request: String,
    closes: bool,
}

fn case(status: u16, line: &'static str, request: &str, closes: bool) -> Case {
    let request = request.replace('\n', "\r\n");
    Case { status, line, request, closes }
}

fn cases() -> Vec<Case> {
    let long = "x".repeat(3_000);
    let get = |host: &str| format!("GET / HTTP/1.1\nHost: {host}\n\n");
    vec![
        case(400, "400 Bad Request", "GET / HTTP/1.1\nHost: a\nHost: b\n\n", true),
        case(404, "404 Not Found", &get("other.test"), false),
        case(405, "405 Method Not Allowed", "TRACE / HTTP/1.1\nHost: a\n\n", true),
        case(408, "408 Request Timeout", "GET / HTTP/1.1\nHos", true),
        case(
            408,
            "408 Request Timeout",
            "POST / HTTP/1.1\nHost: silent.test\nContent-Length: 9\n\nhalf",
            true,
        ),
        case(
            413,
            "413 Content Too Large",
            "POST / HTTP/1.1\nHost: silent.test\nContent-Length: 1025\n\n",
            true,
        ),
        case(414, "414 URI Too Long", &format!("GET /{long} HTTP/1.1\nHost: a\n\n"), true),
        case(
            417,
            "417 Expectation Failed",
            "GET / HTTP/1.1\nHost: a\nExpect: the-unexpected\n\n",
            true,
        ),
        case(421, "421 Misdirected Request", "GET ftp://a/ HTTP/1.1\nHost: a\n\n", true),
        case(
            431,
            "431 Request Header Fields Too Large",
            &format!("GET / HTTP/1.1\nHost: a\nX: {long}\n\n"),
            true,
        ),
        case(501, "501 Not Implemented", "CONNECT a:443 HTTP/1.1\nHost: a:443\n\n", true),
        case(502, "502 Bad Gateway", &get("garbage.test"), false),
        case(503, "503 Service Unavailable", &get("refusing.test"), false),
        case(504, "504 Gateway Timeout", &get("silent.test"), false),
        case(505, "505 HTTP Version Not Supported", "GET / HTTP/2.0\nHost: a\n\n", true),
    ]
}

/// How a Date of these days begins.
fn today_and_yesterday() -> [String; 2] {
    let today = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    [today, today - 86_400].map(|seconds| {
        let date = imf_fixdate(seconds);
        String::from_utf8_lossy(&date[.."Sun, 06 Nov 1994".len()]).into_owned()
    })
}

/// Backends by the name of their host.
fn text(hosts: &[(&str, SocketAddr)], more: &str) -> String {
    let mut text = format!(
        "[timeouts]\nrequest_head = \"2s\"\nbetween_bytes = \"2s\"\n\
         [http]\nhead_bytes_max = \"2KiB\"\nrequest_body_max = \"1KiB\"\n{more}\n\
         [[listener]]\nname = \"web\"\naddress = \"LISTEN\"\n"
    );
    for (name, address) in hosts {
        text += &format!(
            "[[route]]\nhost = \"{name}.test\"\npool = \"{name}\"\n\
             [pool.{name}.health]\nprotocol = \"none\"\n\
             [[pool.{name}.backend]]\naddress = \"{address}\"\n"
        );
    }
    text
}

fn answered(head: &str) -> u16 {
    status(head.as_bytes())
}

/// A head, and as much of a body as it says.
fn read_answer(stream: &mut TcpStream) -> (String, String) {
    let head = String::from_utf8(read_until(stream, b"\r\n\r\n")).expect("text");
    let mut lengths = head.lines().filter_map(|line| line.strip_prefix("Content-Length: "));
    let length = lengths.next().and_then(|length| length.parse().ok()).expect("a length");
    assert_eq!(lengths.next(), None, "one length: {head}");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("so long a body");
    (head, String::from_utf8(body).expect("text"))
}

#[test]
fn every_error_is_a_whole_answer_with_the_configured_body_if_there_is_one() {
    let (silent, garbage) = (
        Origin::start(|mut stream| drop(stream.read_to_end(&mut Vec::new()))),
        Origin::http(|_, _| b"what?\r\n\r\n".to_vec()),
    );
    let (_refuser, refusing) = refusing();
    let hosts = [("silent", silent.address), ("garbage", garbage.address), ("refusing", refusing)];
    let statuses: BTreeSet<u16> = cases().iter().map(|case| case.status).collect();
    let own = statuses.iter().map(|status| {
        format!(
            "[[error_answer]]\nstatus = {status}\ncontent_type = \"text/html\"\n\
             body = \"<p>sorry, {status}\"\n"
        )
    });
    let own: String = own.collect();
    for own in ["", &own] {
        let ringway = Ringway::with_config(&text(&hosts, own));
        for Case { status, line, request, closes } in cases() {
            let mut stream = ringway.connect();
            stream.write_all(request.as_bytes()).expect("sent");
            let (head, body) = read_answer(&mut stream);
            assert!(head.starts_with(&format!("HTTP/1.1 {line}\r\n")), "{line}: {head}");
            assert_eq!(head.contains("\r\nConnection: close\r\n"), closes, "{head}");
            let date = head.lines().find_map(|line| line.strip_prefix("Date: "));
            let date = date.unwrap_or_else(|| panic!("no Date: {head}"));
            // Of today, or of yesterday just after midnight.
            assert!(today_and_yesterday().iter().any(|day| date.starts_with(day)), "{date}");
            let kind = if own.is_empty() { "text/plain" } else { "text/html" };
            assert!(head.contains(&format!("\r\nContent-Type: {kind}\r\n")), "{head}");
            match own.is_empty() {
                true => assert!(body.starts_with(line) && body.ends_with(".\n"), "{body}"),
                false => assert_eq!(body, format!("<p>sorry, {status}")),
            }
            if closes {
                assert_eq!(read_to_end(&mut stream), b"", "nothing behind {line}");
            } else {
                // The same connection serves the next request; HEAD has no body.
                let next = b"HEAD / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n";
                stream.write_all(next).expect("sent");
                let rest = String::from_utf8(read_to_end(&mut stream)).expect("text");
                assert!(rest.starts_with("HTTP/1.1 404 Not Found\r\n"), "after {line}: {rest}");
                assert!(rest.ends_with("\r\n\r\n") && !rest.contains("Length: 0"), "{rest}");
            }
        }
    }
}

#[test]
fn a_client_of_http_1_0_that_keeps_its_connection_is_told_that_it_is_kept() {
    let origin = Origin::saying("proxied");
    let (_refuser, refusing) = refusing();
    let hosts = [("good", origin.address), ("refusing", refusing)];
    let ringway = Ringway::with_config(&text(&hosts, ""));
    let mut stream = ringway.connect();
    for (host, status) in [("good", 200), ("other", 404), ("refusing", 503), ("good", 200)] {
        let fields = format!("Host: {host}.test\r\nConnection: keep-alive\r\n");
        stream.write_all(format!("GET / HTTP/1.0\r\n{fields}\r\n").as_bytes()).expect("sent");
        let (head, _) = read_answer(&mut stream);
        assert_eq!(answered(&head), status);
        assert!(head.contains("\r\nConnection: keep-alive\r\n"), "{head}");
    }
    for host in ["good", "other"] {
        let mut stream = ringway.connect();
        let request = format!("GET / HTTP/1.0\r\nHost: {host}.test\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let text = String::from_utf8(read_to_end(&mut stream)).expect("text");
        assert!(text.contains("\r\nConnection: close\r\n"), "who does not ask is closed: {text}");
    }
}
