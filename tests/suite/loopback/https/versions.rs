//! Versions, cipher suites and application protocols, and what is no TLS.

use super::*;
use std::io::Write;

fn start(authority: &Authority, backend: &Origin, keys: &str) -> Operated {
    let shop = authority.issue(&["shop.test"]);
    let files =
        [("shop.pem", &*shop.chain), ("shop-key.pem", &shop.key), ("root.pem", &authority.pem)];
    super::start(&files, &secure(backend, keys, &[("shop", "")]))
}

#[test]
fn both_versions_are_spoken_and_the_backend_is_told_of_https() {
    let authority = Authority::new();
    let backend = Origin::http(|head, _| ok(head.as_bytes()));
    let secure = start(&authority, &backend, "");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let seen = Caller::with(&authority, &[version]).get(secure.ringway.address, "shop.test");
        let seen = seen.expect("it is served");
        assert_eq!(seen.version, version.version);
        assert!(seen.answer.contains("X-Forwarded-Proto: https\r\n"), "{}", seen.answer);
    }
    let root = beside(&secure, "root.pem");
    let root = root.to_str().expect("text");
    for version in ["--tls-max 1.2", "--tlsv1.3"] {
        let mut arguments: Vec<&str> = version.split(' ').collect();
        arguments.extend(["--cacert", root, "-w", "\nhttp/%{http_version} %{response_code}"]);
        for (asked, agreed) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let arguments = [&arguments[..], &[asked]].concat();
            let said = curl(secure.ringway.address, "shop.test", "/a", &arguments);
            assert!(said.starts_with("GET /a HTTP/1.1\r\n"), "{version}: {said}");
            assert!(said.ends_with(&format!("\nhttp/{agreed} 200")), "{version}: {said}");
        }
    }
}

#[test]
fn the_lowest_version_and_the_suites_are_those_of_the_configuration() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start(&authority, &backend, "tls_min_version = \"1.3\"");
    let old = Caller::with(&authority, &[&rustls::version::TLS12]);
    let error = old.get(secure.ringway.address, "shop.test").expect_err("too old").to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    let suites = "ciphers = [\"TLS_CHACHA20_POLY1305_SHA256\", \"ECDHE-ECDSA-AES256-GCM-SHA384\"]";
    let secure = start(&authority, &backend, suites);
    for (version, suite) in [
        (&rustls::version::TLS13, "TLS13_CHACHA20_POLY1305_SHA256"),
        (&rustls::version::TLS12, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ] {
        let seen = Caller::with(&authority, &[version]).get(secure.ringway.address, "shop.test");
        assert_eq!(seen.expect("it is served").suite, suite);
    }
}

#[test]
fn a_protocol_is_agreed_on_or_refused() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start(&authority, &backend, "");
    for (offered, is_served) in [
        (&[][..], true),
        (&["http/1.1"], true),
        (&["http/1.0"], true),
        (&["h3"], false),
        (&["acme-tls/1"], false),
    ] {
        let mut caller = Caller::trusting(&authority);
        caller.config.alpn_protocols =
            offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let seen = caller.get(secure.ringway.address, "shop.test");
        match seen {
            Ok(_) => assert!(is_served, "{offered:?}"),
            Err(error) => {
                assert!(!is_served, "{offered:?}: {error}");
                assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
            }
        }
    }
}

#[test]
fn a_request_without_tls_is_told_so() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start(&authority, &backend, "");
    let mut stream = secure.ringway.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").expect("sent");
    let answer = read_to_end(&mut stream);
    assert_eq!(status(&answer), 400);
    let text = String::from_utf8_lossy(body(&answer)).into_owned();
    assert!(text.contains("without TLS"), "{text}");
    let length = format!("\r\nContent-Length: {}\r\n", text.len());
    let head = String::from_utf8_lossy(&answer);
    assert!(head.contains(&length), "{head}");
}
