//! The certificates of authorities that this system trusts.

use rustls::pki_types::CertificateDer;

/// What to do where there are none.
pub const NO_CERTIFICATES: &str =
    "this system has no trusted certificates: install them (package ca-certificates)";

/// All of them, in the places where systems have them, or where `SSL_CERT_FILE` and `SSL_CERT_DIR`
/// say. One that cannot be read is left out.
pub fn trusted() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}
