//! TLS of a client of the simulation, by rustls, between what it says and hears and the network.

use super::bytes::Pipe;
use super::network::Stream;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use ringway::tls::{Answer, ServerNames, Site};
use rustls::client::Resumption;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

struct Configs {
    names: Arc<ServerNames>,
    client: ClientConfig,
}

/// One certificate for all worlds. Its signatures have one length, so that what is drawn for its
/// bytes on the network is drawn again by the same seed.
fn configs() -> &'static Configs {
    static CONFIGS: OnceLock<Configs> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let params = CertificateParams::new(["test".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a pair");
        server.enable_secret_extraction = true;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a root");
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.resumption = Resumption::disabled();
        let names = ["test".into()];
        let server = Arc::new(Site::new(Arc::new(server), None, [&names[..]]));
        let server = Answer::Site(server);
        let names = ServerNames::new(Some(server.clone()), Some(server)).into();
        Configs { names, client }
    })
}

/// What listeners with TLS answer with.
pub fn server_names() -> Arc<ServerNames> {
    configs().names.clone()
}

/// See the module.
pub struct Veil {
    tls: ClientConnection,
    /// What has come, and was not read.
    pub heard: Pipe,
    /// A byte of its next record changes on its way.
    garbles: bool,
    /// The proxy has ended the session because a byte was changed.
    pub is_broken: bool,
    /// The proxy has said that it sends nothing more.
    pub has_ended: bool,
}

impl Veil {
    /// Of a client that speaks this protocol.
    pub fn speaking(garbles: bool, protocol: &[u8]) -> Self {
        let name = ServerName::try_from("test").expect("a name");
        let mut config = configs().client.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let mut tls = ClientConnection::new(config.into(), name).expect("a client");
        tls.set_buffer_limit(None);
        Self { tls, heard: Pipe::default(), garbles, is_broken: false, has_ended: false }
    }

    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Says something, as soon as the handshake allows.
    pub fn say(&mut self, bytes: &[u8], stream: &mut Stream) {
        let is_said = self.tls.writer().write_all(bytes).is_ok();
        assert!(is_said || self.is_broken, "memory");
        self.send(stream);
    }

    /// Says that it says no more.
    pub fn end(&mut self, stream: &mut Stream) {
        self.tls.send_close_notify();
        self.send(stream);
    }

    fn send(&mut self, stream: &mut Stream) {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).expect("memory");
        }
        if self.garbles && !self.is_handshaking() && !bytes.is_empty() {
            self.garbles = false;
            *bytes.last_mut().expect("not empty") ^= 1;
            self.is_broken = true;
        }
        stream.to_proxy.push(&bytes);
    }

    /// Hears up to `most` bytes of what has come, and answers what is TLS's own.
    pub fn hear(&mut self, most: usize, stream: &mut Stream) {
        let count = stream.to_actor.len().min(most);
        let mut bytes = &stream.to_actor.front()[..count];
        while !bytes.is_empty() && !self.has_ended {
            let heard = self.tls.read_tls(&mut bytes).expect("memory");
            match self.tls.process_new_packets() {
                Ok(state) => self.has_ended |= state.peer_has_closed(),
                Err(error) => assert!(self.is_broken, "{error}"),
            }
            let mut part = [0; 16_384];
            while let Ok(length @ 1..) = self.tls.reader().read(&mut part) {
                self.heard.push(&part[..length]);
            }
            if heard == 0 {
                break;
            }
        }
        stream.to_actor.skip(count);
        self.send(stream);
    }
}
