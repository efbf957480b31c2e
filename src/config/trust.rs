//! Certificates that probes over TLS trust. Does not: read files.

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// The certificates in the content of a PEM file.
///
/// # Errors
/// The problem of the file, as the end of a sentence that begins with its name.
pub fn parse_certificates(pem: &[u8]) -> Result<RootCertStore, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|error| format!("cannot be read: {error}; give a PEM file"))?;
    if certificates.is_empty() {
        return Err("has no certificate: give a PEM file with some".to_owned());
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let added = roots.add(certificate);
        added.map_err(|error| format!("has a certificate that cannot be used: {error}"))?;
    }
    Ok(roots)
}
