//! How an authority sees that a name is a machine's: by connecting to it.

use super::super::harness::*;
use super::jws::encode;
use aws_lc_rs::digest::{SHA256, digest};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

fn reach(at: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(at).map_err(|error| format!("{at}: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    Ok(stream)
}

/// What a request for the challenge of plain HTTP is answered with.
pub fn by_http(at: SocketAddr, name: &str, token: &str, expected: &str) -> Result<(), String> {
    let mut stream = reach(at)?;
    let request = format!(
        "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {name}\r\n\
         User-Agent: test authority\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let answer = read_to_end(&mut stream);
    if status(&answer) != 200 {
        return Err(format!("status {} from {at}", status(&answer)));
    }
    let found = String::from_utf8_lossy(body(&answer)).into_owned();
    if found == expected { Ok(()) } else { Err(format!("`{found}` from {at}")) }
}

/// What a handshake for the challenge is answered with (RFC 8737, section 3).
pub fn by_tls(at: SocketAddr, name: &str, expected: &str) -> Result<(), String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let server = ServerName::try_from(name.to_owned()).expect("a name");
    let mut connection = ClientConnection::new(Arc::new(config), server).expect("a configuration");
    let mut stream = reach(at)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| format!("{error} from {at}"))?;
    }
    if connection.alpn_protocol() != Some(b"acme-tls/1") {
        return Err(format!("{at} agrees on {:?}", connection.alpn_protocol()));
    }
    let shown = connection.peer_certificates().expect("a certificate").to_vec();
    let [own] = &shown[..] else { return Err(format!("{} certificates", shown.len())) };
    check_certificate(own, name, expected)?;
    // Whoever asked has the answer: no content follows, and the connection ends.
    while connection.wants_write() {
        connection.write_tls(&mut stream).map_err(|error| error.to_string())?;
    }
    let rest = read_to_end(&mut stream);
    let _ = connection.read_tls(&mut &rest[..]);
    let read = connection.process_new_packets().map_err(|error| error.to_string())?;
    assert_eq!(read.plaintext_bytes_to_read(), 0);
    Ok(())
}

fn check_certificate(own: &CertificateDer<'_>, name: &str, expected: &str) -> Result<(), String> {
    let (_, parsed) = X509Certificate::from_der(own).expect("a certificate");
    assert_eq!(parsed.issuer(), parsed.subject(), "it is self-signed");
    let names = parsed.subject_alternative_name().expect("once").expect("it has names");
    let names: Vec<_> = names.value.general_names.iter().collect();
    let [GeneralName::DNSName(own)] = names[..] else { return Err(format!("{names:?}")) };
    if !own.eq_ignore_ascii_case(name) {
        return Err(format!("the certificate is for {own}"));
    }
    let of_acme = |oid: String| oid == "1.3.6.1.5.5.7.1.31";
    let found = parsed.extensions().iter().find(|one| of_acme(one.oid.to_id_string()));
    let found = found.ok_or("no acmeIdentifier")?;
    assert!(found.critical, "it must be critical");
    let expected = digest(&SHA256, expected.as_bytes());
    match found.value == [&[4, 32], expected.as_ref()].concat() {
        true => Ok(()),
        false => Err(format!("acmeIdentifier {}", encode(found.value))),
    }
}

/// Accepts every certificate: it is looked at afterwards.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
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
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
