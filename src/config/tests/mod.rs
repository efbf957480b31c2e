//! Tests of the configuration by theme: what is read, what is a problem, what is printed. Here is
//! what they share.

mod acme;
mod backends_file;
mod bounds;
mod certificates;
mod json;
mod keys;
mod loops;
mod parsing;
mod pool_tls;
mod pools;
mod printing;
mod problems;
mod protocols;
mod reference;
mod udp;

use super::*;
use crate::tls::staple_tests::answer;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

/// A certificate and its key.
static CERTIFICATE: LazyLock<(String, String)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]);
    let made = made.expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
});

/// The same with a key of another kind.
static OF_ED25519: LazyLock<(String, String)> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let names = ["shop.test".to_owned(), "*.Shop.test".to_owned()];
    let made = rcgen::CertificateParams::new(names).expect("names").self_signed(&key);
    (made.expect("a certificate").pem(), key.serialize_pem())
});

/// A list of revoked certificates, PEM: none is revoked.
static REVOKED: LazyLock<String> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().expect("a key");
    let issuer = rcgen::Issuer::new(rcgen::CertificateParams::default(), key);
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2020, 1, 1),
        next_update: rcgen::date_time_ymd(4000, 1, 1),
        crl_number: rcgen::SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer).expect("a list").pem().expect("PEM")
});

fn load(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        // Nothing was fetched yet.
        Some(name) if name.starts_with("acme") => Err(io::ErrorKind::NotFound.into()),
        Some("missing.html") => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        Some("long.html") => Ok(vec![b'x'; ERROR_ANSWER_BYTES_MAX + 1]),
        Some("hello.pem") => Ok(b"hello".to_vec()),
        Some("tickets.txt") => Ok("0a".repeat(32).into_bytes()),
        Some("b-tickets.txt") => Ok("0b".repeat(32).into_bytes()),
        Some("broken.pem") => Ok(CERTIFICATE.0.replace("MII", "AAA").into_bytes()),
        Some("ed25519.pem") => Ok(OF_ED25519.0.clone().into_bytes()),
        Some("ed25519-key.pem") => Ok(OF_ED25519.1.clone().into_bytes()),
        Some("both.pem") => Ok(format!("{}{}", CERTIFICATE.1, CERTIFICATE.0).into_bytes()),
        Some("a.ocsp") => Ok(answer(&[7], 0x80, "20260101000000Z", None)),
        Some(name) if name.ends_with("crl.pem") => Ok(REVOKED.clone().into_bytes()),
        Some(name) if name.ends_with("key.pem") => Ok(CERTIFICATE.1.clone().into_bytes()),
        Some(name) if name.ends_with(".pem") => Ok(CERTIFICATE.0.clone().into_bytes()),
        _ => Ok(b"<h1>sorry</h1>".to_vec()),
    }
}

fn parse(text: &str) -> Result<Config, Diagnostics> {
    Config::parse(text, "test.toml", &load)
}

const GOOD: &str = "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:80\"\n\
                    [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n";

/// Lines before what a test adds to [`GOOD`].
const GOOD_LINES: usize = 5;

/// Asserts that adding `text` to a good configuration gives exactly these problems: line (counted
/// within `text`), column, part of what is said.
fn assert_problems(text: &str, expected: &[(usize, usize, &str)]) {
    let error = parse(&format!("{GOOD}{text}")).expect_err(text);
    let found: Vec<String> = error
        .problems
        .iter()
        .map(|problem| {
            let line = problem.line as isize - GOOD_LINES as isize;
            let help = problem.help.as_deref().unwrap_or_default();
            format!("{line}:{}: {} {help}", problem.column, problem.message)
        })
        .collect();
    let as_expected = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, (line, column, part))| {
            found.starts_with(&format!("{line}:{column}: ")) && found.contains(part)
        });
    assert!(as_expected, "{text}\nfound {found:#?}\nexpected {expected:#?}");
}
