//! HTTPS over real sockets: certificates of an authority of its own, clients of two libraries.

mod clients;
mod counted;
mod examples;
mod first_look;
mod misdirected;
mod names;
mod redirecting;
mod resuming;
mod stapling;
mod swapping;
mod versions;

use super::harness::*;
use super::load::Operated;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SignatureAlgorithm,
};
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
};

/// A certification authority that clients trust.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
pub struct Issued {
    pub chain: String,
    pub key: String,
}

impl Authority {
    /// With a key of P-256.
    pub fn new() -> Self {
        Self::with(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    pub fn with(algorithm: &'static SignatureAlgorithm) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own: else the key of another one is tried.
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("Test authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names, with a key of P-256.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, names, |_| {})
    }

    /// A certificate with another key, or with what `change` makes of it.
    pub fn issue_with(
        &self,
        algorithm: &'static SignatureAlgorithm,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// A certificate for a key that only its owner has, PEM.
    pub fn sign(&self, params: &CertificateParams, key: &impl rcgen::PublicKeyData) -> String {
        params.signed_by(key, &self.issuer).expect("a certificate").pem()
    }

    pub fn roots(&self) -> RootCertStore {
        use tokio_rustls::rustls::pki_types::pem::PemObject;
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("PEM");
        roots.add(root).expect("a certificate");
        roots
    }
}

/// A running `ringway` with these files beside its configuration.
pub fn start(files: &[(&str, &str)], text: &str) -> Operated {
    Operated::start_with(text, |folder, _| {
        for (name, content) in files {
            std::fs::write(folder.join(name), content).expect("written");
        }
    })
}

/// A file beside the configuration.
pub fn beside(secure: &Operated, name: &str) -> PathBuf {
    secure.file.with_file_name(name)
}

/// A listener of HTTPS with these keys more, these certificates by their files (`NAME.pem` and
/// `NAME-key.pem`) each with keys more, and a backend.
pub fn secure(backend: &Origin, keys: &str, certificates: &[(&str, &str)]) -> String {
    let mut text = format!(
        "[[listener]]\nname = \"web\"\naddress = \"LISTEN\"\nprotocol = \"https\"\n{keys}\n"
    );
    for (name, keys) in certificates {
        text +=
            &format!("[[certificate]]\nchain = \"{name}.pem\"\nkey = \"{name}-key.pem\"\n{keys}\n");
    }
    let address = backend.address;
    text + &format!(
        "[pool.app]\nhealth = {{ protocol = \"none\" }}\n[[pool.app.backend]]\n\
         address = \"{address}\"\n"
    )
}

/// What a client has seen.
#[derive(Debug)]
pub struct Seen {
    pub answer: String,
    pub version: ProtocolVersion,
    pub suite: String,
    pub is_resumed: bool,
    /// The certificate that it was shown.
    pub certificate: Vec<u8>,
}

/// A client by rustls.
#[derive(Clone)]
pub struct Caller {
    pub config: ClientConfig,
}

impl Caller {
    pub fn trusting(authority: &Authority) -> Self {
        Self::with(authority, &[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    pub fn with(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(versions)
                .expect("versions")
                .with_root_certificates(authority.roots())
                .with_no_client_auth();
        // A resumed session has the certificate of the first one.
        config.resumption = Resumption::disabled();
        Self { config }
    }

    /// One that shows a certificate.
    pub fn showing(
        authority: &Authority,
        own: &Issued,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        use tokio_rustls::rustls::pki_types::PrivateKeyDer;
        use tokio_rustls::rustls::pki_types::pem::PemObject;
        let chain = CertificateDer::from_pem_slice(own.chain.as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("PEM");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(authority.roots())
            .with_client_auth_cert(vec![chain], key)
            .expect("a pair");
        Self { config }
    }

    /// Sends a request on a connection of its own, on which it asks for `name`.
    pub fn ask(&self, address: SocketAddr, name: &str, request: &str) -> std::io::Result<Seen> {
        let server = ServerName::try_from(name.to_owned()).expect("a name");
        let connection = ClientConnection::new(Arc::new(self.config.clone()), server);
        let mut stream = StreamOwned::new(connection.expect("a configuration"), connect(address));
        std::io::Write::write_all(&mut stream, request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let connection = &stream.conn;
        let suite = connection.negotiated_cipher_suite().expect("a suite").suite();
        Ok(Seen {
            answer,
            version: connection.protocol_version().expect("a version"),
            suite: suite.as_str().expect("known").to_owned(),
            is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            certificate: connection.peer_certificates().expect("some")[0].to_vec(),
        })
    }

    /// A GET of `/` at the host that it asks for.
    pub fn get(&self, address: SocketAddr, name: &str) -> std::io::Result<Seen> {
        self.ask(address, name, &get(name))
    }

    /// Only these signatures are verified.
    pub fn verifying(mut self, authority: &Authority, schemes: &[SignatureScheme]) -> Self {
        let mut provider = aws_lc_rs::default_provider();
        let algorithms = &mut provider.signature_verification_algorithms;
        let kept: Vec<_> = algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| schemes.contains(scheme))
            .copied()
            .collect();
        algorithms.mapping = Vec::leak(kept);
        self.config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        self
    }
}

/// A request of `/`, after whose answer the connection ends.
pub fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// The address that a listener has.
pub fn address_of(secure: &Operated, name: &str) -> SocketAddr {
    let status = secure.json(&["status"]);
    let listeners = status["listeners"].as_array().cloned().unwrap_or_default();
    let found = listeners.iter().find(|listener| listener["name"] == name);
    let address = found.and_then(|listener| listener["address"].as_str());
    address.and_then(|address| address.parse().ok()).expect("it listens")
}

/// What `curl` prints for a path at `name`, which is at `address`.
pub fn curl(address: SocketAddr, name: &str, path: &str, arguments: &[&str]) -> String {
    let url = format!("https://{name}:{}{path}", address.port());
    let resolve = format!("{name}:{}:{}", address.port(), address.ip());
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "--max-time", "60", "--resolve", &resolve]);
    let output = command.args(arguments).arg(url).output().expect("curl is installed");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
