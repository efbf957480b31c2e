//! TLS towards the backends of a pool.

use super::certificate::Certificate;
use super::policy::Policy;
use super::sessions::{OfBackend, Sessions};
use super::trust::Authorities;
use super::{Handshake, Session};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Whose certificate a backend may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Anybody's: it is not verified.
    Anyone,
    /// One that an authority among these vouches for, with the right name and dates.
    Only(Authorities),
}

/// What handshakes with the backends of a pool have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTerms {
    /// Versions and cipher suites.
    pub policy: Policy,
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// What is shown to a backend that asks for a certificate.
    pub certificate: Option<Arc<Certificate>>,
    /// The application protocols that are offered, the best first; empty: the extension is not
    /// sent.
    pub alpn: Vec<Vec<u8>>,
}

impl BackendTerms {
    /// What the library of TLS needs. It resumes no session.
    pub fn client_config(&self) -> ClientConfig {
        let provider = Arc::new(self.policy.provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder
            .with_protocol_versions(self.policy.versions())
            .expect("the policy has a suite for each version");
        let builder = match &self.trust {
            Trust::Only(authorities) => builder.with_root_certificates(authorities.store().clone()),
            Trust::Anyone => {
                let verifier = Arc::new(Credulous(provider));
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
        };
        let mut config = match &self.certificate {
            Some(certificate) => {
                let shown = SingleCertAndKey::from(certificate.served.clone());
                builder.with_client_cert_resolver(Arc::new(shown))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.enable_secret_extraction = true;
        config.resumption = Resumption::disabled();
        config
    }
}

/// The names of the backends of a pool: what is asked for, and what their certificates must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendNames {
    /// That of all of them.
    pub all: Option<ServerName<'static>>,
    /// Those of some of them.
    pub by_address: BTreeMap<SocketAddr, ServerName<'static>>,
}

impl BackendNames {
    /// The name of the backend at this address; without one its address is in its certificate.
    pub fn of(&self, address: SocketAddr) -> ServerName<'static> {
        let known = self.all.as_ref().or_else(|| self.by_address.get(&address));
        known.cloned().unwrap_or_else(|| ServerName::from(address.ip()))
    }
}

/// Terms, what the library of TLS makes of them, and earlier sessions under them.
struct Prepared {
    terms: BackendTerms,
    config: ClientConfig,
    sessions: Arc<Sessions>,
}

/// How connections to the backends of a pool are secured. Clones share earlier sessions.
#[derive(Clone)]
pub struct BackendTls {
    prepared: Arc<Prepared>,
    names: BackendNames,
}

impl BackendTls {
    /// TLS by these terms. What `before` has is used again if it has the same ones: sessions can be
    /// resumed then.
    pub fn new(terms: BackendTerms, names: BackendNames, before: Option<&Self>) -> Self {
        let same = before.filter(|before| before.prepared.terms == terms);
        let prepared = same.map(|before| before.prepared.clone()).unwrap_or_else(|| {
            let config = terms.client_config();
            Arc::new(Prepared { terms, config, sessions: Arc::default() })
        });
        Self { prepared, names }
    }

    /// The terms.
    pub fn terms(&self) -> &BackendTerms {
        &self.prepared.terms
    }

    /// The names.
    pub fn names(&self) -> &BackendNames {
        &self.names
    }

    /// A session with the backend at this address, which has sent nothing yet.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn session(&self, address: SocketAddr) -> Result<Session, Error> {
        let mut config = self.prepared.config.clone();
        let sessions = self.prepared.sessions.clone();
        config.resumption = Resumption::store(Arc::new(OfBackend { sessions, address }));
        Handshake::client(Arc::new(config), self.names.of(address)).map(Session::new)
    }
}

/// Alike if they have the same terms, not only equal ones, and the same names.
impl PartialEq for BackendTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.prepared, &other.prepared) && self.names == other.names
    }
}

impl Eq for BackendTls {}

impl std::fmt::Debug for BackendTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("BackendTls");
        shown.field("terms", self.terms()).field("names", &self.names).finish()
    }
}

/// The name of a server: a host name, or an address.
pub fn server_name(text: &str) -> Option<ServerName<'static>> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Some(ip.into()),
        Err(_) => ServerName::try_from(text.to_owned()).ok(),
    }
}

/// Accepts every certificate of a backend, even one that nothing can be verified with.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
