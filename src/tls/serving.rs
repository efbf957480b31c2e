//! What the library of TLS needs to answer clients: built once for each set of certificates, and
//! shared by all handshakes with it.

use super::certificate::Certificate;
use super::client_trust::ClientPolicy;
use super::policy::Policy;
use super::site::Site;
use super::staple::Staple;
use super::tickets::{TicketKeys, Ticketer};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::sync::Arc;

/// Application protocols (RFC 7301) that are agreed on, the best first. A client that offers others
/// only is refused.
const APPLICATION_PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1", b"http/1.0"];

/// A certificate that clients are shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'c> {
    /// The certificate.
    pub certificate: &'c Certificate,
    /// The answer of OCSP that goes with it.
    pub staple: Option<&'c Staple>,
}

impl Shown<'_> {
    fn key(&self) -> Arc<CertifiedKey> {
        let Some(staple) = self.staple else { return self.certificate.served.clone() };
        let mut key = CertifiedKey::clone(&self.certificate.served);
        key.ocsp = Some(staple.der().to_vec());
        Arc::new(key)
    }
}

/// What all handshakes of a listener have in common.
pub struct Terms {
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
    versions: &'static [&'static SupportedProtocolVersion],
    protocols: &'static [&'static [u8]],
}

impl Terms {
    /// The terms by a policy, which must have a suite for each version. Sessions are resumed with
    /// tickets by these keys. HTTP/2 is agreed on if it is spoken.
    pub fn new(policy: &Policy, speaks_http2: bool, keys: &Arc<TicketKeys>) -> Self {
        debug_assert_eq!(policy.version_without_suite(), None);
        let (provider, versions) = (policy.provider(), policy.versions());
        let tickets = Arc::new(Ticketer::new(keys.clone(), policy));
        let protocols = &APPLICATION_PROTOCOLS[usize::from(!speaks_http2)..];
        Self { provider: Arc::new(provider), tickets, versions, protocols }
    }

    /// What answers clients with the one of these certificates whose key they support; there is at
    /// least one. `clients`: what is asked of them.
    pub fn answering_with(
        &self,
        certificates: &[Shown<'_>],
        clients: Option<ClientPolicy>,
    ) -> Arc<Site> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone());
        let builder = builder
            .with_protocol_versions(self.versions)
            .expect("the policy has a suite for each version");
        let resolver = Arc::new(ByKind::new(certificates));
        let builder = match &clients {
            Some(policy) => builder.with_client_cert_verifier(policy.verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = self.protocols.iter().map(|name| name.to_vec()).collect();
        config.enable_secret_extraction = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if clients.is_none() {
            config.ticketer = self.tickets.clone();
            config.send_tls13_tickets = 1;
        } else {
            // A resumed session would skip the verification: a certificate may have been revoked.
            config.send_tls13_tickets = 0;
        }
        let names = certificates.iter().map(|shown| &*shown.certificate.names);
        Arc::new(Site::new(Arc::new(config), clients, names))
    }
}

/// Chooses among certificates of the same names by the signatures that the client verifies.
#[derive(Debug)]
struct ByKind {
    /// The preferred ones first.
    keys: Vec<Arc<CertifiedKey>>,
}

impl ByKind {
    fn new(certificates: &[Shown<'_>]) -> Self {
        let mut all = certificates.to_vec();
        all.sort_by_key(|one| one.certificate.kind);
        Self { keys: all.iter().map(Shown::key).collect() }
    }
}

impl ResolvesServerCert for ByKind {
    /// The last one if the client supports none: the handshake fails then, for that reason.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let is_fit = |one: &&Arc<CertifiedKey>| one.key.choose_scheme(schemes).is_some();
        self.keys.iter().find(is_fit).or(self.keys.last()).cloned()
    }
}
