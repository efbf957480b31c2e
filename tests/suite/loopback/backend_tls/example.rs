//! The file `config/tls-to-backends.toml`, with addresses of this machine in the place of its own.

use super::*;

#[test]
fn services_and_a_mail_server_are_reached_over_tls() {
    let authority = Authority::new();
    let orders = |text: &'static str| {
        let issued = authority.issue(&["orders.internal"]);
        SecureOrigin::saying(server_of(&issued, Some(&authority), BOTH), text)
    };
    let (first, second) = (orders("first"), orders("second"));
    let mail = SecureOrigin::start(server(&authority.issue(&["mail.internal"])), |mut secured| {
        let _ = secured.write_all(b"* OK ready\r\n");
        end(&mut secured);
    });
    let mut text = include_str!("../../../../config/tls-to-backends.toml").to_owned();
    for (own, other) in [
        ("0.0.0.0:8080", "LISTEN".to_owned()),
        ("0.0.0.0:1143", "127.0.0.1:0".to_owned()),
        ("10.0.0.11:8443", first.address.to_string()),
        ("10.0.0.12:8443", second.address.to_string()),
        ("10.0.0.21:993", mail.address.to_string()),
    ] {
        assert!(text.contains(own), "it has no {own}");
        text = text.replace(own, &other);
    }
    let ours = authority.issue(&["ringway.internal"]);
    let files = [
        ("internal-ca.pem", &*authority.pem),
        ("ringway.pem", &ours.chain),
        ("ringway-key.pem", &ours.key),
    ];
    let operated = start(&files, &text);
    for origin in [&first, &second, &mail] {
        operated.await_standing(origin.address, "serving");
    }
    let answers: Vec<String> = (0..20).map(|_| asked_of(&operated).1).collect();
    for text in ["first", "second"] {
        assert!(answers.iter().any(|answer| answer.ends_with(text)), "{answers:?}");
    }
    assert!(first.met().iter().all(|met| met.has_certificate));
    let mut client = connect(operated.address_of("mail"));
    assert_eq!(read_to_end(&mut client), b"* OK ready\r\n");
}
