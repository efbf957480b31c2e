//! The files in `config/` with listeners of HTTPS, each with certificates and addresses of the
//! test in the place of its own, and driven as their comments say.

use super::*;

/// Runs a file of `config/` with these addresses in the place of its own, and these files.
fn started(file: &str, places: &[(&str, String)], files: &[(&str, String)]) -> Operated {
    let path = format!("{}/config/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(path).expect("it is there");
    for (own, other) in places {
        assert!(text.contains(own), "{file} has no {own}");
        text = text.replace(own, other);
    }
    assert!(!text.contains("\"10.0.") && !text.contains("\"0.0.0.0"), "{file}: an address is left");
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, content)| (*name, &**content)).collect();
    super::start(&files, &text)
}

fn here(own: &str) -> (&str, String) {
    (own, "LISTEN".to_owned())
}

#[test]
fn two_sites_are_served_by_name_and_plain_http_is_redirected() {
    let authority = Authority::new();
    let [shop, another, blog] = ["shop", "shop", "blog"].map(Origin::saying);
    let [of_shop, of_blog] =
        ["shop.example.com", "blog.example.com"].map(|name| authority.issue(&[name]));
    let secure = started(
        "https.toml",
        &[
            here("0.0.0.0:80"),
            here("0.0.0.0:443"),
            ("10.0.0.11:8080", shop.address.to_string()),
            ("10.0.0.12:8080", another.address.to_string()),
            ("10.0.0.21:8080", blog.address.to_string()),
        ],
        &[
            ("shop.pem", of_shop.chain),
            ("shop-key.pem", of_shop.key),
            ("blog.pem", of_blog.chain),
            ("blog-key.pem", of_blog.key),
            ("root.pem", authority.pem.clone()),
        ],
    );
    let root = beside(&secure, "root.pem");
    let address = address_of(&secure, "secure");
    for (name, said) in [("shop", "shop"), ("blog", "blog")] {
        let arguments = ["--cacert", root.to_str().expect("text"), "-D", "-"];
        let seen = curl(address, &format!("{name}.example.com"), "/", &arguments);
        assert!(seen.starts_with("HTTP/2 200") && seen.ends_with(said), "{seen}");
        assert!(seen.contains("strict-transport-security: max-age=31536000"), "{seen}");
    }
    let seen = curl(address, "other.example.com", "/", &["-k"]);
    assert!(seen.contains("unrecognized name"), "{seen}");
    let asked = |path: &str| {
        let mut stream = connect(address_of(&secure, "plain"));
        let request = get("shop.example.com").replace("GET /", &format!("GET {path}"));
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("sent");
        String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned()
    };
    let seen = asked("/cart");
    assert!(seen.contains("\r\nLocation: https://shop.example.com/cart\r\n"), "{seen}");
    assert!(asked("/healthz").ends_with("\r\n\r\nshop"));
    let why = secure.done(&["explain", "GET", "https://blog.example.com/"]);
    assert!(why.contains("blog.pem") && why.contains("for blog.example.com"), "{why}");
}

#[test]
fn tills_show_certificates_and_the_office_may() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let [backend, another] = ["one", "two"].map(Origin::saying);
    let [tills, office] =
        ["tills.example.com", "office.example.com"].map(|name| authority.issue(&[name]));
    let secure = started(
        "mtls.toml",
        &[
            here("0.0.0.0:8443"),
            ("10.0.0.11:8080", backend.address.to_string()),
            ("10.0.0.12:8080", another.address.to_string()),
        ],
        &[
            ("tills.pem", tills.chain),
            ("tills-key.pem", tills.key),
            ("office.pem", office.chain),
            ("office-key.pem", office.key),
            ("clients.pem", clients.pem.clone()),
            ("clients-crl.pem", clients.revoke(&[9])),
        ],
    );
    let till = clients.issue_client("till-7.test", 7);
    let shown = Caller::showing(&authority, &till, &[&rustls::version::TLS13]);
    let address = secure.ringway.address;
    let seen = shown.get(address, "tills.example.com").expect("it is served").answer;
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    let none = Caller::trusting(&authority);
    assert!(none.get(address, "tills.example.com").is_err());
    let seen = none.get(address, "office.example.com").expect("it is served").answer;
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    let why = secure.done(&["explain", "GET", "https://tills.example.com/"]);
    assert!(why.contains("a client certificate is required"), "{why}");
}
