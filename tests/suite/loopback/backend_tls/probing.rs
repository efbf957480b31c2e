//! Probes of a pool with TLS: with its settings, unless they ask another port.

use super::*;

/// With a probe of these keys, as quick as may be.
fn probed(backend: SocketAddr, keys: &str, probe: &str) -> String {
    to("http", &[backend], keys).replace(
        "protocol = \"none\"",
        &format!("interval = \"50ms\"\nfall = 1\nrise = 1\n{probe}"),
    )
}

#[test]
fn a_probe_is_over_tls_with_the_settings_of_the_pool() {
    let (authority, other) = (Authority::new(), Authority::new());
    let ours = authority.issue(&["ringway.test"]);
    let files = [("ours.pem", &*format!("{}{}", ours.chain, ours.key))];
    let keys = format!("{TRUSTING}\nclient_certificate = \"ours.pem\"");
    let demanding = |by: &Authority| server_of(&by.issue(&["shop.test"]), Some(&authority), BOTH);
    let http = "path = \"/live\"";
    let exchange = "send = \"GET / HTTP/1.1\\r\\n\\r\\n\"\nexpect = \"200 OK\"";
    for probe in ["", http, "protocol = \"https\"", exchange] {
        let origin = SecureOrigin::saying(demanding(&authority), "hello");
        let operated = run(&authority, &files, &probed(origin.address, &keys, probe));
        operated.await_standing(origin.address, "serving");
        assert!(origin.met().iter().all(|met| met.has_certificate && !met.is_resumed), "{probe}");
        assert_eq!(origin.met()[0].server_name.as_deref(), Some("shop.test"), "{probe}");
        origin.becomes(demanding(&other));
        operated.await_standing(origin.address, "down");
        let status = operated.backend(origin.address).to_string();
        assert!(status.contains("unknown issuer"), "{status}");
    }
}

#[test]
fn a_probe_of_another_port_is_plain_unless_it_says_otherwise() {
    let authority = Authority::new();
    let origin = SecureOrigin::saying(server(&authority.issue(&["shop.test"])), "hello");
    let beside = Origin::saying("alive");
    let probe = format!("path = \"/\"\nport = {}", beside.address.port());
    let operated = run(&authority, &[], &probed(origin.address, TRUSTING, &probe));
    operated.await_standing(origin.address, "serving");
    assert!(beside.connections() > 0 && origin.met().is_empty());
}

#[test]
fn probes_follow_the_files_and_know_backends_by_their_names() {
    let (authority, next) = (Authority::new(), Authority::new());
    let origin = SecureOrigin::saying(server(&authority.issue(&["localhost"])), "hello");
    let text = probed(origin.address, "ca = \"ca.pem\"", "").replace(
        &format!("address = \"{}\"", origin.address),
        &format!("address = \"localhost:{}\"", origin.address.port()),
    );
    let operated = run(&authority, &[], &text);
    let standing = |wanted: &str| {
        await_that(wanted, || {
            let status = operated.json(&["status"]);
            let backends = status["pools"][0]["backends"].as_array().cloned().unwrap_or_default();
            let of_ipv4 = |one: &&serde_json::Value| one["address"] == origin.address.to_string();
            backends.iter().find(of_ipv4).is_some_and(|one| one["standing"] == wanted)
        });
    };
    standing("serving");
    origin.becomes(server(&next.issue(&["localhost"])));
    standing("down");
    std::fs::write(beside(&operated, "ca.pem"), &next.pem).expect("written");
    standing("serving");
}
