//! TLS of a backend of the simulation, by rustls, between what it says and hears and the network.

use super::bytes::Pipe;
use super::network::Stream;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use ringway::tls::{
    Authorities, BackendNames, BackendTerms, BackendTls, Policy, Trust, server_name,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

/// Bytes of the header of a record, the last two of which are its length.
const HEADER_BYTES: usize = 5;

struct Configs {
    terms: BackendTerms,
    server: Arc<ServerConfig>,
}

/// One certificate for all worlds. No session is resumed: another world may have dropped it.
fn configs() -> &'static Configs {
    static CONFIGS: OnceLock<Configs> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let params = CertificateParams::new(["test".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let authorities = Authorities::read(certificate.pem().as_bytes()).expect("PEM");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a pair");
        server.send_tls13_tickets = 0;
        let terms = BackendTerms {
            policy: Policy::default(),
            trust: Trust::Only(authorities),
            certificate: None,
            alpn: Vec::new(),
        };
        Configs { terms, server: server.into() }
    })
}

/// TLS to the backends of a pool.
pub fn backend_tls() -> Arc<BackendTls> {
    let names = BackendNames { all: server_name("test"), ..BackendNames::default() };
    Arc::new(BackendTls::new(configs().terms.clone(), names, None))
}

/// See the module.
pub struct Secured {
    tls: ServerConnection,
    /// The part of a record that has come.
    partial: Pipe,
    /// Bytes of the network, and of content, that were taken.
    taken: [u64; 2],
    /// Where records with content begin: in the content, and on the network.
    begins: Vec<[u64; 2]>,
}

impl Secured {
    pub fn new() -> Self {
        let mut tls = ServerConnection::new(configs().server.clone()).expect("a server");
        tls.set_buffer_limit(None);
        Self { tls, partial: Pipe::default(), taken: [0; 2], begins: Vec::new() }
    }

    /// Hears what has come, and answers what is TLS's own.
    pub fn hear(&mut self, stream: &mut Stream, content: &mut Pipe) {
        stream.to_actor.move_to(&mut self.partial, usize::MAX);
        while let Some(header) = self.partial.front().first_chunk::<HEADER_BYTES>() {
            let length = HEADER_BYTES + usize::from(u16::from_be_bytes([header[3], header[4]]));
            if self.partial.len() < length {
                break;
            }
            self.hear_record(length, content);
        }
        self.send(stream);
    }

    fn hear_record(&mut self, length: usize, content: &mut Pipe) {
        let mut record = &self.partial.front()[..length];
        while !record.is_empty() && self.tls.read_tls(&mut record).expect("memory") > 0 {}
        self.tls.process_new_packets().expect("the proxy knows TLS");
        let begin = [self.taken[1], self.taken[0]];
        let mut part = [0; 16_384];
        while let Ok(count @ 1..) = self.tls.reader().read(&mut part) {
            content.push(&part[..count]);
            self.taken[1] += count as u64;
        }
        if self.taken[1] > begin[0] {
            self.begins.push(begin);
        }
        self.partial.skip(length);
        self.taken[0] += length as u64;
    }

    /// Where the record with this byte of the content begins on the network.
    pub fn begin_of(&self, content: u64) -> u64 {
        let before = self.begins.iter().rev().find(|begin| begin[0] <= content);
        before.expect("it has come")[1]
    }

    pub fn say(&mut self, bytes: &[u8], stream: &mut Stream) {
        self.tls.writer().write_all(bytes).expect("memory");
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
        stream.to_proxy.push(&bytes);
    }
}
