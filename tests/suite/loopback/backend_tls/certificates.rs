//! Whom Ringway trusts, what it shows, and what it says of a backend that it does not trust.

use super::*;
use rcgen::date_time_ymd;

/// A backend that is refused, and what the log and operators see of that.
struct Refused {
    config: ServerConfig,
    keys: &'static str,
    reason: &'static str,
    event: &'static str,
}

fn refused(authority: &Authority, other: &Authority) -> Vec<Refused> {
    let right = authority.issue(&["shop.test"]);
    let dated = |from: i32, to: i32| {
        authority.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, &["shop.test"], |params| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
        })
    };
    let case = |config, reason, event| Refused { config, keys: TRUSTING, reason, event };
    let only_tls12 = "sni = \"shop.test\"\nca = \"ca.pem\"\ntls_min_version = \"1.3\"";
    vec![
        case(server(&dated(2001, 2002)), "backend_tls_expired", "has expired"),
        case(server(&dated(2900, 2901)), "backend_tls_not_yet_valid", "is not valid yet"),
        case(server(&other.issue(&["shop.test"])), "backend_tls_unknown_ca", "from no authority"),
        case(server(&authority.issue(&["b.test"])), "backend_tls_wrong_name", "for other names"),
        Refused {
            keys: only_tls12,
            ..case(
                server_of(&right, None, &[&TLS12]),
                "backend_tls_nothing_in_common",
                "alert \"protocol version\" (70)",
            )
        },
        case(
            server_of(&right, Some(authority), BOTH),
            "backend_tls_client_certificate",
            "alert \"certificate required\" (116)",
        ),
        case(
            server_of(&right, Some(authority), &[&TLS12]),
            "backend_tls_client_certificate",
            "alert \"certificate required\" (116)",
        ),
    ]
}

#[test]
fn a_backend_that_is_not_trusted_gets_no_request_and_its_reason_is_told() {
    let (authority, other) = (Authority::new(), Authority::new());
    for Refused { config, keys, reason, event } in refused(&authority, &other) {
        let origin = SecureOrigin::saying(config, "secret");
        let operated = run(&authority, &[], &to("http", &[origin.address], keys));
        let (status, answer) = asked_of(&operated);
        assert_eq!(status, 502, "{reason}: {answer}");
        assert_eq!(recorded(&operated, "failure"), reason);
        assert_eq!(recorded(&operated, "status"), 502);
        let told = "TLS fails: it";
        await_that("an event", || operated.done(&["events"]).contains(told));
        assert!(operated.done(&["events"]).contains(event), "{}", operated.done(&["events"]));
        asked_of(&operated);
        let events = operated.done(&["events"]);
        assert_eq!(events.matches(told).count(), 1, "once, not for each request: {events}");
        let explained = operated.done(&["explain", "GET", "http://a/"]);
        assert!(explained.contains(event), "{explained}");
    }
}

#[test]
fn a_client_whose_bytes_are_forwarded_is_reset_and_the_log_says_why() {
    let (authority, other) = (Authority::new(), Authority::new());
    for Refused { config, keys, reason, .. } in refused(&authority, &other) {
        let origin = SecureOrigin::echoing(config);
        let operated = run(&authority, &[], &to("tcp", &[origin.address], keys));
        assert_eq!(operated.ringway.exchange(b"hello"), b"");
        assert_eq!(recorded(&operated, "failure"), reason);
        assert_eq!(recorded(&operated, "backend"), origin.address.to_string());
    }
}

#[test]
fn what_is_no_tls_and_what_never_answers_have_reasons_of_their_own() {
    let authority = Authority::new();
    let plain = Origin::saying("plain");
    let operated = run(&authority, &[], &to("http", &[plain.address], TRUSTING));
    assert_eq!(asked_of(&operated).0, 502);
    assert_eq!(recorded(&operated, "failure"), "backend_tls_failed");
    // It reads, and says nothing.
    let silent = Origin::start(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let text = to("http", &[silent.address], TRUSTING) + "[timeouts]\nconnect = \"1s\"\n";
    let operated = run(&authority, &[], &text);
    assert_eq!(asked_of(&operated).0, 502);
    assert_eq!(recorded(&operated, "failure"), "backend_tls_timeout");
}

#[test]
fn a_request_goes_to_another_backend_if_tls_with_one_fails() {
    let (authority, other) = (Authority::new(), Authority::new());
    let bad = SecureOrigin::saying(server(&other.issue(&["shop.test"])), "bad");
    let good = SecureOrigin::saying(server(&authority.issue(&["shop.test"])), "good");
    let text = to("http", &[bad.address, good.address], TRUSTING);
    let operated = run(
        &authority,
        &[],
        &text.replace("[pool.app.tls]", "[pool.app]\nalgorithm = \"round-robin\"\n[pool.app.tls]"),
    );
    for _ in 0..8 {
        let (status, answer) = asked_of(&operated);
        assert!(status == 200 && answer.ends_with("good"), "{answer}");
    }
    let tcp = to("tcp", &[bad.address, good.address], TRUSTING);
    let operated = run(&authority, &[], &tcp);
    for _ in 0..8 {
        let mut client = operated.ringway.connect();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
        read_until(&mut client, b"good");
    }
}

#[test]
fn the_name_is_asked_for_and_a_certificate_is_shown_if_one_is_demanded() {
    let authority = Authority::new();
    let config = server_of(&authority.issue(&["shop.test"]), Some(&authority), BOTH);
    let origin = SecureOrigin::saying(config, "hello");
    let ours = authority.issue(&["ringway.test"]);
    let keys = format!(
        "{TRUSTING}\nclient_certificate = \"ours.pem\"\nclient_key = \"ours-key.pem\"\n\
         alpn = [\"http/1.1\"]"
    );
    let files = [("ours.pem", &*ours.chain), ("ours-key.pem", &ours.key)];
    let operated = run(&authority, &files, &to("http", &[origin.address], &keys));
    assert_eq!(asked_of(&operated).0, 200);
    let met = Met {
        server_name: Some("shop.test".to_owned()),
        is_resumed: false,
        has_certificate: true,
        alpn: None,
    };
    assert_eq!(origin.met(), [met]);
    let explained = operated.json(&["explain", "GET", "http://a/"]);
    let tls = &explained["listeners"][0]["outcome"]["backends"][0]["tls"];
    assert_eq!((tls["name"].as_str(), tls["verified"].as_bool()), (Some("shop.test"), Some(true)));
}

#[test]
fn without_a_name_the_address_must_be_in_the_certificate() {
    let authority = Authority::new();
    for (names, expected) in [(&["127.0.0.1"][..], 200), (&["shop.test"], 502)] {
        let origin = SecureOrigin::saying(server(&authority.issue(names)), "hello");
        let operated = run(&authority, &[], &to("http", &[origin.address], "ca = \"ca.pem\""));
        assert_eq!(asked_of(&operated).0, expected, "{names:?}");
        assert!(origin.met().iter().all(|met| met.server_name.is_none()), "an IP is not asked for");
    }
}

#[test]
fn the_name_of_a_backend_is_what_it_is_configured_by() {
    let authority = Authority::new();
    let origin = SecureOrigin::saying(server(&authority.issue(&["localhost"])), "hello");
    let text = to("http", &[], "ca = \"ca.pem\"");
    let text = text
        + &format!("[[pool.app.backend]]\naddress = \"localhost:{}\"\n", origin.address.port());
    let operated = run(&authority, &[], &text);
    await_that("the name is resolved", || asked_of(&operated).0 != 503);
    assert_eq!(asked_of(&operated).0, 200, "{}", operated.done(&["events"]));
    assert_eq!(origin.met()[0].server_name.as_deref(), Some("localhost"));
}

#[test]
fn without_verification_anybody_is_trusted_and_everybody_is_warned() {
    let origin = SecureOrigin::saying(server(&Authority::new().issue(&["b.test"])), "hello");
    let operated = run(
        &Authority::new(),
        &[],
        &to("http", &[origin.address], "verify = false\nsni = \"a.test\""),
    );
    assert_eq!(asked_of(&operated).0, 200);
    let warning = "NO CERTIFICATE OF A BACKEND IS VERIFIED";
    assert!(operated.log().contains(warning), "{}", operated.log());
    let file = operated.file.display().to_string();
    let checked = command().args(["check", &file]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&checked.stderr).contains(warning), "{checked:?}");
}

#[test]
fn the_certificates_of_the_system_are_trusted_by_default() {
    let authority = Authority::new();
    let origin = SecureOrigin::saying(server(&authority.issue(&["shop.test"])), "hello");
    let text = to("http", &[origin.address], "sni = \"shop.test\"");
    let start = |pem: &str| {
        Operated::start_with(&text, |folder, command| {
            std::fs::write(folder.join("system.pem"), pem).expect("written");
            command.env("SSL_CERT_FILE", folder.join("system.pem"));
            command.env("SSL_CERT_DIR", folder.join("none"));
        })
    };
    assert_eq!(asked_of(&start(&authority.pem)).0, 200);
    assert_eq!(asked_of(&start(&Authority::new().pem)).0, 502);
}
