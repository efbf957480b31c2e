//! Heads of requests and responses: read, and read and written anew for the other side, with the
//! rules and the fields that Ringway has by default.

use super::Case;
use ringway::head::{RequestHead, RequestRewrite, ResponseHead, ResponseTo, Rules};
use ringway::http1::{
    ConnectionField, FieldStorage, ResponseRewrite, Verdict, write_request, write_response,
};
use ringway::limits::HEAD_BYTES_MAX;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

const OPERATIONS: u64 = 2_000;

/// What load generators and health checks send.
const SMALL_REQUEST: &str = "GET /bytes/128 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";

/// What a browser sends, with a session's cookie.
const BROWSER_REQUEST: &str = "\
GET /catalogue/items/4711?colour=blue&page=3 HTTP/1.1\r\n\
Host: shop.example.com\r\n\
Connection: keep-alive\r\n\
Cache-Control: max-age=0\r\n\
Upgrade-Insecure-Requests: 1\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
Chrome/126.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-User: ?1\r\n\
Sec-Fetch-Dest: document\r\n\
Referer: https://shop.example.com/catalogue\r\n\
Accept-Encoding: gzip, deflate, br\r\n\
Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1\r\n\
\r\n";

/// What an upload begins with.
const CHUNKED_REQUEST: &str = "\
POST /upload HTTP/1.1\r\n\
Host: shop.example.com\r\n\
Content-Type: application/octet-stream\r\n\
Transfer-Encoding: chunked\r\n\
Expect: 100-continue\r\n\
\r\n";

const SMALL_RESPONSE: &str = "\
HTTP/1.1 200 OK\r\n\
Content-Type: application/octet-stream\r\n\
Content-Length: 128\r\n\
\r\n";

const TYPICAL_RESPONSE: &str = "\
HTTP/1.1 200 OK\r\n\
Date: Mon, 06 May 2024 10:11:12 GMT\r\n\
Server: origin\r\n\
Content-Type: text/html; charset=utf-8\r\n\
Content-Length: 18212\r\n\
Connection: keep-alive\r\n\
Cache-Control: private, max-age=60\r\n\
ETag: \"5e2c-61f4d2a7b0d40\"\r\n\
Vary: Accept-Encoding\r\n\
Set-Cookie: session=8f14e45fceea167a5a36dedd4bea2543; Path=/; HttpOnly; Secure\r\n\
X-Content-Type-Options: nosniff\r\n\
\r\n";

/// See the module.
pub fn cases() -> Vec<Case> {
    let requests =
        [("small", SMALL_REQUEST), ("browser", BROWSER_REQUEST), ("chunked", CHUNKED_REQUEST)];
    let responses = [("small", SMALL_RESPONSE), ("typical", TYPICAL_RESPONSE)];
    let mut cases = Vec::new();
    for (name, text) in requests {
        let read = move |count| repeat_request(text, false, count);
        cases.push(Case::new(format!("request {name}, read"), OPERATIONS, read));
        let rewrite = move |count| repeat_request(text, true, count);
        cases.push(Case::new(format!("request {name}, read and written"), OPERATIONS, rewrite));
    }
    for (name, text) in responses {
        let read = move |count| repeat_response(text, false, count);
        cases.push(Case::new(format!("response {name}, read"), OPERATIONS, read));
        let rewrite = move |count| repeat_response(text, true, count);
        cases.push(Case::new(format!("response {name}, read and written"), OPERATIONS, rewrite));
    }
    cases
}

fn repeat_request(text: &str, is_written: bool, count: u64) {
    let rules = Rules::default();
    let rewrite = RequestRewrite {
        client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)),
        client_is_trusted_proxy: false,
        proto: "http",
        via: Some(b"ringway"),
        client_certificate: &[],
        forward_upgrade: false,
        websocket_key: None,
    };
    let mut out = vec![0; HEAD_BYTES_MAX];
    for _ in 0..count {
        let mut storage = FieldStorage::new();
        let verdict = RequestHead::parse(black_box(text.as_bytes()), &mut storage, &rules);
        let Verdict::Complete(head) = &verdict else { panic!("a good request: {verdict:?}") };
        if is_written {
            let written = write_request(head, black_box(&rewrite), &mut out);
            black_box(written.expect("it fits"));
        }
        black_box(&verdict);
    }
}

fn repeat_response(text: &str, is_written: bool, count: u64) {
    let rules = Rules::default();
    let rewrite = ResponseRewrite {
        connection: ConnectionField::None,
        via: Some(b"ringway"),
        hsts: None,
        body_unframed: false,
    };
    let mut out = vec![0; HEAD_BYTES_MAX];
    for _ in 0..count {
        let mut storage = FieldStorage::new();
        let asked = ResponseTo::default();
        let verdict = ResponseHead::parse(black_box(text.as_bytes()), &mut storage, asked, &rules);
        let Verdict::Complete(head) = &verdict else { panic!("a good response: {verdict:?}") };
        if is_written {
            let written = write_response(head, black_box(&rewrite), &mut out);
            black_box(written.expect("it fits"));
        }
        black_box(&verdict);
    }
}
