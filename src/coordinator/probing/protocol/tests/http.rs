//! Probes over HTTP/1.1.

use super::*;
use crate::config::PROBE_ANSWER_BYTES_MAX;
use crate::coordinator::probing::protocol::ProbeStage;
use crate::limits::INTERIMS_MAX;

fn wanting(body: &str) -> HttpProbe {
    HttpProbe { body: Some(body.to_owned()), ..HttpProbe::default() }
}

/// What the probe makes of a response that comes in `pieces`.
async fn after_pieces(http: HttpProbe, pieces: Vec<Vec<u8>>) -> Result<(), ProbeFailure> {
    let (address, _) = origin(move |mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        pieces.iter().for_each(|piece| say(&mut stream, piece));
    });
    ask(&probe_of(ProbeKind::Http(http)), address).await
}

async fn after(http: HttpProbe, response: &str) -> Result<(), ProbeFailure> {
    after_pieces(http, vec![response.into()]).await
}

/// The request as the origin sees it.
async fn request_of(http: HttpProbe) -> (String, SocketAddr) {
    let (address, origin) = origin(|mut stream| {
        let seen = read_until(&mut stream, b"\r\n\r\n");
        say(&mut stream, b"HTTP/1.1 204 No Content\r\n\r\n");
        String::from_utf8(seen).expect("text")
    });
    assert_eq!(ask(&probe_of(ProbeKind::Http(http)), address).await, Ok(()));
    (origin.join().expect("served"), address)
}

#[tokio::test]
async fn a_request_without_settings_names_the_address() {
    let (request, address) = request_of(HttpProbe::default()).await;
    let agent = concat!("ringway-probe/", env!("CARGO_PKG_VERSION"));
    let expected = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nUser-Agent: {agent}\r\n\r\n"
    );
    assert_eq!(request, expected);
}

#[tokio::test]
async fn a_request_says_what_was_set() {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let (request, _) = request_of(HttpProbe {
        method: "POST".to_owned(),
        path: "/healthz?full=1".to_owned(),
        host: Some("shop.test".to_owned()),
        headers: vec![field("X-Probe", "1"), field("User-Agent", "us"), field("host", "no")],
        ..HttpProbe::default()
    })
    .await;
    let expected = "POST /healthz?full=1 HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\
                    X-Probe: 1\r\nUser-Agent: us\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(request, expected);
}

#[tokio::test]
async fn a_host_among_the_headers_is_the_host() {
    let headers = vec![("Host".to_owned(), "shop.test".to_owned())];
    let (request, _) = request_of(HttpProbe { headers, ..HttpProbe::default() }).await;
    assert!(request.starts_with("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection"), "{request}");
}

#[tokio::test]
async fn interim_responses_are_counted() {
    let after_interims = |count: u8| {
        let interims = "HTTP/1.1 103 Hints\r\n\r\n".repeat(count as usize);
        interims + "HTTP/1.1 204 No Content\r\n\r\n"
    };
    let most = after_interims(INTERIMS_MAX);
    assert_eq!(after(HttpProbe::default(), &most).await, Ok(()));
    let result = after(HttpProbe::default(), &after_interims(INTERIMS_MAX + 1)).await;
    assert!(matches!(result, Err(ProbeFailure::Malformed(_))), "{result:?}");
}

#[tokio::test]
async fn the_status_decides() {
    let redirects = || HttpProbe { status: vec![200..=200, 300..=399], ..HttpProbe::default() };
    for (http, response, result) in [
        (HttpProbe::default(), "HTTP/1.1 200 OK\r\n\r\n", Ok(())),
        (HttpProbe::default(), "HTTP/1.0 204 No Content\r\n\r\n", Ok(())),
        (HttpProbe::default(), "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", Err(302)),
        (HttpProbe::default(), "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", Err(503)),
        (HttpProbe::default(), "HTTP/1.1 101 Switching Protocols\r\n\r\n", Err(101)),
        (HttpProbe::default(), "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Ok(())),
        (HttpProbe::default(), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\n\r\n", Err(500)),
        (HttpProbe::default(), "HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\n", Ok(())),
        (HttpProbe::default(), "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(())),
        (
            HttpProbe::default(),
            "HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            Ok(()),
        ),
        (HttpProbe::default(), "HTTP/1.1 600 No\r\n\r\n", Err(600)),
        (redirects(), "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", Ok(())),
        (redirects(), "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", Err(201)),
    ] {
        assert_eq!(after(http, response).await, result.map_err(ProbeFailure::Status), "{response}");
    }
}

#[tokio::test]
async fn what_is_no_response_is_malformed() {
    for response in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\0\u{1}\u{2}",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        &format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(20_000)),
    ] {
        let result = after(HttpProbe::default(), response).await;
        assert!(matches!(result, Err(ProbeFailure::Malformed(_))), "{response} {result:?}");
    }
}

#[tokio::test]
async fn an_end_before_the_answer_is_told_apart() {
    for response in ["", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let result = after(HttpProbe::default(), response).await;
        assert_eq!(result, Err(ProbeFailure::ClosedEarly), "{response}");
    }
}

#[tokio::test]
async fn silence_times_out() {
    let (address, _) = origin(stay_silent);
    let timed_out = ProbeFailure::TimedOut { stage: ProbeStage::Answering };
    let probe = hasty(ProbeKind::Http(HttpProbe::default()));
    assert_eq!(ask(&probe, address).await, Err(timed_out));
}

#[tokio::test]
async fn half_an_answer_times_out() {
    let (address, _) = origin(|mut stream| {
        say(&mut stream, b"HTTP/1.1 200 OK\r\n");
        stay_silent(stream);
    });
    let timed_out = ProbeFailure::TimedOut { stage: ProbeStage::Answering };
    let probe = hasty(ProbeKind::Http(HttpProbe::default()));
    assert_eq!(ask(&probe, address).await, Err(timed_out));
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn the_content_decides_if_a_text_is_wanted() {
    let mismatch = Err(ProbeFailure::BodyMismatch);
    let early = Err(ProbeFailure::ClosedEarly);
    for (response, result) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n all ok :-)", Ok(())),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end: ok", Ok(())),
        (&format!("{CHUNKED}1\r\no\r\n1\r\nk\r\n0\r\n\r\n"), Ok(())),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", mismatch.clone()),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", mismatch.clone()),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno, ok", mismatch.clone()),
        ("HTTP/1.1 200 OK\r\n\r\nno", mismatch.clone()),
        (&format!("{CHUNKED}2\r\nno\r\n0\r\n\r\nok"), mismatch),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno", early.clone()),
        (&format!("{CHUNKED}2\r\nno\r\n"), early),
        ("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nok", Err(ProbeFailure::Status(500))),
    ] {
        assert_eq!(after(wanting("ok"), response).await, result, "{response}");
    }
}

#[tokio::test]
async fn a_malformed_chunk_is_malformed() {
    let result = after(wanting("ok"), &format!("{CHUNKED}no chunk")).await;
    assert!(matches!(result, Err(ProbeFailure::Malformed(_))), "{result:?}");
}

#[tokio::test]
async fn an_answer_may_come_byte_by_byte() {
    let text = format!("{CHUNKED}3\r\nall\r\n4\r\n ok!\r\n0\r\n\r\n");
    let pieces = text.bytes().map(|byte| vec![byte]).collect();
    assert_eq!(after_pieces(wanting("all ok"), pieces).await, Ok(()));
}

#[tokio::test]
async fn content_beyond_the_limit_is_not_looked_at() {
    for (before, result) in
        [(PROBE_ANSWER_BYTES_MAX - 2, Ok(())), (PROBE_ANSWER_BYTES_MAX, mismatch())]
    {
        let content = format!("{}ok", "-".repeat(before));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
        assert_eq!(after(wanting("ok"), &format!("{head}{content}")).await, result);
    }
}

fn mismatch() -> Result<(), ProbeFailure> {
    Err(ProbeFailure::BodyMismatch)
}

#[tokio::test]
async fn head_has_no_content() {
    let http = HttpProbe { method: "HEAD".to_owned(), ..wanting("ok") };
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(after(http, response).await, mismatch());
}

#[test]
fn what_cannot_be_asked_is_to_be_mended() {
    let good = HttpProbe::default;
    let field = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    for (http, named) in [
        (HttpProbe { method: "GET IT".to_owned(), ..good() }, "`method`"),
        (HttpProbe { method: "CONNECT".to_owned(), ..good() }, "`method`"),
        (HttpProbe { path: "healthz".to_owned(), ..good() }, "`path`"),
        (HttpProbe { path: "/a b".to_owned(), ..good() }, "`path`"),
        (HttpProbe { path: "/a\r\nb".to_owned(), ..good() }, "`path`"),
        (HttpProbe { host: Some("a\r\nb".to_owned()), ..good() }, "`host`"),
        (HttpProbe { headers: field("a b", "c"), ..good() }, "a b: c"),
        (HttpProbe { headers: field("a", "b\r\nc"), ..good() }, "malformed"),
        (HttpProbe { headers: field("content-length", "1"), ..good() }, "leave it out"),
    ] {
        let text = mend(ProbeKind::Http(http));
        assert!(text.contains(named), "{text}");
    }
}

#[tokio::test]
async fn a_short_content_is_read_to_its_end_so_that_the_backend_sees_no_reset() {
    let content = "x".repeat(40_000);
    let (address, origin) = origin(move |mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
        say(&mut stream, head.as_bytes());
        // The probe knows enough now; the rest comes later.
        std::thread::yield_now();
        say(&mut stream, content.as_bytes());
        stream.read(&mut [0]).map_err(|error| error.kind())
    });
    assert_eq!(ask(&probe_of(ProbeKind::Http(HttpProbe::default())), address).await, Ok(()));
    assert_eq!(origin.join().expect("served"), Ok(0), "an end, and no reset");
}
