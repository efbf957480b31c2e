//! What changes while the process runs: backends, files, the configuration. And what is used again:
//! connections and sessions.

use super::*;

#[test]
fn sessions_are_resumed_and_connections_used_again() {
    let authority = Authority::new();
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let config = server_of(&authority.issue(&["shop.test"]), None, versions);
        // Each connection has one request.
        let origin = SecureOrigin::start(config, |secured| {
            let mut reader = BufReader::new(secured);
            if read_request(&mut reader).is_some() {
                let _ = reader.get_mut().write_all(&ok(b"hello"));
                end(reader.get_mut());
            }
        });
        let operated = run(&authority, &[], &to("http", &[origin.address], TRUSTING));
        for _ in 0..10 {
            assert_eq!(asked_of(&operated).0, 200);
            await_that("its connection has ended", || {
                operated.backend(origin.address)["connections"] == 0
            });
        }
        let met = origin.met();
        assert_eq!((met.len(), met[0].is_resumed), (10, false));
        assert!(met[1..].iter().all(|met| met.is_resumed), "{met:?}");
        let counted = |name: &str| operated.metric(&format!("ringway_upstream_tls_{name}_total"));
        assert_eq!((counted("handshakes"), counted("resumptions")), (10, 9));
    }
    let origin = SecureOrigin::saying(server(&authority.issue(&["shop.test"])), "hello");
    let operated = run(&authority, &[], &to("http", &[origin.address], TRUSTING));
    let mut client = operated.ringway.connect();
    for _ in 0..10 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        read_until(&mut client, b"hello");
    }
    assert_eq!(origin.met().len(), 1);
}

#[test]
fn a_backend_that_restarts_with_another_certificate_is_verified_anew() {
    let authority = Authority::new();
    let origin = SecureOrigin::saying(server(&authority.issue(&["shop.test"])), "hello");
    let text =
        "[pool.app]\nidle_connections = 0\n".to_owned() + &to("http", &[origin.address], TRUSTING);
    let operated = run(&authority, &[], &text);
    assert_eq!(asked_of(&operated).0, 200);
    origin.becomes(server(&authority.issue(&["shop.test", "more.test"])));
    assert_eq!(asked_of(&operated).0, 200);
    assert!(!origin.met()[1].is_resumed, "the other process has other keys");
    origin.becomes(server(&Authority::new().issue(&["shop.test"])));
    assert_eq!(asked_of(&operated).0, 502);
    origin.becomes(server(&authority.issue(&["shop.test"])));
    assert_eq!(asked_of(&operated).0, 200);
}

#[test]
fn a_reload_changes_tls_and_no_connection_made_before_is_used_again() {
    let authority = Authority::new();
    let origin = SecureOrigin::saying(server(&authority.issue(&["shop.test", "b.test"])), "hello");
    let text = to("http", &[origin.address], TRUSTING);
    let operated = run(&authority, &[], &text);
    for (at, (from, to, expected)) in [
        ("sni = \"shop.test\"", "sni = \"b.test\"", 200),
        ("sni = \"shop.test\"", "sni = \"c.test\"", 502),
        ("sni = \"shop.test\"", "sni = \"shop.test\"\ntls_min_version = \"1.3\"", 200),
        ("sni = \"shop.test\"", "sni = \"shop.test\"", 200),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(asked_of(&operated).0, if at == 2 { 502 } else { 200 });
        let before = origin.met().len();
        operated.rewrite(&text.replace(from, to));
        let planned = operated.done(&["plan", &operated.file.display().to_string()]);
        assert!(planned.contains("pool app.tls"), "{planned}");
        operated.done(&["reload"]);
        assert_eq!(asked_of(&operated).0, expected, "{to}");
        assert!(expected == 502 || origin.met().len() == before + 1, "{to}");
    }
    // Without the table it is plain, and the backend does not understand that.
    let plain = text.replace(&format!("[pool.app.tls]\n{TRUSTING}\n"), "");
    operated.rewrite(&plain);
    operated.done(&["reload"]);
    assert_ne!(asked_of(&operated).0, 200);
}

#[test]
fn files_that_change_are_in_force_and_what_cannot_be_used_is_told() {
    let (authority, next) = (Authority::new(), Authority::new());
    let origin = SecureOrigin::saying(server(&authority.issue(&["shop.test"])), "hello");
    let operated = run(&authority, &[], &to("http", &[origin.address], TRUSTING));
    assert_eq!(asked_of(&operated).0, 200);
    let ca = beside(&operated, "ca.pem");
    std::fs::write(&ca, "nonsense").expect("written");
    let events = || operated.done(&["events"]);
    await_that("it is reported", || events().contains("CANNOT BE USED"));
    assert_eq!(asked_of(&operated).0, 200);
    std::fs::write(&ca, &next.pem).expect("written");
    await_that("it is in force", || events().contains("in force"));
    await_that("the backend is not trusted any more", || asked_of(&operated).0 == 502);
    origin.becomes(server(&next.issue(&["shop.test"])));
    assert_eq!(asked_of(&operated).0, 200);
}
