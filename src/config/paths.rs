//! The files that a configuration names and that are read later: their paths are relative to the
//! configuration file, in any working directory. Does not: read them.

use super::model::Config;
use super::sections::Probe;
use std::path::{Path, PathBuf};

impl Config {
    /// Resolves every relative `ca`, `ca_file`, `client_certificate`, `client_key`, `client_ca`,
    /// `client_crl`, `backends_file`, `ticket_keys_file`, `chain`, `key`, `ocsp`, `storage` and
    /// `eab_mac_key_file` against the folder of the configuration file. Logs, sockets and the
    /// state file are written, not read: they stay relative to the working directory.
    pub fn resolve_paths(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| *path = folder.join(&path);
        self.tls.ticket_keys_file.iter_mut().for_each(resolve);
        for clients in self.client_certificates_mut() {
            clients.ca.iter_mut().chain(&mut clients.crl).for_each(resolve);
        }
        for acme in &mut self.acme {
            resolve(&mut acme.storage);
            acme.ca.iter_mut().chain(&mut acme.eab_mac_key_file).for_each(resolve);
        }
        for certificate in &mut self.certificates {
            resolve(&mut certificate.chain);
            resolve(&mut certificate.key);
            certificate.ocsp.iter_mut().for_each(resolve);
        }
        for pool in &mut self.pools {
            pool.backends_file.iter_mut().for_each(resolve);
            for tls in pool.all_tls_mut() {
                tls.ca.iter_mut().for_each(resolve);
                tls.client_certificate.iter_mut().for_each(resolve);
                tls.client_key.iter_mut().for_each(resolve);
            }
            let probes = std::iter::once(&mut pool.health).chain(&mut pool.readiness);
            let files =
                probes.filter_map(Probe::own_tls_mut).filter_map(|tls| tls.ca_file.as_mut());
            files.for_each(resolve);
        }
    }
}
