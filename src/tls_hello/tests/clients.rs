//! Hellos as real clients write them. rustls writes some and reads all: what it accepts must not be
//! refused here, and must get the same name.

use super::*;
use crate::base::Prng;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

const OUTER_NAME: &str = "public.ech.example";

/// The extension of ECH in an outer hello: HPKE with HKDF-SHA256 and AES-128-GCM, the number of the
/// key, the client's share, what is encrypted.
fn encrypted_hello() -> Extension {
    let parts = [&[0, 0, 1, 0, 1, 7][..], &vector16(&[0x33; 32]), &vector16(&[0x44; 208])];
    (0xfe0d, parts.concat())
}

/// A browser's: GREASE around everything, ECH whose outer name is public, hybrid key shares ahead
/// of the name, padded.
fn of_a_browser() -> Vec<Extension> {
    vec![
        (0x4a4a, Vec::new()),
        key_shares(),
        (13, vector16(&[4, 3, 8, 4, 4, 1])),
        (10, vector16(&[0x2a, 0x2a, 0x11, 0xec, 0, 29])),
        (43, vec![6, 0x1a, 0x1a, 3, 4, 3, 3]),
        encrypted_hello(),
        alpn(&[b"h2", b"http/1.1"]),
        server_name(OUTER_NAME.as_bytes()),
        (0x9a9a, vec![0]),
        padding(100),
    ]
}

fn of_rustls(name: &str, alpn: &[&[u8]]) -> Vec<u8> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// True for the outer name with a shorter length: its rest is a name of another type then, most
/// likely beyond the list. rustls reads no further than to its type.
fn is_cut(name: Option<&str>) -> bool {
    let is_shorter = |name: &str| name.len() < OUTER_NAME.len() && OUTER_NAME.starts_with(name);
    name.is_some_and(is_shorter)
}

fn bytes_contain(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// The reading of rustls: `None` if it refuses the hello or waits for more.
fn read_by_rustls(mut bytes: &[u8]) -> Option<Outcome> {
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut bytes).ok()?;
    let accepted = acceptor.accept().ok()??;
    let hello = accepted.client_hello();
    let alpn = hello.alpn().map(|names| names.map(<[u8]>::to_vec).collect());
    let server_name = hello.server_name().map(str::to_owned);
    Some(Outcome::Hello { server_name, alpn: alpn.unwrap_or_default() })
}

#[test]
fn a_browser_has_its_outer_name() {
    let bytes = in_one_record(&of_a_browser());
    let expected = hello(Some(OUTER_NAME), &[b"h2", b"http/1.1"]);
    assert_eq!(verdict(&bytes), expected);
    assert_eq!(read_by_rustls(&bytes), Some(expected));
}

#[test]
fn what_rustls_writes_is_read() {
    let bytes = of_rustls("A.b.example", &[b"h2", b"http/1.1"]);
    assert_eq!(verdict(&bytes), hello(Some("a.b.example"), &[b"h2", b"http/1.1"]));
    assert_eq!(verdict(&of_rustls("c.example", &[])), named("c.example"));
    assert_eq!(verdict(&of_rustls("192.0.2.1", &[])), hello(None, &[]), "it sends no name");
}

#[test]
fn what_rustls_reads_is_read_alike() {
    let mut prng = Prng::new(3);
    // Not one that rustls writes: it puts its extensions into any order.
    let bases = [in_one_record(&of_a_browser()), records(&message(&of_a_browser()), &[70, 1_400])];
    let mut read_by_both = 0;
    for round in 0..3_000 {
        let mut bytes = bases[round % bases.len()].clone();
        for _ in 0..=prng.below(2) {
            let at = prng.below(bytes.len() as u32) as usize;
            bytes[at] = prng.next_u64() as u8;
        }
        let Some(Outcome::Hello { server_name, alpn }) = read_by_rustls(&bytes) else { continue };
        // It takes off a dot at the end of a name; here such a name is none.
        let has_dot = |name: &String| bytes_contain(&bytes, &format!("{name}."));
        let server_name = server_name.filter(|name| !has_dot(name));
        let outcome = whole(&bytes);
        if outcome == Outcome::Malformed(Malformed::Lengths) && is_cut(server_name.as_deref()) {
            continue;
        }
        assert_eq!(outcome, Outcome::Hello { server_name, alpn }, "round {round}");
        read_by_both += 1;
    }
    assert!(read_by_both > 1_000, "{read_by_both}");
}
