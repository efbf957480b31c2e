//! Which certificate a client gets.

use super::*;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The first DNS name of a certificate.
fn name_of(certificate: &[u8]) -> String {
    let (_, certificate) = X509Certificate::from_der(certificate).expect("a certificate");
    let names = certificate.subject_alternative_name().expect("well").expect("it has one");
    format!("{}", names.value.general_names[0])
}

const ANY: &[(&str, &str)] = &[("exact", ""), ("wildcard", ""), ("other", "default = true")];

fn start(authority: &Authority, backend: &Origin, keys: &str, order: &[(&str, &str)]) -> Operated {
    let exact = authority.issue(&["Shop.Example.test"]);
    let wildcard = authority.issue(&["*.example.test"]);
    let other = authority.issue(&["other.test"]);
    let files = [
        ("exact.pem", &*exact.chain),
        ("exact-key.pem", &exact.key),
        ("wildcard.pem", &wildcard.chain),
        ("wildcard-key.pem", &wildcard.key),
        ("other.pem", &other.chain),
        ("other-key.pem", &other.key),
    ];
    super::start(&files, &secure(backend, keys, order))
}

#[test]
fn the_most_specific_certificate_answers_whatever_the_order() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let reversed: Vec<_> = ANY.iter().rev().copied().collect();
    for order in [ANY, &reversed] {
        let secure = start(&authority, &backend, "", order);
        let caller = Caller::trusting(&authority);
        let shown = |name: &str| {
            let seen =
                caller.get(secure.ringway.address, name).map_err(|error| error.to_string())?;
            assert!(seen.answer.ends_with("\r\n\r\nhello"), "{}", seen.answer);
            Ok::<_, String>(name_of(&seen.certificate))
        };
        assert_eq!(shown("shop.example.test").as_deref(), Ok("DNSName(Shop.Example.test)"));
        assert_eq!(shown("SHOP.example.TEST").as_deref(), Ok("DNSName(Shop.Example.test)"));
        assert_eq!(shown("www.example.test").as_deref(), Ok("DNSName(*.example.test)"));
        assert_eq!(shown("other.test").as_deref(), Ok("DNSName(other.test)"));
        // One label only: the default answers these, and is not valid for them.
        for name in ["a.b.example.test", "example.test", "unknown.test"] {
            let error = shown(name).expect_err(name);
            assert!(error.contains("not valid for name"), "{error}");
        }
    }
}

#[test]
fn without_a_default_unknown_names_are_refused_and_curl_reads_the_alert() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let secure = start(&authority, &backend, "", &ANY[..2]);
    let error = Caller::trusting(&authority).get(secure.ringway.address, "unknown.test");
    let error = error.expect_err("there is none for it").to_string();
    assert!(error.contains("UnrecognisedName"), "{error}");
    let root = beside(&secure, "root.pem");
    std::fs::write(&root, &authority.pem).expect("written");
    let said = curl(
        secure.ringway.address,
        "shop.example.test",
        "/",
        &["--cacert", root.to_str().expect("text")],
    );
    assert_eq!(said, "hello");
    let said = curl(secure.ringway.address, "unknown.test", "/", &["-k"]);
    assert!(said.contains("unrecognized name"), "{said}");
}

#[test]
fn clients_that_name_no_server_and_unknown_names_are_cases_of_their_own() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let mut nameless = Caller::trusting(&authority);
    nameless.config.enable_sni = false;
    let named = Caller::trusting(&authority);
    for (keys, no_name, unknown) in [
        ("", true, true),
        ("no_sni = \"reject\"", false, true),
        ("unknown_sni = \"reject\"", true, false),
    ] {
        let secure = start(&authority, &backend, keys, &[("wildcard", ""), ANY[2]]);
        // The name that is verified is that of the default certificate.
        let seen = nameless.get(secure.ringway.address, "other.test");
        assert_eq!(seen.is_ok(), no_name, "{keys}: {seen:?}");
        let error = named.get(secure.ringway.address, "unknown.test").expect_err("never valid");
        assert_eq!(error.to_string().contains("UnrecognisedName"), !unknown, "{keys}: {error}");
    }
}

#[test]
fn of_two_kinds_of_keys_each_client_gets_the_one_that_it_supports() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let ecdsa = authority.issue(&["shop.test"]);
    let authority_of_rsa = Authority::with(&rcgen::PKCS_RSA_SHA256);
    let rsa = authority_of_rsa.issue_with(&rcgen::PKCS_RSA_SHA256, &["shop.test"], |_| {});
    let files = [
        ("ecdsa.pem", &*ecdsa.chain),
        ("ecdsa-key.pem", &ecdsa.key),
        ("rsa.pem", &rsa.chain),
        ("rsa-key.pem", &rsa.key),
    ];
    for order in [[("ecdsa", ""), ("rsa", "")], [("rsa", ""), ("ecdsa", "")]] {
        let secure = super::start(&files, &super::secure(&backend, "", &order));
        let caller = Caller::trusting(&authority);
        let kind = |caller: &Caller| {
            let seen = caller.get(secure.ringway.address, "shop.test").expect("it is served");
            let (_, certificate) = X509Certificate::from_der(&seen.certificate).expect("well");
            certificate.public_key().algorithm.algorithm.to_id_string()
        };
        assert_eq!(kind(&caller), "1.2.840.10045.2.1", "ECDSA is preferred");
        let schemes = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
        let old = Caller::trusting(&authority_of_rsa).verifying(&authority_of_rsa, &schemes);
        assert_eq!(kind(&old), "1.2.840.113549.1.1.1", "RSA is all that it verifies");
    }
}
