//! The file `config/acme.toml`, with the test's authority and addresses in the place of its own.

use super::*;

#[test]
fn two_sites_get_their_certificates_and_are_served_by_them() {
    let server = AcmeServer::start();
    let [shop, blog] = ["shop", "blog"].map(Origin::saying);
    let path = format!("{}/config/acme.toml", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(path).expect("it is there");
    let directory = format!("\"{}\"\nca = [\"ca.pem\"]", server.directory());
    for (own, other) in [
        ("\"0.0.0.0:80\"", "\"LISTEN\"".to_owned()),
        ("\"0.0.0.0:443\"", "\"LISTEN\"".to_owned()),
        ("\"https://acme-v02.api.letsencrypt.org/directory\"", directory),
        ("\"/var/lib/ringway/acme\"", "\"kept\"".to_owned()),
        ("10.0.0.11:8080", shop.address.to_string()),
        ("10.0.0.21:8080", blog.address.to_string()),
    ] {
        assert!(text.contains(own), "it has no {own}");
        text = text.replace(own, &other);
    }
    let own_pem = server.own_pem.clone();
    let operated = Operated::start_with(&text, |folder, _| {
        std::fs::write(folder.join("ca.pem"), own_pem).expect("written");
    });
    let places = ["plain", "secure"].map(|name| address_of(&operated, name));
    server.conduct(|conduct| conduct.validates_at = Some(places));
    let caller = Caller::trusting(&server.issuing);
    for (name, said) in [
        ("shop.example.com", "shop"),
        ("www.shop.example.com", "shop"),
        ("blog.example.com", "blog"),
    ] {
        await_that(name, || caller.get(places[1], name).is_ok());
        let seen = caller.get(places[1], name).expect("it is served");
        assert!(seen.answer.ends_with(said), "{}", seen.answer);
    }
    assert_eq!(server.asked("POST /new-account"), 1);
    let mut stream = connect(places[0]);
    stream.write_all(get("blog.example.com").as_bytes()).expect("sent");
    let answer = String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned();
    assert!(answer.contains("Location: https://blog.example.com/\r\n"), "{answer}");
    server.end();
}
