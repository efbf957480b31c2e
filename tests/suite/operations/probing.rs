//! Probes and their files: not what they should be, or changed.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, await_that, connect, read_until, status};
use crate::loopback::load::{Operated, OriginProcess, signed};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};

/// An origin that answers over TLS, and the certificate that it shows (PEM).
fn tls_origin() -> (Origin, String) {
    let identity = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).expect("made");
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], PrivateKeyDer::Pkcs8(key));
    let config = Arc::new(config.expect("a key"));
    let origin = Origin::start(move |mut socket| {
        let mut connection = ServerConnection::new(config.clone()).expect("a configuration");
        let mut stream = Stream::new(&mut connection, &mut socket);
        let mut request = Vec::new();
        let mut bytes = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            // Whoever does not trust the certificate ends the handshake.
            let Ok(length @ 1..) = stream.read(&mut bytes) else { return };
            request.extend_from_slice(&bytes[..length]);
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    (origin, identity.cert.pem())
}

#[test]
fn a_reload_reads_the_trusted_certificates_anew() {
    let (origin, pem) = tls_origin();
    let (_, foreign) = tls_origin();
    let probe = format!("{QUICK}protocol = \"https\"\nsni = \"shop.test\"\nca_file = \"ca.pem\"\n");
    let operated = Operated::start_with(&config(&[origin.address], "", &probe), |folder, _| {
        std::fs::write(folder.join("ca.pem"), &pem).expect("written");
    });
    operated.await_standing(origin.address, "serving");
    for (trusted, standing) in [(foreign, "down"), (pem, "serving")] {
        let file = operated.file.with_file_name("ca.pem");
        std::fs::write(file, trusted).expect("written");
        operated.done(&["reload"]);
        operated.await_standing(origin.address, standing);
    }
}

#[test]
fn a_file_without_certificates_is_refused() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    let file = operated.file.with_file_name("ca.pem");
    std::fs::write(file, "hello").expect("written");
    let over_tls = format!("{QUICK}protocol = \"https\"\nca_file = \"ca.pem\"\n");
    operated.rewrite(&config(&[origin.address], "", &over_tls));
    let (status, text) = operated.verb(&["reload"]);
    assert!(status == 1 && text.contains("ca.pem has no certificate"), "{text}");
}

#[test]
fn a_probe_that_cannot_be_made_leaves_the_one_before_until_it_can() {
    let origin = OriginProcess::start();
    let plain = config(&[origin.address], "", QUICK);
    let mut roots = None;
    let operated = Operated::start_with(&plain, |folder, command| {
        let file = roots.insert(folder.join("roots.pem"));
        std::fs::write(&*file, "hello").expect("written");
        command.env("SSL_CERT_FILE", file);
    });
    operated.await_standing(origin.address, "serving");
    let over_tls = config(&[origin.address], "", &format!("{QUICK}protocol = \"https\"\n"));
    operated.rewrite(&over_tls);
    operated.done(&["reload"]);
    let told = || operated.done(&["events"]).matches("no trusted certificates").count();
    await_that("it is told", || told() == 1);
    operated.done(&["reload"]);
    await_that("who reloads is told anew", || told() == 2);
    origin.kill();
    operated.await_standing(origin.address, "down");
    origin.restart();
    operated.await_standing(origin.address, "serving");
    let identity = rcgen::generate_simple_self_signed(["shop.test".to_owned()]);
    let pem = identity.expect("a certificate").cert.pem();
    std::fs::write(roots.expect("it was prepared"), pem).expect("written");
    // The origin speaks no TLS.
    operated.await_standing(origin.address, "down");
    assert_eq!(told(), 2, "once for each time that somebody might have mended it");
}

/// An origin that hangs, and says so to its probes, once it is asked for `/poison`, until `over`.
fn poisonable(poisoned: &Arc<AtomicUsize>, over: &Arc<(Mutex<bool>, Condvar)>) -> Origin {
    let (poisoned, over) = (poisoned.clone(), over.clone());
    let hangs = AtomicBool::new(false);
    Origin::http(move |head, _| {
        if head.contains(" /poison ") {
            hangs.store(true, Ordering::SeqCst);
            poisoned.fetch_add(1, Ordering::SeqCst);
            let (is_over, told) = &*over;
            let is_over = is_over.lock().expect("no panic");
            drop(told.wait_while(is_over, |is_over| !*is_over).expect("no panic"));
        }
        if hangs.load(Ordering::SeqCst) {
            return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        signed("one", b"x")
    })
}

#[test]
fn a_request_that_takes_its_backend_down_is_not_given_to_the_next_one() {
    let (poisoned, over) = (Arc::default(), Arc::default());
    let origins: Vec<Origin> = (0..3).map(|_| poisonable(&poisoned, &over)).collect();
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let probe = format!("{QUICK}protocol = \"http\"\n");
    let operated = Operated::start(&config(&addresses, "slow_start = \"0s\"", &probe));
    for method in ["GET", "DELETE"] {
        let before = poisoned.load(Ordering::SeqCst);
        let mut client = connect(operated.ringway.address);
        let request = format!("{method} /poison HTTP/1.1\r\nHost: t\r\n\r\n");
        client.write_all(request.as_bytes()).expect("sent");
        let answer = read_until(&mut client, b"\r\n\r\n");
        assert_eq!(status(&answer), 502, "{}", String::from_utf8_lossy(&answer));
        assert_eq!(poisoned.load(Ordering::SeqCst), before + 1);
    }
    assert_eq!(operated.ringway.status_of("/"), 200, "one of three is left");
    *over.0.lock().expect("no panic") = true;
    over.1.notify_all();
}
