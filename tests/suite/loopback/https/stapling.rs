//! Answers of OCSP from a file, sent with the certificate while they are valid.

use super::*;
use std::sync::Mutex;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{DigitallySignedStruct, Error};

/// A client's verifier that keeps the answer of OCSP.
#[derive(Debug)]
struct Keeping {
    inner: Arc<WebPkiServerVerifier>,
    answer: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Keeping {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        answer: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.answer.lock().expect("no panic") = answer.to_vec();
        self.inner.verify_server_cert(own, issuers, name, answer, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    [&[tag, 0x82, (length >> 8) as u8, length as u8][..], &content].concat()
}

/// An unsigned answer that a certificate is good, from 2020 on, until a year.
fn good(serial: u8, until: &str) -> Vec<u8> {
    let time = |year: &str| der(0x18, &[format!("{year}0101000000Z").as_bytes()]);
    let algorithm = der(0x30, &[&der(0x06, &[&[0x2b, 0x0e, 3, 2, 0x1a]])]);
    let id = [der(0x04, &[&[1; 20]]), der(0x04, &[&[2; 20]]), der(0x02, &[&[serial]])].concat();
    let until = der(0xa0, &[&time(until)]);
    let single = der(0x30, &[&der(0x30, &[&algorithm, &id]), &[0x80, 0], &time("2020"), &until]);
    let responder = der(0xa2, &[&der(0x04, &[&[3; 20]])]);
    let data = der(0x30, &[&responder, &time("2020"), &der(0x30, &[&single])]);
    let basic = der(0x30, &[&data, &algorithm, &der(0x03, &[&[0, 1]])]);
    let kind = der(0x06, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]]);
    let bytes = der(0x30, &[&kind, &der(0x04, &[&basic])]);
    der(0x30, &[&[0x0a, 1, 0], &der(0xa0, &[&bytes])])
}

#[test]
fn an_answer_is_sent_while_it_is_valid_and_followed_when_it_changes() {
    let authority = Authority::new();
    let backend = Origin::saying("hello");
    let shop = authority.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, &["shop.test"], |params| {
        params.serial_number = Some(rcgen::SerialNumber::from(7u64));
    });
    let text = secure(&backend, "", &[("shop", "ocsp = \"shop.ocsp\"")]);
    let secure = Operated::start_with(&text, |folder, _| {
        let write = |name: &str, content: &[u8]| {
            std::fs::write(folder.join(name), content).expect("written");
        };
        write("shop.pem", shop.chain.as_bytes());
        write("shop-key.pem", shop.key.as_bytes());
        write("shop.ocsp", &good(7, "4000"));
    });
    let provider = Arc::new(aws_lc_rs::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(authority.roots()), provider);
    let keeping =
        Arc::new(Keeping { inner: inner.build().expect("it is well"), answer: Mutex::default() });
    let mut caller = Caller::trusting(&authority);
    caller.config.dangerous().set_certificate_verifier(keeping.clone());
    let sent = || {
        caller.get(secure.ringway.address, "shop.test").expect("it is served");
        keeping.answer.lock().expect("no panic").clone()
    };
    let state = || secure.json(&["status"])["certificates"][0]["ocsp"].clone();
    await_that("it is sent", || sent() == good(7, "4000"));
    assert_eq!(state(), "stapled");

    let file = beside(&secure, "shop.ocsp");
    std::fs::write(&file, good(7, "3999")).expect("written");
    await_that("the new one is sent", || sent() == good(7, "3999"));
    for (content, is) in [(good(7, "2021"), "expired"), (good(8, "4000"), "of another certificate")]
    {
        std::fs::write(&file, content).expect("written");
        await_that("none is sent", || state() == is && sent().is_empty());
        let told = format!("its OCSP answer is {is}, and NOT SENT");
        await_that(is, || secure.done(&["events"]).contains(&told));
    }
    std::fs::write(&file, good(7, "4000")).expect("written");
    await_that("it is sent again", || sent() == good(7, "4000"));
    std::fs::write(&file, "none").expect("written");
    await_that("it is told", || {
        secure.done(&["events"]).contains("shop.ocsp` is no answer of OCSP in DER")
    });
    assert_eq!(sent(), good(7, "4000"), "what was there before still holds");
}
