//! TLS to backends: what is read, and what is a problem where.

use super::{GOOD, assert_problems, parse};
use crate::config::*;
use crate::tls::{Authorities, Suite, Trust, Version};
use std::path::Path;

fn pool(text: &str) -> Pool {
    let config = parse(&format!("{GOOD}{text}")).map_err(|error| error.to_string()).unwrap();
    let again = parse(&config.to_toml()).map_err(|error| error.to_string()).unwrap();
    assert_eq!(again, config);
    config.pools[0].clone()
}

#[test]
fn a_pool_is_plain_unless_its_table_is_there() {
    assert_eq!(pool("").tls, None);
    let tls = pool("[pool.app.tls]").tls.expect("the table is there");
    assert_eq!(tls, PoolTls::default());
    let system = Authorities::joined([]);
    let terms = tls.terms(&system);
    assert_eq!((terms.trust, terms.alpn.len()), (Trust::Only(system), 0));
    assert!(tls.trusts_system() && tls.server_name().is_none());
}

#[test]
fn every_key_is_read_and_the_files_with_it() {
    let tls = pool(
        "[pool.app.tls]\nsni = \"Shop.test.\"\nca = [\"a.pem\", \"ed25519.pem\"]\n\
         client_certificate = \"cert.pem\"\nclient_key = \"key.pem\"\nalpn = [\"http/1.1\"]\n\
         tls_min_version = \"1.3\"\nciphers = [\"TLS_AES_128_GCM_SHA256\"]",
    );
    let tls = tls.tls.expect("it is there");
    assert_eq!(tls.sni.as_deref(), Some("shop.test"));
    assert_eq!(tls.policy.min_version, Version::Tls13);
    assert_eq!(tls.policy.suites, [Suite::parse("TLS_AES_128_GCM_SHA256").unwrap()]);
    assert_eq!(tls.authorities.as_ref().expect("they were read").store().len(), 2);
    let terms = tls.terms(&Authorities::joined([]));
    assert_eq!(terms.alpn, [b"http/1.1"]);
    assert!(terms.certificate.is_some() && matches!(terms.trust, Trust::Only(_)));
    let both = pool("[pool.app.tls]\nca = \"a.pem\"\nclient_certificate = \"both.pem\"").tls;
    let both = both.expect("it is there");
    assert!(both.certificate.is_some() && !both.trusts_system());
    let unverified =
        pool("[pool.app.tls]\nverify = false\nca = \"a.pem\"").tls.expect("it is there");
    assert_eq!(unverified.terms(&Authorities::joined([])).trust, Trust::Anyone);
}

#[test]
fn wrong_values_are_reported_where_they_are() {
    for (line, column, part) in [
        ("sni = \"a b\"", 7, "is not a host name"),
        ("sni = \"*.shop.test\"", 7, "is not a host name"),
        ("verify = \"no\"", 10, "true or false"),
        ("ca = \"missing.html\"", 6, "cannot read `missing.html`: no such file"),
        ("ca = [\"a.pem\", \"hello.pem\"]", 6, "`hello.pem` is not PEM"),
        ("ca = \"broken.pem\"", 6, "`broken.pem`, line 1, has a CERTIFICATE"),
        ("ca = \"key.pem\"", 6, "has a PRIVATE KEY and no CERTIFICATE"),
        ("ca = [\"\"]", 7, "this path is empty"),
        ("ca = 1", 6, "must be a list"),
        ("client_certificate = \"cert.pem\"", 22, "has a CERTIFICATE and no private key"),
        ("client_key = \"key.pem\"", 1, "without `client_certificate`"),
        (
            "client_key = \"ed25519-key.pem\"\nclient_certificate = \"cert.pem\"",
            14,
            "does not fit the certificate",
        ),
        ("alpn = [\"h 2\"]", 9, "is not a protocol of TLS"),
        ("tls_min_version = \"1.1\"", 19, "did you mean `1.3`?"),
        ("ciphers = [\"TLS_AES_128_GCM_SHA256\"]", 11, "no cipher suite for TLS 1.2"),
        ("server_name = \"a.test\"", 1, "unknown key"),
    ] {
        let text = format!("[pool.app.tls]\n{line}");
        let at = if part.contains("does not fit") { 2 } else { text.lines().count() };
        assert_problems(&text, &[(at, column, part)]);
    }
    assert_problems("[pool.app]\ntls = true", &[(2, 7, "must be a table")]);
}

#[test]
fn what_is_offered_fits_the_version() {
    let pool = |http: &str| format!("[pool.app]\n{http}\n[pool.app.tls]\nalpn = [\"h2\"]\n");
    for http in ["http = \"1.1\"", ""] {
        assert_problems(&pool(http), &[(4, 8, "`alpn` has \"h2\", and `http` is \"1.1\"")]);
    }
    for http in ["http = \"2\"", "http = \"auto\""] {
        assert!(parse(&format!("{GOOD}{}", pool(http))).is_ok(), "{http}");
    }
    // What is forwarded unread may be HTTP/2.
    let tcp = GOOD.replacen("[[listener]]", "[[listener]]\nprotocol = \"tcp\"", 1);
    assert!(parse(&format!("{tcp}{}", pool(""))).is_ok());
}

#[test]
fn datagrams_have_no_tls() {
    let text = "[[listener]]\nname = \"dns\"\naddress = \"0.0.0.0:53\"\nprotocol = \"udp\"\n\
                [[pool.app.backend]]\naddress = \"10.0.0.1:53\"\n[pool.app.tls]\n";
    let problems = parse(text).expect_err("TLS over UDP").problems;
    assert_eq!((problems.len(), problems[0].line), (1, 7));
    assert!(problems[0].message.contains("TLS is for connections"), "{problems:?}");
}

#[test]
fn files_are_relative_to_the_configuration_and_followed() {
    let mut config = parse(&format!(
        "{GOOD}[pool.app.tls]\nca = [\"a.pem\"]\nclient_certificate = \"cert.pem\"\n\
         client_key = \"key.pem\""
    ))
    .expect("it is right");
    config.resolve_paths(Path::new("/etc/ringway"));
    let files: Vec<String> = config.tls_files().iter().map(ToString::to_string).collect();
    assert_eq!(
        files,
        ["certificate /etc/ringway/cert.pem", "trusted certificates /etc/ringway/a.pem"]
    );
    let load = |path: &Path| super::load(Path::new(path.file_name().unwrap_or_default()));
    let other = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        super::load(Path::new(&name.replace("a.pem", "ed25519.pem").replace("cert", "ed25519")))
    };
    for files in config.tls_files() {
        let same = files.read(&load).expect("they are as before");
        assert!(!config.replace_tls(&files, &same));
        if let TlsFiles::Authorities(_) = files {
            let new = files.read(&other).expect("they are right");
            assert!(config.replace_tls(&files, &new));
            assert!(!config.replace_tls(&files, &new));
        }
    }
}
