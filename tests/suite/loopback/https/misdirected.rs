//! Requests for another host than the one whose certificate a connection was shown.

use super::*;

fn start(authority: &Authority, backend: &Origin, default: &str) -> Operated {
    let issued = [
        ("both", authority.issue(&["a.test", "b.test"])),
        ("other", authority.issue(&["c.test"])),
        ("wildcard", authority.issue(&["*.w.test"])),
        ("exact", authority.issue(&["x.w.test"])),
        ("inner", authority.issue(&["inner.w.test"])),
    ];
    let mut files = vec![("ca.pem".to_owned(), authority.pem.clone())];
    for (name, Issued { chain, key }) in issued {
        files.push((format!("{name}.pem"), chain));
        files.push((format!("{name}-key.pem"), key));
    }
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, content)| (&**name, &**content)).collect();
    let asking = "client_certificate = \"optional\"\nclient_ca = [\"ca.pem\"]";
    let certificates =
        [("both", ""), ("other", default), ("wildcard", ""), ("exact", ""), ("inner", asking)];
    super::start(&files, &secure(backend, "", &certificates))
}

/// The status of a request for a host on a connection on which a client asked for a name.
fn asked(secure: &Operated, version: &str, name: &str, host: &str) -> String {
    let host = format!("Host: {host}");
    let arguments = ["-k", version, "-o", "/dev/null", "-w", "%{http_code}", "-H", &host];
    curl(secure.ringway.address, name, "/", &arguments)
}

#[test]
fn what_the_certificate_covers_is_served_and_the_rest_is_misdirected() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start(&authority, &backend, "");
    for (name, host, expected) in [
        ("a.test", "a.test", "200"),
        ("a.test", "A.Test:8443", "200"),
        ("a.test", "a.test.", "200"),
        ("a.test", "b.test", "200"),
        ("a.test", "c.test", "421"),
        ("a.test", "unknown.test", "421"),
        ("y.w.test", "z.w.test", "200"),
        // It has a certificate of its own, and the one that was shown covers it.
        ("y.w.test", "x.w.test", "200"),
        ("x.w.test", "y.w.test", "421"),
        // It asks for a client's certificate, and the connection was not asked for one.
        ("y.w.test", "inner.w.test", "421"),
        ("inner.w.test", "inner.w.test", "200"),
    ] {
        for version in ["--http1.1", "--http2"] {
            let seen = asked(&secure, version, name, host);
            assert_eq!(seen, expected, "{version}: {host} on a connection for {name}");
        }
    }
}

#[test]
fn whom_the_default_certificate_answers_is_served_what_it_answers() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start(&authority, &backend, "default = true");
    for (name, host, expected) in [
        ("unknown.test", "unknown.test", "200"),
        ("unknown.test", "another.test", "200"),
        ("unknown.test", "c.test", "200"),
        ("unknown.test", "a.test", "421"),
        // Without a name in the handshake, as a health check: only what asks for more is refused.
        ("127.0.0.1", "a.test", "200"),
        ("127.0.0.1", "inner.w.test", "421"),
    ] {
        for version in ["--http1.1", "--http2"] {
            let seen = asked(&secure, version, name, host);
            assert_eq!(seen, expected, "{version}: {host} on a connection for {name}");
        }
    }
}

#[test]
fn it_is_explained_what_is_misdirected() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start(&authority, &backend, "");
    let explained = |url: &str, sni: &str| secure.verb(&["explain", "GET", url, "--sni", sni]).1;
    let text = explained("https://c.test/", "a.test");
    assert!(text.contains("421: misdirected") && text.contains("`a.test`"), "{text}");
    assert!(explained("https://inner.w.test/", "y.w.test").contains("421: "));
    assert!(explained("https://b.test/", "a.test").contains("pool   app"));
    let text = secure.verb(&["explain", "GET", "https://unknown.test/"]).1;
    assert!(text.contains("refused in the TLS handshake"), "{text}");
    let text = secure.verb(&["explain", "GET", "http://a.test/", "--sni", "a.test"]).1;
    assert!(text.contains("--sni is for connections"), "{text}");
}

#[test]
fn a_name_that_asks_for_nothing_is_open_beside_a_wildcard_that_asks_and_opens_nothing_else() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start_beside(&authority, &backend, ["names = [\"status.w.test\"]", ""]);
    for (name, host, expected) in [
        ("status.w.test", "status.w.test", "200"),
        ("status.w.test", "shop.w.test", "421"),
        ("status.w.test", "a.b.w.test", "421"),
    ] {
        for version in ["--http1.1", "--http2"] {
            let seen = asked(&secure, version, name, host);
            assert_eq!(seen, expected, "{version}: {host} on a connection for {name}");
        }
    }
}

#[test]
fn a_connection_goes_on_after_a_misdirected_request() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start(&authority, &backend, "");
    let one = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let requests = [one("a.test"), one("c.test"), one("a.test"), get("b.test")].concat();
    let seen = Caller::trusting(&authority).ask(secure.ringway.address, "a.test", &requests);
    let answer = seen.expect("it is served").answer;
    let statuses: Vec<&str> =
        answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "421", "200", "200"], "{answer}");
    let why = "421 Misdirected Request: it is not served on this connection.";
    assert!(answer.contains(why), "{answer}");
    // Without a host, the connection's own is meant.
    let seen = Caller::trusting(&authority).ask(
        secure.ringway.address,
        "a.test",
        "GET / HTTP/1.0\r\n\r\n",
    );
    assert!(seen.expect("it is served").answer.starts_with("HTTP/1.1 200"));
}

/// `open.test` asks for nothing, `*.w.test` for a certificate; each with keys more.
fn start_beside(authority: &Authority, backend: &Origin, [open, inner]: [&str; 2]) -> Operated {
    let [own, below] = ["open.test", "*.w.test"].map(|name| authority.issue(&[name]));
    let files = [
        ("ca.pem", &*authority.pem),
        ("open.pem", &own.chain),
        ("open-key.pem", &own.key),
        ("inner.pem", &below.chain),
        ("inner-key.pem", &below.key),
    ];
    let asking = "client_certificate = \"required\"\nclient_ca = [\"ca.pem\"]\n";
    let inner = format!("{asking}{inner}");
    super::start(&files, &secure(backend, "", &[("open", open), ("inner", &inner)]))
}

#[test]
fn without_a_host_nothing_is_served_that_the_default_asks_a_certificate_for() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start_beside(&authority, &backend, ["", "default = true"]);
    let long = format!("{}.test", "x".repeat(300));
    for (request, expected) in [
        (get("open.test"), "200"),
        (get("other.test"), "421"),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), "421"),
        (get(&long), "421"),
    ] {
        let seen = Caller::trusting(&authority).ask(secure.ringway.address, "open.test", &request);
        let answer = seen.expect("the handshake asks for nothing").answer;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{request}: {answer}");
    }
}

#[test]
fn below_a_wildcard_that_asks_for_a_certificate_no_host_is_served_without() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start_beside(&authority, &backend, ["default = true", ""]);
    for (name, host, expected) in [
        ("unknown.test", "unknown.test", "200"),
        // Routes for `*.w.test` are for these too, and the default certificate answers.
        ("a.b.w.test", "a.b.w.test", "421"),
        ("open.test", "a.b.w.test", "421"),
        ("127.0.0.1", "a.b.w.test", "421"),
        ("127.0.0.1", "b.w.test", "421"),
    ] {
        for version in ["--http1.1", "--http2"] {
            let seen = asked(&secure, version, name, host);
            assert_eq!(seen, expected, "{version}: {host} on a connection for {name}");
        }
    }
}
