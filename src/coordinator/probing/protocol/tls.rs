//! TLS of probes: trusted certificates and the server name. Everything that does not depend on the
//! backend is built once. Does not: resume sessions; each probe verifies anew.

use super::failure::ProbeFailure;
use crate::config::{FILE_BYTES_MAX, TlsProbe};
use crate::sys::certificates::{NO_CERTIFICATES, trusted};
use crate::sys::file;
use crate::tls::Authorities;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// TLS of one probe, for all its backends.
pub(super) struct Tls {
    connector: TlsConnector,
    /// None: the address of each backend.
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// `host` is the Host field's value, `protocol` the one offered by ALPN.
    pub(super) fn new(
        probe: &TlsProbe,
        host: Option<&str>,
        protocol: &[u8],
        trusted: &mut Trusted,
    ) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let mut config = if probe.verify {
            let roots = trusted.of(probe.ca_file.as_deref())?;
            builder.with_root_certificates(roots.store().clone()).with_no_client_auth()
        } else {
            let verifier = Arc::new(Credulous(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        // A resumed session would hide that the certificate has expired since.
        config.resumption = Resumption::disabled();
        let name = server_name(probe.sni.as_deref(), host)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Does the handshake.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        backend: IpAddr,
    ) -> Result<TlsStream<TcpStream>, ProbeFailure> {
        let name = self.name.clone().unwrap_or_else(|| backend.into());
        let connected = self.connector.connect(name, stream).await;
        connected.map_err(|error| ProbeFailure::of_handshake(&error))
    }
}

/// The server name to send and to verify, if it is not the backend's address.
fn server_name(
    sni: Option<&str>,
    host: Option<&str>,
) -> Result<Option<ServerName<'static>>, String> {
    if let Some(sni) = sni {
        let name = ServerName::try_from(sni.to_owned());
        let wrong = |_| format!("`sni` \"{sni}\" is no name of a host: give one as in a URL");
        return name.map(Some).map_err(wrong);
    }
    let without_port = host.map(|host| host.split_once(':').map_or(host, |(name, _)| name));
    let name = without_port.and_then(|host| ServerName::try_from(host.to_owned()).ok());
    Ok(name.filter(|name| matches!(name, ServerName::DnsName(_))))
}

/// Trusted certificates, each file read once: for all probes that are made at the same moment, and
/// then dropped, since their files may change.
#[derive(Default)]
pub struct Trusted {
    /// By `ca_file`; none: the system's.
    read: HashMap<Option<PathBuf>, Result<Authorities, String>>,
}

impl Trusted {
    fn of(&mut self, ca_file: Option<&Path>) -> Result<Authorities, String> {
        let read = || ca_file.map_or_else(of_system, of_file);
        self.read.entry(ca_file.map(Path::to_owned)).or_insert_with(read).clone()
    }
}

fn of_file(path: &Path) -> Result<Authorities, String> {
    let wrong = |wrong: String| format!("`ca_file` {} {wrong}", path.display());
    let read = file::read_regular(path, FILE_BYTES_MAX);
    let pem = read.map_err(|error| wrong(format!("cannot be read: {error}; give a PEM file")))?;
    Authorities::read(&pem).map_err(|fault| fault.sentence(&path.display()))
}

fn of_system() -> Result<Authorities, String> {
    // Systems have invalid certificates among valid ones; only none at all is an error.
    let authorities = Authorities::of_system(trusted());
    if authorities.is_empty() {
        return Err(format!("{NO_CERTIFICATES}, or give `ca_file`"));
    }
    Ok(authorities)
}

/// `verify = false`: every certificate of the backend is accepted.
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
