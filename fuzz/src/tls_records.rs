//! Any bytes in a session of TLS: as the handshake of a client, as records behind a handshake, and as
//! what happens to the records of a client by rustls on their way.

use ringway::tls::{Handshake, Session};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use std::io::Write;
use std::sync::{Arc, OnceLock};

/// What a peer that is not known yet may make a session send.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Panics if a promise is broken.
pub fn run(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    strangers(rest, 1 + usize::from(choice >> 1));
    let (mut client, mut server) = shaken(choice.is_multiple_of(2));
    strange_records(rest);
    client.writer().write_all(rest).expect("memory");
    let sealed = sent(&mut client);
    let (content, is_valid) = read(&mut server, &sealed, 1 + usize::from(choice >> 1));
    assert!(is_valid && content == rest, "in pieces");
    changed(rest, choice.is_multiple_of(2));
}

/// A session that gets bytes which no client has sent.
fn strangers(bytes: &[u8], piece: usize) {
    let mut session = session(&configs(true).0);
    let (content, _) = read(&mut session, bytes, piece);
    assert!(content.is_empty(), "nothing was sealed");
}

/// The same once a session is open.
fn strange_records(bytes: &[u8]) {
    let (_, mut server) = shaken(true);
    let (content, _) = read(&mut server, bytes, bytes.len().max(1));
    assert!(content.is_empty(), "nothing was sealed");
}

/// One byte of what was sealed is another one: nothing behind it is content.
fn changed(bytes: &[u8], is_new: bool) {
    let [at, by, content @ ..] = bytes else { return };
    let (mut client, mut server) = shaken(is_new);
    let (first, second) = content.split_at(content.len() / 2);
    let mut sealed = Vec::new();
    for part in [first, second] {
        client.writer().write_all(part).expect("memory");
        sealed.extend(sent(&mut client));
    }
    if sealed.is_empty() || *by == 0 {
        return;
    }
    let at = usize::from(*at) * sealed.len() / 256;
    sealed[at] ^= by;
    let (read, _) = read(&mut server, &sealed, 1_000);
    assert!(read.is_empty() || read == first, "only what is before the change");
}

/// What is read of these bytes in pieces, and whether all of them were valid.
fn read(session: &mut Session, bytes: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let (mut content, mut out) = (Vec::new(), Vec::new());
    for part in bytes.chunks(piece) {
        let mut part = part.to_vec();
        let received = session.receive(&mut part, &mut content, &mut out);
        assert!(out.len() <= ANSWER_BYTES_MAX);
        content.extend_from_slice(&part[received.content]);
        if received.fault.is_some() {
            assert!(session.has_failed());
            return (content, false);
        }
    }
    (content, true)
}

fn sent(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).expect("memory");
    }
    bytes
}

fn session(config: &Arc<ServerConfig>) -> Session {
    Session::new(Handshake::server(config.clone()).expect("a server"))
}

/// A client and a server that have shaken hands.
fn shaken(is_new: bool) -> (ClientConnection, Session) {
    let (server, client) = configs(is_new);
    let name = ServerName::try_from("a.example").expect("a name");
    let mut client = ClientConnection::new(client.clone(), name).expect("a client");
    let mut server = session(server);
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = sent(&mut client);
        let (mut content, mut out) = (Vec::new(), Vec::new());
        let received = server.receive(&mut bytes, &mut content, &mut out);
        assert_eq!(received.fault, None);
        let mut rest = &out[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("memory");
            client.process_new_packets().expect("no fault");
        }
    }
    (client, server)
}

type Configs = (Arc<ServerConfig>, Arc<ClientConfig>);

/// Of TLS 1.3, or of 1.2; made once.
fn configs(is_new: bool) -> &'static Configs {
    static MADE: [OnceLock<Configs>; 2] = [const { OnceLock::new() }; 2];
    MADE[usize::from(is_new)].get_or_init(|| {
        let versions = if is_new { &[&TLS13] } else { &[&TLS12] };
        let names = ["a.example".to_owned()];
        let signed = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let certificate = signed.cert.der().clone();
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a key pair");
        server.enable_secret_extraction = true;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a root");
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        (server.into(), client.into())
    })
}
