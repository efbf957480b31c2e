//! `client_certificate`, `client_ca` and `client_crl` of a listener or of `[[certificate]]`:
//! whether clients show a certificate, and whose. The files are read with the configuration, and
//! once more when they change.

use crate::config::Loader;
use crate::config::choices::{Choice, ClientCertificate};
use crate::config::keys::kinds::{paths, word};
use crate::config::keys::{Keys, keys};
use crate::config::raw::{Section, load_named};
use crate::config::tls_files::TlsFiles;
use crate::tls::{ClientPolicy, ClientTrust, FileFault, TrustFault, TrustFile};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether clients are asked for one.
    pub mode: ClientCertificate,
    /// Files with the authorities that may have issued it, absolute, or relative to the working
    /// directory once loaded.
    pub ca: Vec<PathBuf>,
    /// Files with lists of revoked certificates, the same.
    pub crl: Vec<PathBuf>,
    /// The content of the files; none if clients are not asked.
    pub loaded: Option<Arc<ClientTrust>>,
}

keys! {
    ClientCertificates {
        client_certificate: mode => word(),
        client_ca: ca => paths(),
        client_crl: crl => paths(),
    }
}

/// A file that is wrong, or cannot be read.
struct Wrong {
    key: &'static str,
    message: String,
    remedy: Option<String>,
}

impl ClientCertificates {
    /// The keys.
    pub(super) const KEYS: [&'static str; 3] = ["client_certificate", "client_ca", "client_crl"];

    /// What a section has of it; none if it has none of its keys.
    pub(super) fn read_own(section: &mut Section<'_>) -> Option<Self> {
        if !Self::KEYS.iter().any(|key| section.has(key)) {
            return None;
        }
        let mut own = Self::default();
        own.read_keys(section);
        own.load(section);
        Some(own)
    }

    /// Reads the files, and reports what is wrong.
    pub(super) fn load(&mut self, section: &Section<'_>) {
        let report = section.report();
        if self.mode == ClientCertificate::None {
            // A wrong word was reported.
            let is_known = section.peek_text(Self::KEYS[0]).map(ClientCertificate::of_word);
            let set = [(Self::KEYS[1], &self.ca), (Self::KEYS[2], &self.crl)];
            let is_unused = |(_, files): &(_, &Vec<PathBuf>)| !files.is_empty();
            if let Some((key, _)) = set.into_iter().find(is_unused)
                && is_known != Some(None)
            {
                let message = format!("`{key}` is of no use without `client_certificate`");
                let help = "set `client_certificate = \"required\"`, or \"optional\"";
                report.add_with_help(section.key_span(key), message, help);
            }
            return;
        }
        if self.ca.is_empty() {
            if !section.has(Self::KEYS[1]) || section.peek_length(Self::KEYS[1]) == Some(0) {
                let message = "clients are asked for a certificate, and no authority is trusted";
                let help = "set `client_ca = [\"FILE\"]`, the authority that issues theirs";
                report.add_with_help(section.value_span(Self::KEYS[0]), message, help);
            }
            return;
        }
        match read_files(&self.ca, &self.crl, &|path| section.load(path)) {
            Ok(trust) => self.loaded = Some(Arc::new(trust)),
            Err(Wrong { key, message, remedy }) => {
                report.add_lazily(section.value_span(key), || (message, remedy));
            }
        }
    }

    /// The files that it is read from, if there are some.
    pub fn files(&self) -> Option<TlsFiles> {
        let (ca, crl) = (self.ca.clone(), self.crl.clone());
        (self.mode != ClientCertificate::None).then_some(TlsFiles::ClientTrust { ca, crl })
    }

    /// What is asked of clients; none: no certificate.
    ///
    /// # Panics
    /// If the files were not read, which a checked configuration excludes: clients are never asked
    /// for less than what is configured.
    pub fn policy(&self) -> Option<ClientPolicy> {
        let paths = |paths: &[PathBuf]| -> String {
            paths.iter().map(|path| format!("{}\n", path.display())).collect()
        };
        let origin = format!("{}\n{}", paths(&self.ca), paths(&self.crl));
        let is_required = match self.mode {
            ClientCertificate::None => return None,
            ClientCertificate::Optional => false,
            ClientCertificate::Required => true,
        };
        let loaded = self.loaded.as_ref().expect("the files of a checked configuration were read");
        let policy = loaded.policy(is_required, &origin);
        Some(policy.expect("one was made when the files were read"))
    }
}

/// What is in files with authorities and with lists of revoked certificates.
///
/// # Errors
/// A sentence with the file, what is wrong and the remedy.
pub fn load_trust(
    ca: &[PathBuf],
    crl: &[PathBuf],
    load: Loader<'_>,
) -> Result<ClientTrust, String> {
    read_files(ca, crl, &|path| load_named(path, load)).map_err(|wrong| match wrong.remedy {
        Some(remedy) => format!("{}: {remedy}", wrong.message),
        None => wrong.message,
    })
}

fn read_files(
    ca: &[PathBuf],
    crl: &[PathBuf],
    read: &dyn Fn(&Path) -> Result<Vec<u8>, String>,
) -> Result<ClientTrust, Wrong> {
    let [_, of_ca, of_crl] = ClientCertificates::KEYS;
    let read = |paths: &[PathBuf], key| -> Result<Vec<Vec<u8>>, Wrong> {
        let read =
            |path: &PathBuf| read(path).map_err(|message| Wrong { key, message, remedy: None });
        paths.iter().map(read).collect()
    };
    let (authorities, revoked) = (read(ca, of_ca)?, read(crl, of_crl)?);
    let trust = ClientTrust::read(&authorities, &revoked).map_err(|wrong| {
        let TrustFault { file, fault: FileFault { line, problem, remedy } } = wrong;
        let (key, path) = match file {
            TrustFile::Authorities(at) => (of_ca, &ca[at]),
            TrustFile::Revoked(at) => (of_crl, &crl[at]),
        };
        let line = line.map(|line| format!(", line {line},")).unwrap_or_default();
        let message = format!("`{}`{line} {problem}", path.display());
        Wrong { key, message, remedy: Some(remedy) }
    })?;
    let unsupported = |error| Wrong {
        key: of_crl,
        message: format!("a list of revoked certificates cannot be used: {error}"),
        remedy: Some("give complete ones of the authorities in `client_ca`".to_owned()),
    };
    trust.policy(true, "").map_err(unsupported)?;
    Ok(trust)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "were read")]
    fn clients_that_must_be_asked_are_never_let_in_unasked() {
        let mode = ClientCertificate::Required;
        drop(ClientCertificates { mode, ..ClientCertificates::default() }.policy());
    }

    #[test]
    fn clients_that_need_not_be_asked_are_not() {
        assert!(ClientCertificates::default().policy().is_none());
    }
}
