//! Whose certificates are accepted of a peer: those that an authority among some vouches for.
//!
//! Does not: read files.

use super::pem::{FileFault, sections};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::sync::Arc;

/// Certificates of authorities. Clones share them.
#[derive(Clone)]
pub struct Authorities(Arc<RootCertStore>);

impl Authorities {
    /// Those in the content of a PEM file.
    ///
    /// # Errors
    /// It has none, or one that cannot be used.
    pub fn read(pem: &[u8]) -> Result<Self, FileFault> {
        let sections = sections(pem)?;
        let mut roots = RootCertStore::empty();
        for section in sections.iter().filter(|section| section.label == "CERTIFICATE") {
            let certificate: CertificateDer<'static> = section.decode()?;
            roots.add(certificate).map_err(|error| {
                let problem = format!("has a CERTIFICATE that cannot be read: {error}");
                FileFault::at(section.line, problem, "copy the file anew: it was changed")
            })?;
        }
        if roots.is_empty() {
            let (label, line) = (sections[0].label, sections[0].line);
            let problem = format!("has a {label} and no CERTIFICATE");
            let remedy = "give the file with the certificates of authorities";
            return Err(FileFault::at(line, problem, remedy));
        }
        Ok(Self(Arc::new(roots)))
    }

    /// Those of a system, which may have some among them that cannot be used: they are left out.
    pub fn of_system(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates);
        Self(Arc::new(roots))
    }

    /// All of these.
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_else(|| Self(Arc::new(RootCertStore::empty())));
        for part in parts {
            Arc::make_mut(&mut all.0).roots.extend(part.0.roots.iter().cloned());
        }
        all
    }

    /// True without one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the library of TLS has them.
    pub fn store(&self) -> &Arc<RootCertStore> {
        &self.0
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.roots == other.0.roots
    }
}

impl Eq for Authorities {}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} authorities", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_read_from_files_and_what_is_wrong_has_its_line() {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).expect("made");
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let two = Authorities::read(format!("{pem}\n{pem}").as_bytes()).expect("both are right");
        assert_eq!(two.store().len(), 2);
        let one = Authorities::read(pem.as_bytes()).expect("it is right");
        assert_eq!(Authorities::joined([one.clone(), one.clone()]), two);
        assert_ne!(one, two);
        let fault = Authorities::read(key.as_bytes()).expect_err("a key is no certificate");
        assert!(fault.problem.contains("PRIVATE KEY and no CERTIFICATE"), "{fault:?}");
        let broken = format!("{pem}{}", pem.replace("MII", "AAA"));
        let fault = Authorities::read(broken.as_bytes()).expect_err("the second one is broken");
        assert_eq!(fault.line, Some(pem.lines().count() + 1), "{fault:?}");
    }
}
