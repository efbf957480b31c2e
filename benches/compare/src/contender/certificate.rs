//! The certificate that proxies show: self-signed, ECDSA P-256, made anew for each run.

use super::write_file;
use crate::child::TemporaryFolder;
use crate::load::SERVER_NAME;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// A certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    /// The file that has both, as PEM.
    pub both: PathBuf,
}

impl Certificate {
    /// Makes one and writes it into `folder`.
    pub fn write(folder: &TemporaryFolder) -> Result<Certificate> {
        let names = vec![SERVER_NAME.to_owned()];
        let made =
            rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
        let text = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
        let folder = folder.create_inside("certificate")?;
        Ok(Certificate { both: write_file(&folder, "certificate.pem", &text)? })
    }
}
