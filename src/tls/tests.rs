//! Sessions against rustls, which is the reference, and against each other.

use super::*;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::sync::Arc;

struct Both {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

fn configs(versions: &[&'static rustls::SupportedProtocolVersion], tickets: usize) -> Both {
    let signed =
        rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("a certificate");
    let certificate = signed.cert.der().clone();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a key pair");
    server.send_tls13_tickets = tickets;
    server.enable_secret_extraction = true;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Both { server: server.into(), client: client.into() }
}

fn name() -> ServerName<'static> {
    ServerName::try_from("a.example").expect("a name")
}

/// Gives bytes to a session in parts of `size`, and returns content and what it sends.
fn feed(session: &mut Session, bytes: &[u8], size: usize) -> (Vec<u8>, Vec<u8>, bool) {
    let (mut content, mut out, mut has_ended) = (Vec::new(), Vec::new(), false);
    for part in bytes.chunks(size) {
        let mut part = part.to_vec();
        let received = session.receive(&mut part, &mut content, &mut out);
        assert_eq!(received.fault, None);
        content.extend_from_slice(&part[received.content]);
        has_ended |= received.has_ended;
    }
    (content, out, has_ended)
}

fn sealed(session: &mut Session, content: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in content.chunks(CONTENT_BYTES_MAX) {
        let mut out = vec![0; part.len() + OVERHEAD_BYTES_MAX];
        let start = session.content_start();
        out[start..start + part.len()].copy_from_slice(part);
        let length = session.seal(part.len(), &mut out);
        all.extend_from_slice(&out[..length]);
    }
    all
}

fn all_of(connection: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).expect("memory");
    }
    bytes
}

fn give(connection: &mut ClientConnection, mut bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while !bytes.is_empty() {
        connection.read_tls(&mut bytes).expect("memory");
        connection.process_new_packets().expect("no fault");
        let mut part = [0; 65536];
        while let Ok(length) = connection.reader().read(&mut part) {
            if length == 0 {
                break;
            }
            content.extend_from_slice(&part[..length]);
        }
    }
    content
}

#[test]
fn rustls_clients_are_understood_however_their_bytes_are_cut() {
    for versions in [&[&TLS13][..], &[&TLS12]] {
        for tickets in [0, 1, 2] {
            for size in [1, 7, 100, 1400, 16_384, 1 << 20] {
                let both = configs(versions, tickets);
                let mut client =
                    ClientConnection::new(both.client.clone(), name()).expect("a client");
                let mut server =
                    Session::new(Handshake::server(both.server.clone()).expect("a server"));
                // The request travels with the end of the handshake.
                let mut got = Vec::new();
                let mut wrote = false;
                for _ in 0..6 {
                    let bytes = all_of(&mut client);
                    let (content, out, _) = feed(&mut server, &bytes, size);
                    got.extend(content);
                    give(&mut client, &out);
                    if !client.is_handshaking() && !wrote {
                        wrote = true;
                        client.writer().write_all(b"GET / HTTP/1.1\r\n\r\n").expect("memory");
                    }
                }
                assert_eq!(got, b"GET / HTTP/1.1\r\n\r\n");
                assert!(!server.is_handshaking() && !server.has_partial());
                assert_eq!(server.facts().expect("open").alpn.as_deref(), Some(&b"http/1.1"[..]));
                let big: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
                let bytes = sealed(&mut server, &big);
                assert_eq!(give(&mut client, &bytes), big);
                for part in big.chunks(20_000) {
                    client.writer().write_all(part).expect("memory");
                    let bytes = all_of(&mut client);
                    let (content, out, ended) = feed(&mut server, &bytes, size);
                    assert!(content == part && out.is_empty() && !ended);
                }
                client.send_close_notify();
                let bytes = all_of(&mut client);
                let (_, _, ended) = feed(&mut server, &bytes, size);
                assert!(ended);
                let mut out = Vec::new();
                server.close_notify(&mut out);
                client.read_tls(&mut &out[..]).expect("memory");
                assert!(client.process_new_packets().expect("right").peer_has_closed());
            }
        }
    }
}

#[test]
fn keys_are_changed_both_ways() {
    let both = configs(&[&TLS13], 1);
    let mut client = ClientConnection::new(both.client.clone(), name()).expect("a client");
    let mut server = Session::new(Handshake::server(both.server.clone()).expect("a server"));
    for _ in 0..4 {
        let bytes = all_of(&mut client);
        let (_, out, _) = feed(&mut server, &bytes, 4096);
        give(&mut client, &out);
    }
    for round in 0..5u8 {
        client.refresh_traffic_keys().expect("open");
        client.writer().write_all(&[round]).expect("memory");
        let bytes = all_of(&mut client);
        let (content, out, _) = feed(&mut server, &bytes, 3);
        assert_eq!(content, [round]);
        give(&mut client, &out);
        let bytes = sealed(&mut server, &[round, round]);
        assert_eq!(give(&mut client, &bytes), [round, round]);
    }
}

#[test]
fn sessions_understand_each_other_and_resume() {
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let both = configs(versions, 2);
        for round in 0..3 {
            let mut client =
                Session::new(Handshake::client(both.client.clone(), name()).expect("a client"));
            let mut server =
                Session::new(Handshake::server(both.server.clone()).expect("a server"));
            let mut out = Vec::new();
            let first = client.receive(&mut [], &mut Vec::new(), &mut out);
            assert_eq!(first.fault, None);
            for _ in 0..4 {
                let (_, answer, _) = feed(&mut server, &out, 1000);
                let (_, next, _) = feed(&mut client, &answer, 1000);
                out = next;
            }
            assert!(!client.is_handshaking() && !server.is_handshaking());
            assert_eq!(server.facts().expect("open").is_resumed, round > 0);
            let facts = client.facts().expect("open");
            assert_eq!(facts.is_resumed, round > 0);
            assert!(facts.client_certificates.is_empty(), "the server's are not kept");
            let bytes = sealed(&mut client, b"hello");
            assert_eq!(feed(&mut server, &bytes, 2).0, b"hello");
        }
    }
}

#[test]
fn what_was_changed_on_its_way_ends_the_session_with_an_alert() {
    let both = configs(&[&TLS13], 1);
    let mut client = ClientConnection::new(both.client.clone(), name()).expect("a client");
    let mut server = Session::new(Handshake::server(both.server.clone()).expect("a server"));
    for _ in 0..4 {
        let bytes = all_of(&mut client);
        let (_, out, _) = feed(&mut server, &bytes, 4096);
        give(&mut client, &out);
    }
    client.writer().write_all(b"hello").expect("memory");
    let mut bytes = all_of(&mut client);
    bytes[9] ^= 1;
    let (mut before, mut out) = (Vec::new(), Vec::new());
    let fault = server.receive(&mut bytes, &mut before, &mut out).fault;
    assert_eq!(fault, Some(Fault::Record(RecordFault::BadTag)));
    client.read_tls(&mut &out[..]).expect("memory");
    let error = client.process_new_packets().expect_err("an alert");
    assert_eq!(error.to_string(), "received fatal alert: BadRecordMac");
}

#[test]
fn what_came_before_a_fatal_alert_is_content() {
    for versions in [&[&TLS13][..], &[&TLS12]] {
        for size in [1, 10, 50, 1 << 20] {
            let both = configs(versions, 0);
            let handshake = Handshake::client(both.client.clone(), name()).expect("a client");
            let mut client = Session::new(handshake);
            let mut server =
                Session::new(Handshake::server(both.server.clone()).expect("a server"));
            let mut out = Vec::new();
            client.receive(&mut [], &mut Vec::new(), &mut out);
            for _ in 0..4 {
                let (_, answer, _) = feed(&mut server, &out, 1000);
                out = feed(&mut client, &answer, 1000).1;
            }
            let mut bytes =
                [sealed(&mut client, b"hello "), sealed(&mut client, b"there")].concat();
            // A record that the client cannot open makes it send a fatal alert.
            let mut wrong = sealed(&mut server, b"x");
            wrong[9] ^= 1;
            client.receive(&mut wrong, &mut Vec::new(), &mut bytes);
            let mut content = Vec::new();
            let mut faults = Vec::new();
            for part in bytes.chunks(size) {
                let mut part = part.to_vec();
                let received = server.receive(&mut part, &mut content, &mut Vec::new());
                content.extend_from_slice(&part[received.content]);
                faults.extend(received.fault);
            }
            assert_eq!(content, b"hello there");
            assert_eq!(faults, [Fault::PeerAlert(20)]);
        }
    }
}

#[test]
fn a_failed_handshake_leaves_an_alert() {
    let both = configs(&[&TLS13], 1);
    let only12 = configs(&[&TLS12], 1);
    let mut client = ClientConnection::new(only12.client.clone(), name()).expect("a client");
    let mut server = Session::new(Handshake::server(both.server.clone()).expect("a server"));
    let mut bytes = all_of(&mut client);
    let mut out = Vec::new();
    let fault = server.receive(&mut bytes, &mut Vec::new(), &mut out).fault;
    assert!(matches!(fault, Some(Fault::Handshake(_))), "{fault:?}");
    client.read_tls(&mut &out[..]).expect("memory");
    assert!(client.process_new_packets().is_err());
    let _ = ServerConnection::new(both.server.clone());
}

/// Gives bytes to a session until it fails, and returns what it sends then.
fn failing(session: &mut Session, bytes: &[u8], size: usize) -> (Fault, Vec<u8>) {
    let mut out = Vec::new();
    for part in bytes.chunks(size) {
        let mut part = part.to_vec();
        if let Some(fault) = session.receive(&mut part, &mut Vec::new(), &mut out).fault {
            return (fault, out);
        }
    }
    panic!("it does not fail");
}

#[test]
fn a_failed_handshake_ends_with_an_alert_whatever_else_was_in_its_record() {
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let both = configs(versions, 0);
        for size in [1, 100, 1 << 20] {
            // A client that does not trust the certificate, behind which more messages follow.
            let client =
                Handshake::client(both.client.clone(), "b.example".try_into().expect("a name"));
            let mut client = Session::new(client.expect("a client"));
            let mut hello = Vec::new();
            assert_eq!(client.receive(&mut [], &mut Vec::new(), &mut hello).fault, None);
            let mut server = ServerConnection::new(both.server.clone()).expect("a server");
            server.read_tls(&mut &hello[..]).expect("memory");
            server.process_new_packets().expect("no fault");
            let mut flight = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut flight).expect("memory");
            }
            let (fault, alert) = failing(&mut client, &flight, size);
            assert!(matches!(fault, Fault::Handshake(_)), "{fault:?}");
            assert!(!alert.is_empty());
        }
    }
    let both = configs(&[&TLS13, &TLS12], 0);
    for noise in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x16\x03\x03\0\x04\x02\0\0\0", &[0xff; 40]]
    {
        let client = Handshake::client(both.client.clone(), name()).expect("a client");
        let server = Handshake::server(both.server.clone()).expect("a server");
        for mut session in [Session::new(client), Session::new(server)] {
            assert_eq!(session.receive(&mut [], &mut Vec::new(), &mut Vec::new()).fault, None);
            let (fault, alert) = failing(&mut session, noise, 1 << 20);
            assert!(matches!(fault, Fault::Handshake(_)), "{fault:?}");
            assert!(alert.starts_with(b"\x15\x03"), "{alert:?}");
        }
    }
    // Two messages in one record, the first of which is wrong: a hello for another protocol.
    let mut other = (*both.client).clone();
    other.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = ClientConnection::new(other.into(), name()).expect("a client");
    let mut hello = all_of(&mut client);
    let length = u16::from_be_bytes([hello[3], hello[4]]) + 4;
    hello[3..5].copy_from_slice(&length.to_be_bytes());
    hello.extend(b"\x14\0\0\0");
    for size in [1, 100, 1 << 20] {
        let server = Handshake::server(both.server.clone()).expect("a server");
        let (fault, alert) = failing(&mut Session::new(server), &hello, size);
        assert!(matches!(fault, Fault::Handshake(_)), "{fault:?}");
        assert!(!alert.is_empty());
    }
}
