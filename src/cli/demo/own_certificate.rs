//! The certificate of `ringway demo --tls`, in a folder of its own, which is removed in the end.

use crate::cli::Failed;
use crate::cli::self_signed::{make, write_new};
use ringway::config::{Certificate, FILE_BYTES_MAX};
use ringway::sys::file;
use std::error::Error;
use std::fs::{self, DirBuilder};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A demo does not last longer.
const DAYS: u32 = 7;

/// See the module.
pub(super) struct OwnCertificate {
    folder: PathBuf,
    /// Clients trust it by this file.
    pub(super) chain: PathBuf,
    pub(super) certificate: Certificate,
}

impl OwnCertificate {
    /// A new one for this machine, and for the address that the demo listens on.
    pub(super) fn make(listen: IpAddr) -> Result<Self, Failed> {
        let folder = std::env::temp_dir().join(format!("ringway-demo-{}", std::process::id()));
        let wrong = |error: Box<dyn Error>| {
            let folder = folder.display();
            Failed::Error(format!("cannot make a certificate in {folder}: {error}").into())
        };
        let files = write(&folder, listen).map_err(wrong)?;
        let [chain, key] = files;
        let load = |path: &Path| file::read_regular(path, FILE_BYTES_MAX);
        let certificate = Certificate::load(chain.clone(), key, &load);
        let certificate = certificate.map_err(|error| wrong(error.into()))?;
        Ok(Self { folder, chain, certificate })
    }
}

fn write(folder: &Path, listen: IpAddr) -> Result<[PathBuf; 2], Box<dyn Error>> {
    DirBuilder::new().mode(0o700).create(folder)?;
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    names.extend((!listen.is_unspecified() && !listen.is_loopback()).then(|| listen.to_string()));
    let made = make(&names, DAYS)?;
    let (chain, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    write_new(&chain, &made.chain, 0o644)?;
    write_new(&key, &made.key, 0o600)?;
    Ok([chain, key])
}

impl Drop for OwnCertificate {
    fn drop(&mut self) {
        // It is a temporary folder: what remains there is no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
