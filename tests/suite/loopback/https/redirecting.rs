//! From HTTP to HTTPS: redirections, and HSTS.

use super::*;
use crate::loopback::load::field;
use std::io::Write;

/// A listener of HTTPS and one of HTTP, each with these keys more, and these routes more.
fn start(authority: &Authority, backend: &Origin, https: &str, http: &str, more: &str) -> Operated {
    let shop = authority.issue(&["shop.test"]);
    let files =
        [("shop.pem", &*shop.chain), ("shop-key.pem", &shop.key), ("root.pem", &authority.pem)];
    let text = secure(backend, https, &[("shop", "")]);
    let text = format!(
        "{text}[[listener]]\nname = \"plain\"\naddress = \"LISTEN\"\n{http}\n\
         [[route]]\nlistener = \"web\"\npool = \"app\"\n{more}"
    );
    super::start(&files, &text)
}

fn asked(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("ended");
    String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned()
}

/// The status and the Location of the answer to a request whose head begins so.
fn redirected(address: SocketAddr, head: &str) -> (u16, Option<String>) {
    let answer = asked(address, &format!("{head}\r\nConnection: close\r\n\r\n"));
    (status(answer.as_bytes()), field(&answer, "Location").map(str::to_owned))
}

#[test]
fn requests_are_redirected_to_the_same_url_by_https() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start(&authority, &backend, "", "redirect_to_https = true", "");
    let plain = address_of(&secure, "plain");
    let to = |status, location: &str| (status, Some(location.to_owned()));
    for (head, expected) in [
        ("GET /a?b=c HTTP/1.1\r\nHost: shop.test", to(301, "https://shop.test/a?b=c")),
        ("HEAD / HTTP/1.1\r\nHost: Shop.test:8080", to(301, "https://Shop.test/")),
        (
            "POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0",
            to(308, "https://shop.test/a"),
        ),
        ("GET //evil.test/ HTTP/1.1\r\nHost: shop.test", to(301, "https://shop.test//evil.test/")),
        ("GET http://a.test?x HTTP/1.1\r\nHost: a.test", to(301, "https://a.test/?x")),
        ("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80", to(301, "https://[2001:db8::1]/")),
        ("OPTIONS * HTTP/1.1\r\nHost: shop.test", to(308, "https://shop.test")),
        ("GET / HTTP/1.0\r\nA: b", (400, None)),
        ("GET / HTTP/1.1\r\nHost:", (400, None)),
    ] {
        assert_eq!(redirected(plain, head), expected, "{head}");
    }
    // The connection is kept.
    let get = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    let both = asked(plain, &get.repeat(2));
    assert_eq!(both.matches("\r\nLocation: https://shop.test/\r\n").count(), 2, "{both}");
    assert_eq!(backend.connections(), 0);
    // It leads to no pool, which is the status of the command.
    let (_, why) = secure.verb(&["explain", "GET", "http://shop.test/a", "--listener", "plain"]);
    assert!(why.contains("301") && why.contains("redirected to https://shop.test/a"), "{why}");
}

#[test]
fn a_browser_is_led_to_another_port_and_own_routes_go_before_that() {
    let authority = Authority::new();
    let backend = Origin::http(|head, _| ok(head.lines().next().unwrap_or_default().as_bytes()));
    let more = "[[route]]\nlistener = \"plain\"\npath = \"/health\"\npool = \"app\"\n";
    let secure = start(&authority, &backend, "", "redirect_to_https = 8443", more);
    let plain = address_of(&secure, "plain");
    let head = "GET /a HTTP/1.1\r\nHost: shop.test";
    assert_eq!(redirected(plain, head).1.as_deref(), Some("https://shop.test:8443/a"));
    let answer =
        asked(plain, "GET /health HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\nGET /health HTTP/1.1"), "{answer}");
    // HTTP/2 by prior knowledge.
    let format = "%{http_version} %{http_code} %{redirect_url}";
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "--http2-prior-knowledge", "-o", "/dev/null", "-w"]);
    command.arg(format).args(["-H", "Host: shop.test"]).arg(format!("http://{plain}/b?c"));
    let said = command.output().expect("curl is installed");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said, "2 301 https://shop.test:8443/b?c");
}

#[test]
fn answers_by_https_say_hsts_once() {
    let authority = Authority::new();
    let backend = Origin::http(|head, _| {
        let own = "Strict-Transport-Security: max-age=1\r\n";
        let own = if head.contains("/own") { own } else { "" };
        format!("HTTP/1.1 200 OK\r\n{own}Content-Length: 2\r\n\r\nhi").into_bytes()
    });
    let hsts = "hsts = \"365d; includeSubDomains\"";
    let more = "[[route]]\nlistener = \"plain\"\npool = \"app\"\n";
    let secure = start(&authority, &backend, hsts, "", more);
    let root = beside(&secure, "root.pem");
    let root = root.to_str().expect("text");
    let line = "max-age=31536000; includeSubDomains";
    for version in ["--http1.1", "--http2"] {
        let arguments = ["--cacert", root, "-o", "/dev/null", "-D", "-", version];
        let said = |path: &str, more: &[&str]| -> Vec<String> {
            let arguments = [&arguments[..], more].concat();
            let head = curl(secure.ringway.address, "shop.test", path, &arguments);
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let name = "strict-transport-security";
            let values = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
            values.map(|(_, value)| value.trim_end().to_owned()).collect()
        };
        assert_eq!(said("/", &[]), [line], "{version}");
        assert_eq!(said("/own", &[]), ["max-age=1"], "{version}: the backend's counts");
        // A local answer.
        assert_eq!(said("/", &["-X", "TRACE"]), [line], "{version}");
    }
    let plain = asked(address_of(&secure, "plain"), &get("shop.test"));
    assert!(plain.starts_with("HTTP/1.1 200"), "{plain}");
    assert_eq!(field(&plain, "Strict-Transport-Security"), None);
}
