//! `[pool.NAME.tls]`: TLS to the backends. The files are read with the configuration, and once more
//! when they change.

use super::certificates::{Wrong, read_files};
use super::http_probes::parse_sni;
use super::route::parse_alpn;
use crate::config::Loader;
use crate::config::keys::kinds::{flag, optional, path, paths, texts};
use crate::config::keys::{Keys, Part, section};
use crate::config::raw::{Section, load_named};
use crate::config::tls_files::TlsFiles;
use crate::config::values::parse_path;
use crate::tls::{self, Authorities, BackendTerms, FileFault, FileOf, Policy, Trust, server_name};
use rustls::pki_types::ServerName;
use std::path::{Path, PathBuf};
use std::sync::Arc;

section! {
    /// `[pool.NAME.tls]`: TLS to the backends.
    #[derive(Clone, Debug, PartialEq, Eq)]
    PoolTls {
        /// The name that is asked for and verified; none: that of each backend, or its address.
        sni: Option<String> = None => optional(parse_sni),
        /// The certificate must be valid for the name, and from an authority that is trusted.
        verify: bool = true => flag(),
        /// Files of certificates (PEM) that are trusted; none: the system's. Absolute, or relative
        /// to the working directory once loaded.
        ca: Vec<PathBuf> = Vec::new() => paths(),
        /// The file with the certificate that is shown to backends that ask for one, and its
        /// issuers.
        client_certificate: Option<PathBuf> = None => path(parse_path),
        /// The file with its key; none: the same file.
        client_key: Option<PathBuf> = None => path(parse_path),
        /// Application protocols that are offered (RFC 7301), the best first.
        alpn: Vec<String> = Vec::new() => texts(parse_alpn),
        /// Versions and cipher suites.
        policy: Policy = Policy::default() => Part,
        /// The content of `ca`; none without a file.
        authorities: Option<Authorities> = None,
        /// The content of the files of the client's certificate.
        certificate: Option<Arc<tls::Certificate>> = None,
    }
}

impl PoolTls {
    /// Reads the keys, and the files.
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let mut tls = Self::default();
        tls.read_keys(&mut section);
        super::listeners::check_suites(&section, &tls.policy);
        tls.authorities = tls.read_authorities(&section);
        tls.certificate = tls.read_certificate(&section);
        section.finish();
        tls
    }

    fn read_authorities(&self, section: &Section<'_>) -> Option<Authorities> {
        if self.ca.is_empty() {
            return None;
        }
        let read = read_authorities(&self.ca, &|path| section.load(path));
        section.report().checked(section.value_span("ca"), read)
    }

    fn read_certificate(&self, section: &Section<'_>) -> Option<Arc<tls::Certificate>> {
        let Some(chain) = &self.client_certificate else {
            if self.client_key.is_some() {
                let message = "`client_key` without `client_certificate`";
                let help = "give the file with the certificate too, or remove `client_key`";
                section.report().add_with_help(section.key_span("client_key"), message, help);
            }
            return None;
        };
        let key = self.client_key.as_ref().unwrap_or(chain);
        let read = read_files(chain, key, &|path| section.load(path));
        let read = read.map_err(|Wrong { file, message, remedy }| {
            let is_key = file == FileOf::Key && self.client_key.is_some();
            let key = if is_key { "client_key" } else { "client_certificate" };
            section.report().add_lazily(section.value_span(key), || (message, remedy));
        });
        read.ok().map(Arc::new)
    }

    /// The files of the client's certificate.
    pub fn certificate_files(&self) -> Option<TlsFiles> {
        let chain = self.client_certificate.clone()?;
        let key = self.client_key.clone().unwrap_or_else(|| chain.clone());
        Some(TlsFiles::Certificate { chain, key })
    }

    /// The files of the authorities.
    pub fn authority_files(&self) -> Option<TlsFiles> {
        (!self.ca.is_empty()).then(|| TlsFiles::Authorities(self.ca.clone()))
    }

    /// True if the system's certificates are what counts.
    pub fn trusts_system(&self) -> bool {
        self.verify && self.ca.is_empty()
    }

    /// What handshakes have in common, where `system` are the system's authorities.
    pub fn terms(&self, system: &Authorities) -> BackendTerms {
        let trust = match &self.authorities {
            _ if !self.verify => Trust::Anyone,
            Some(authorities) => Trust::Only(authorities.clone()),
            None => Trust::Only(system.clone()),
        };
        BackendTerms {
            policy: self.policy.clone(),
            trust,
            certificate: self.certificate.clone(),
            alpn: self.alpn.iter().map(|name| name.clone().into_bytes()).collect(),
        }
    }

    /// The name that all backends have.
    pub fn server_name(&self) -> Option<ServerName<'static>> {
        server_name(self.sni.as_deref()?)
    }
}

/// The authorities in some files.
///
/// # Errors
/// A sentence with the file, what is wrong and the remedy.
pub(super) fn read_authorities(
    files: &[PathBuf],
    read: &dyn Fn(&Path) -> Result<Vec<u8>, String>,
) -> Result<Authorities, String> {
    let of_file = |path: &PathBuf| {
        let wrong = |fault: FileFault| fault.sentence(&path.display());
        Authorities::read(&read(path)?).map_err(wrong)
    };
    let parts: Vec<Authorities> = files.iter().map(of_file).collect::<Result<_, _>>()?;
    Ok(Authorities::joined(parts))
}

/// The same, read by `load`.
pub(in crate::config) fn load_authorities(
    files: &[PathBuf],
    load: Loader<'_>,
) -> Result<Authorities, String> {
    read_authorities(files, &|path| load_named(path, load))
}
