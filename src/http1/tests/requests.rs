//! The request that a backend gets for a request of a client.

use super::super::{Verdict, write_request};
use super::{FieldStorage, lines, with_request, written};
use crate::base::Prng;
use crate::head::RequestRewrite;
use crate::head::{BodyLength, Refusal, RequestHead, Rules, UnderscoreNames};
use std::net::IpAddr;

pub(super) fn plain() -> RequestRewrite<'static> {
    RequestRewrite {
        client: IpAddr::from([192, 0, 2, 1]),
        client_is_trusted_proxy: false,
        proto: "http",
        via: None,
        client_certificate: &[],
        forward_upgrade: false,
        websocket_key: None,
    }
}

pub(super) fn rewritten(text: &str, rewrite: &RequestRewrite<'_>, rules: &Rules) -> String {
    with_request(text, rules, |head| written(|out| write_request(head, rewrite, out)))
}

/// The lines between Host and X-Forwarded-For that a backend gets for these fields.
fn forwarded(start: &str, fields: &[&str]) -> Vec<String> {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let text = format!("{start} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let rewritten = rewritten(&text, &plain(), &Rules::default());
    let lines = lines(&rewritten);
    assert_eq!(lines[..2], [format!("{start} HTTP/1.1").as_str(), "Host: a"], "{text:?}");
    let (kept, added) = lines[2..].split_at(lines.len() - 6);
    let told = [
        "X-Forwarded-For: 192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: a",
    ];
    assert_eq!(added, told, "{text:?}");
    kept.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn fields_are_forwarded_by_the_rule_of_their_kind() {
    for (rule, start, fields, expected) in [
        (
            "as they are",
            "GET /",
            &["X: 1", "x: 2", "Cookie: a=b"][..],
            &["X: 1", "x: 2", "Cookie: a=b"][..],
        ),
        (
            "RFC 9110 §7.6.1: hop by hop",
            "GET /",
            &["Keep-Alive: 5", "TE: trailers", "A: b"],
            &["A: b"],
        ),
        ("what everybody means by it", "GET /", &["Proxy-Connection: keep-alive"], &[]),
        (
            "§7.6.1: named by Connection",
            "GET /",
            &["X-Hop: 1", "Connection: x-hop", "A: b"],
            &["A: b"],
        ),
        (
            "§7.6.1: by any of a list",
            "GET /",
            &["Connection: a ,, b,close", "A: 1", "B: 2", "C: 3"],
            &["C: 3"],
        ),
        (
            "§7.6.1: by several fields",
            "GET /",
            &["Connection: a", "A: 1", "A: 2", "connection: B", "B: 3"],
            &[],
        ),
        ("§7.6.1: Connection itself", "GET /", &["Connection: close"], &[]),
        ("§7.8: Upgrade is not asked for", "GET /", &["Connection: upgrade", "Upgrade: h2c"], &[]),
        (
            "underscores are left out",
            "GET /",
            &["X_Forwarded_For: 6.6.6.6", "A_b: 1", "Ab: 2"],
            &["Ab: 2"],
        ),
        (
            "forwarding fields of a stranger",
            "GET /",
            &["X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6", "x-real-IP: 6.6.6.6"],
            &[],
        ),
        ("§8.6: no body, said by POST", "POST /", &[], &["Content-Length: 0"]),
        ("§8.6: and by PUT", "PUT /", &["A: b"], &["A: b", "Content-Length: 0"]),
        ("§8.6: and by PATCH", "PATCH /", &["Content-Length: 0"], &["Content-Length: 0"]),
        ("§8.6: not by others", "DELETE /", &["Content-Length: 0"], &[]),
        ("a length is written anew", "POST /", &["Content-Length: 0007"], &["Content-Length: 7"]),
        (
            "as is the coding",
            "POST /",
            &["transfer-encoding: \t CHUNKED"],
            &["Transfer-Encoding: chunked"],
        ),
        (
            "§10.1.1: Expect",
            "POST /",
            &["Content-Length: 1", "Expect: 100-Continue"],
            &["Content-Length: 1", "Expect: 100-continue"],
        ),
    ] {
        assert_eq!(forwarded(start, fields), expected, "{rule}");
    }
}

#[test]
fn via_is_kept_and_ours_comes_last() {
    let rewrite = RequestRewrite { via: Some(b"ringway"), ..plain() };
    let via = |text: &str, rewrite: &RequestRewrite<'_>| {
        let text = rewritten(text, rewrite, &Rules::default());
        let lines = lines(&text).into_iter().filter_map(|line| line.strip_prefix("Via: "));
        lines.collect::<Vec<_>>().join("|")
    };
    let request = "GET / HTTP/1.1\r\nHost: a\r\nvia: 1.0 one\r\nVia: 1.1 two\r\n\r\n";
    assert_eq!(via(request, &rewrite), "1.0 one|1.1 two|1.1 ringway");
    assert_eq!(via(request, &plain()), "1.0 one|1.1 two");
    assert_eq!(via("GET / HTTP/1.0\r\n\r\n", &rewrite), "1.0 ringway");
}

#[test]
fn what_a_trusted_proxy_says_of_its_client_is_passed_on() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1,, 2.2.2.2 \r\n\
        X-Forwarded-For: 3.3.3.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n\
        X-Real-IP: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n\r\n";
    let trusted = RequestRewrite { client_is_trusted_proxy: true, ..plain() };
    let rewritten_text = rewritten(text, &trusted, &Rules::default());
    let expected = [
        "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.1",
        "X-Real-IP: 1.1.1.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: b",
        "Forwarded: for=1.1.1.1",
    ];
    assert_eq!(lines(&rewritten_text)[2..], expected);

    let partly = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n";
    let rewritten_text = rewritten(partly, &trusted, &Rules::default());
    let expected = [
        "X-Forwarded-For: 192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: a",
    ];
    assert_eq!(lines(&rewritten_text)[2..], expected, "what it did not say is ours to say");

    let stranger = rewritten(text, &plain(), &Rules::default());
    let expected = [
        "X-Forwarded-For: 192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: a",
    ];
    assert_eq!(lines(&stranger)[2..], expected);
}

#[test]
fn the_client_is_written_as_its_address_is_usually_written() {
    for (client, expected) in [
        ("10.0.255.7", "10.0.255.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
    ] {
        let rewrite = RequestRewrite { client: client.parse().expect("an address"), ..plain() };
        let text = rewritten("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &rewrite, &Rules::default());
        assert_eq!(lines(&text)[2], format!("X-Forwarded-For: {expected}"));
        assert_eq!(lines(&text)[3], format!("X-Real-IP: {expected}"));
    }
}

#[test]
fn an_upgrade_is_passed_on_where_it_is_allowed_and_can_be() {
    let allowed = RequestRewrite { forward_upgrade: true, ..plain() };
    for (rule, text, is_passed) in [
        ("asked for", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ws", true),
        ("not in Connection", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: ws", false),
        ("HTTP/1.0", "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: ws", false),
        (
            "with a body",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ws\r\nContent-Length: 1",
            false,
        ),
        (
            "two of them",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ws\r\nUpgrade: x",
            false,
        ),
    ] {
        let text = rewritten(&format!("{text}\r\n\r\n"), &allowed, &Rules::default());
        let asked = ["Connection: Upgrade", "Upgrade: ws"];
        let is_asked = lines(&text).windows(2).any(|pair| pair == asked);
        assert_eq!(is_asked, is_passed, "{rule}: {text:?}");
        assert_eq!(text.contains("pgrade"), is_passed, "{rule}: {text:?}");
    }
}

#[test]
fn names_with_underscores_are_left_out_refused_or_forwarded() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nA_b: 1\r\n\r\n";
    let rules = |underscore_names| Rules { underscore_names, ..Rules::default() };
    let has = |rules: &Rules| rewritten(text, &plain(), rules).contains("\r\nA_b: 1\r\n");
    assert!(!has(&rules(UnderscoreNames::Drop)));
    assert!(has(&rules(UnderscoreNames::Allow)));
    for name in ["X_Forwarded_For", "x-real_ip", "X_Real-IP", "X_Forwarded-Proto"] {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: 6.6.6.6\r\n\r\n");
        let text = rewritten(&text, &plain(), &rules(UnderscoreNames::Allow));
        assert!(!text.contains("6.6.6.6"), "{name} is taken for what a proxy says: {text}");
    }
    let mut storage = FieldStorage::new();
    let reject = rules(UnderscoreNames::Reject);
    let verdict = RequestHead::parse(text.as_bytes(), &mut storage, &reject);
    assert!(matches!(verdict, Verdict::Refused(Refusal::UnderscoreInName)));
}

#[test]
fn connection_cannot_name_what_the_message_cannot_lose() {
    for name in ["Host", "content-length", "Transfer-Encoding"] {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, {name}\r\n\r\n");
        let mut storage = FieldStorage::new();
        let verdict = RequestHead::parse(text.as_bytes(), &mut storage, &Rules::default());
        let refusal = Refusal::EssentialFieldInConnection;
        assert!(matches!(verdict, Verdict::Refused(found) if found == refusal), "{text:?}");
    }
}

/// A request made at random of fields of every kind.
fn random_request(prng: &mut Prng) -> String {
    const FIELDS: [&str; 15] = [
        "X-Real-IP: 6.6.6.6",
        "X-Hop: 1",
        "Connection: x-hop, keep-alive",
        "Connection: close",
        "Keep-Alive: timeout=1",
        "TE: trailers",
        "Via: 1.1 before",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Host: evil",
        "Forwarded: for=6.6.6.6",
        "A_b: c",
        "Accept: \t */* ",
        "X-Empty:",
        "Upgrade: ws",
        "Proxy-Connection: close",
    ];
    let method = ["GET", "POST", "HEAD", "QUERY"][prng.below(4) as usize];
    let target = ["/", "/a%20b?c=/../d", "http://Host.test:1/x", "//x"][prng.below(4) as usize];
    let mut fields = vec!["Host: host.test:1".to_owned()];
    for _ in 0..prng.below(12) {
        fields.push(FIELDS[prng.below(15) as usize].to_owned());
    }
    match prng.below(3) {
        0 => fields.push(format!("Content-Length: {}", prng.next_u64() >> 1)),
        1 => fields.push("Transfer-Encoding: chunked".to_owned()),
        _ => {}
    }
    let last = fields.len() as u32;
    fields.swap(0, prng.below(last) as usize);
    format!("{method} {target} HTTP/1.1\r\n{}\r\n\r\n", fields.join("\r\n"))
}

#[test]
fn what_is_written_says_the_same_again_and_nothing_of_the_connection() {
    let mut prng = Prng::new(11);
    for _ in 0..200 {
        let text = random_request(&mut prng);
        for end in 0..text.len() {
            let mut storage = FieldStorage::new();
            let part = RequestHead::parse(&text.as_bytes()[..end], &mut storage, &Rules::default());
            assert!(matches!(part, Verdict::Incomplete), "{text:?} at {end}");
        }
        let again = rewritten(&text, &plain(), &Rules::default());
        let meaning = |text: &str| {
            with_request(text, &Rules::default(), |head| {
                let line = (head.method.0.to_vec(), head.target.to_vec(), head.host.to_vec());
                (line, head.body)
            })
        };
        assert_eq!(meaning(&text), meaning(&again), "{text:?}");
        for line in &lines(&again)[1..] {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            let is_gone = ["connection", "keep-alive", "te", "upgrade", "proxy-connection"]
                .contains(&name.as_str());
            assert!(!is_gone && !name.contains('_'), "{line:?} of {text:?}");
        }
        assert!(!again.contains("6.6.6.6") && !again.contains("evil"), "{again:?}");
        let is_bodiless = meaning(&text).1 == BodyLength::None;
        let lengths = again.matches("Content-Length: ").count()
            + again.matches("Transfer-Encoding: ").count();
        let expected = usize::from(!is_bodiless || text.starts_with("POST"));
        assert_eq!(lengths, expected, "{again:?}");
        assert_eq!(rewritten(&again, &plain(), &Rules::default()), again, "written as read");
    }
}
