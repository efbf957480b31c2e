//! The answer to the challenge tls-alpn-01 (RFC 8737): a handshake with a self-signed certificate
//! that has the digest of the key authorization. No content follows it.

use super::site::Site;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{self, sign::any_supported_type};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::sync::Arc;

/// The application protocol of the challenge.
pub const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// Bytes of the digest, which is SHA-256.
const DIGEST_BYTES: usize = 32;

/// What answers the challenge for a name, with the digest of its key authorization.
///
/// # Errors
/// It cannot be made, as a sentence.
pub fn challenge_site(name: &str, digest: &[u8]) -> Result<Arc<Site>, String> {
    if digest.len() != DIGEST_BYTES {
        return Err(format!("a digest of {} bytes", digest.len()));
    }
    let failed = |error: rcgen::Error| format!("no certificate for the challenge: {error}");
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).map_err(failed)?;
    let failed = |error: rustls::Error| format!("no certificate for the challenge: {error}");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(failed)?.with_no_client_auth();
    // Not `with_single_cert`: that refuses a certificate with a critical extension that it does not
    // have.
    let key = any_supported_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into());
    let shown = CertifiedKey::new(vec![certificate.der().clone()], key.map_err(failed)?);
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![CHALLENGE_PROTOCOL.to_vec()];
    config.enable_secret_extraction = true;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(Site::new(Arc::new(config), None, [])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::FromDer;

    #[test]
    fn the_certificate_has_the_digest_in_a_critical_extension_and_the_name() {
        let site = challenge_site("shop.test", &[7; 32]).expect("it is made");
        assert_eq!(site.config.alpn_protocols, [CHALLENGE_PROTOCOL]);
        assert!(challenge_site("shop.test", &[7; 20]).is_err());
        let mut params = CertificateParams::new(["shop.test".to_owned()]).expect("a name");
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(&[7; 32])];
        let made = params.self_signed(&KeyPair::generate().expect("a key")).expect("made");
        let (_, parsed) =
            x509_parser::certificate::X509Certificate::from_der(made.der()).expect("it is one");
        // id-pe-acmeIdentifier, an OCTET STRING of 32 bytes (RFC 8737, section 3).
        let found =
            parsed.extensions().iter().find(|one| one.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
        let found = found.expect("the extension");
        assert!(found.critical);
        assert_eq!(found.value, [&[4, 32][..], &[7; 32]].concat());
    }
}
