//! The files of TLS, which are read with the configuration and again when they change: which there
//! are, and what becomes of new content. Does not: read files, or notice that they change.

use super::choices::Protocol;
use super::model::{Config, ListenerIndex};
use super::sections::{
    Acme, Certificate, ClientCertificates, Pool, PoolTls, load_authorities, load_trust,
    parse_fetched, parse_staple, parse_ticket_keys, read_files,
};
use super::{Loader, raw::load_named};
use crate::tls::{self, Authorities, ClientTrust, Staple, TicketSecret};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

/// Files that are read together, since they have to fit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsFiles {
    /// A chain and its key.
    Certificate {
        /// The chain.
        chain: PathBuf,
        /// The key; may be the same file.
        key: PathBuf,
    },
    /// A chain with its key, by ACME: it comes later.
    Acme(PathBuf),
    /// What certificates of clients are verified by.
    ClientTrust {
        /// Authorities.
        ca: Vec<PathBuf>,
        /// Lists of revoked certificates.
        crl: Vec<PathBuf>,
    },
    /// An answer of OCSP.
    Ocsp(PathBuf),
    /// Keys of session tickets.
    TicketKeys(PathBuf),
    /// Certificates of authorities; not empty.
    Authorities(Vec<PathBuf>),
}

/// What is in [`TlsFiles`].
#[derive(Debug)]
pub enum TlsContent {
    /// A certificate with its key.
    Certificate(Arc<tls::Certificate>),
    /// What certificates of clients are verified by.
    ClientTrust(Arc<ClientTrust>),
    /// An answer of OCSP.
    Ocsp(Arc<Staple>),
    /// Keys of session tickets.
    TicketKeys(Vec<TicketSecret>),
    /// Certificates of authorities.
    Authorities(Authorities),
}

impl fmt::Display for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { chain, .. } => write!(f, "certificate {}", chain.display()),
            Self::Acme(path) => write!(f, "certificate {}", path.display()),
            Self::ClientTrust { ca, crl } => {
                let paths: Vec<_> =
                    ca.iter().chain(crl).map(|path| path.display().to_string()).collect();
                write!(f, "authorities of clients {}", paths.join(", "))
            }
            Self::Ocsp(path) => write!(f, "OCSP answer {}", path.display()),
            Self::TicketKeys(path) => write!(f, "ticket keys {}", path.display()),
            Self::Authorities(paths) => {
                let paths: Vec<String> =
                    paths.iter().map(|path| path.display().to_string()).collect();
                write!(f, "trusted certificates {}", paths.join(", "))
            }
        }
    }
}

impl TlsFiles {
    /// The paths of the files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let (files, more): (&[PathBuf], &[PathBuf]) = match self {
            Self::Certificate { chain, key } => (slice::from_ref(chain), slice::from_ref(key)),
            Self::ClientTrust { ca, crl } => (ca, crl),
            Self::Acme(path) | Self::Ocsp(path) | Self::TicketKeys(path) => {
                (slice::from_ref(path), &[])
            }
            Self::Authorities(paths) => (paths, &[]),
        };
        files.iter().chain(more).map(PathBuf::as_path)
    }

    /// True if it is no fault that they are not there.
    pub fn may_be_absent(&self) -> bool {
        matches!(self, Self::Acme(_))
    }

    /// Reads and checks the content.
    ///
    /// # Errors
    /// A sentence with the file, what is wrong and the remedy.
    pub fn read(&self, load: Loader<'_>) -> Result<TlsContent, String> {
        match self {
            Self::Certificate { chain, key } => {
                let read = |path: &Path| load_named(path, load);
                let read = read_files(chain, key, &read).map_err(|wrong| wrong.to_string())?;
                Ok(TlsContent::Certificate(Arc::new(read)))
            }
            Self::Acme(path) => {
                let read = parse_fetched(path, &load_named(path, load)?)?;
                Ok(TlsContent::Certificate(Arc::new(read)))
            }
            Self::ClientTrust { ca, crl } => {
                Ok(TlsContent::ClientTrust(Arc::new(load_trust(ca, crl, load)?)))
            }
            Self::Ocsp(path) => {
                let staple = parse_staple(path, &load_named(path, load)?)?;
                Ok(TlsContent::Ocsp(Arc::new(staple)))
            }
            Self::TicketKeys(path) => {
                let bytes = load_named(path, load)?;
                parse_ticket_keys(path, bytes).map(TlsContent::TicketKeys)
            }
            Self::Authorities(paths) => load_authorities(paths, load).map(TlsContent::Authorities),
        }
    }
}

impl Config {
    /// Every file of TLS, each once.
    pub fn tls_files(&self) -> BTreeSet<TlsFiles> {
        let certificates = self.certificates.iter().map(Certificate::files);
        let tickets = self.tls.ticket_keys_file.iter().cloned().map(TlsFiles::TicketKeys);
        let of_pools = self.pools.iter().filter_map(|pool| pool.tls.as_ref());
        let of_pools = of_pools
            .flat_map(|tls| tls.certificate_files().into_iter().chain(tls.authority_files()));
        let staples = self.certificates.iter().filter_map(Certificate::ocsp_file);
        let trusts = self.client_certificates().filter_map(ClientCertificates::files);
        let of_directories = self.acme.iter().filter_map(Acme::authority_files);
        certificates
            .chain(of_directories)
            .chain(staples)
            .chain(trusts)
            .chain(tickets)
            .chain(of_pools)
            .collect()
    }

    /// What is asked of clients, wherever it is.
    pub fn client_certificates(&self) -> impl Iterator<Item = &ClientCertificates> {
        let of_names = self.certificates.iter().filter_map(|one| one.clients.as_ref());
        self.listeners.iter().map(|listener| &listener.clients).chain(of_names)
    }

    pub(super) fn client_certificates_mut(
        &mut self,
    ) -> impl Iterator<Item = &mut ClientCertificates> {
        let of_names = self.certificates.iter_mut().filter_map(|one| one.clients.as_mut());
        self.listeners.iter_mut().map(|listener| &mut listener.clients).chain(of_names)
    }

    /// Puts new content in the place of the present one. False if it is the same.
    pub fn replace_tls(&mut self, files: &TlsFiles, content: &TlsContent) -> bool {
        let mut is_changed = false;
        match content {
            TlsContent::Certificate(loaded) => {
                let theirs = self.certificates.iter_mut().filter(|one| one.files() == *files);
                for one in theirs.filter(|one| one.loaded.as_ref() != Some(loaded)) {
                    one.loaded = Some(loaded.clone());
                    is_changed = true;
                }
                for tls in self.tls_of_pools() {
                    if tls.certificate_files().as_ref() == Some(files)
                        && tls.certificate.as_ref() != Some(loaded)
                    {
                        tls.certificate = Some(loaded.clone());
                        is_changed = true;
                    }
                }
            }
            TlsContent::Authorities(authorities) => {
                let theirs = self.acme.iter_mut();
                let theirs = theirs.filter(|one| one.authority_files().as_ref() == Some(files));
                for one in theirs.filter(|one| one.authorities.as_ref() != Some(authorities)) {
                    one.authorities = Some(authorities.clone());
                    is_changed = true;
                }
                for tls in self.tls_of_pools() {
                    if tls.authority_files().as_ref() == Some(files)
                        && tls.authorities.as_ref() != Some(authorities)
                    {
                        tls.authorities = Some(authorities.clone());
                        is_changed = true;
                    }
                }
            }
            TlsContent::ClientTrust(trust) => {
                let theirs = self.client_certificates_mut();
                let theirs = theirs.filter(|one| one.files().as_ref() == Some(files));
                for one in theirs.filter(|one| one.loaded.as_ref() != Some(trust)) {
                    one.loaded = Some(trust.clone());
                    is_changed = true;
                }
            }
            TlsContent::Ocsp(staple) => {
                let theirs = self.certificates.iter_mut();
                let theirs = theirs.filter(|one| one.ocsp_file().as_ref() == Some(files));
                for one in theirs.filter(|one| one.staple.as_ref() != Some(staple)) {
                    one.staple = Some(staple.clone());
                    is_changed = true;
                }
            }
            TlsContent::TicketKeys(secrets) if self.tls.ticket_keys != *secrets => {
                self.tls.ticket_keys.clone_from(secrets);
                is_changed = true;
            }
            TlsContent::TicketKeys(_) => {}
        }
        is_changed
    }

    fn tls_of_pools(&mut self) -> impl Iterator<Item = &mut PoolTls> {
        self.pools.iter_mut().flat_map(Pool::all_tls_mut)
    }

    /// True if a pool trusts the system's authorities.
    pub fn trusts_system(&self) -> bool {
        let mut all = self.pools.iter().filter_map(|pool| pool.tls.as_ref());
        all.any(PoolTls::trusts_system)
    }

    /// Whether each listener of HTTPS can tell its certificates apart.
    ///
    /// # Errors
    /// A sentence with the certificates that clash, and the remedy.
    pub fn check_server_names(&self) -> Result<(), String> {
        let listeners = self.listeners.iter().enumerate();
        for (index, _) in listeners.filter(|(_, one)| one.protocol == Protocol::Https) {
            self.server_names(ListenerIndex(index))
                .map_err(|clash| format!("{}: {}", clash.message(self), clash.remedy()))?;
        }
        Ok(())
    }
}
