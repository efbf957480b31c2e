//! Whose certificates clients may show: authorities and lists of revoked certificates, from their
//! files, and what is asked of clients by them.
//!
//! Does not: read files.

use super::pem::{FileFault, Section, sections};
use super::trust::Authorities;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::fmt;
use std::sync::Arc;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// A file of which kind, and which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustFile {
    /// One with authorities.
    Authorities(usize),
    /// One with lists of revoked certificates.
    Revoked(usize),
}

/// Why clients' certificates cannot be verified by files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustFault {
    /// The file that is wrong.
    pub file: TrustFile,
    /// What is wrong with it.
    pub fault: FileFault,
}

/// See the module.
pub struct ClientTrust {
    authorities: Authorities,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    /// A list must be replaced by then, seconds since 1970: the earliest time of all. None: there
    /// is no list, or none that says it.
    pub renewed_by: Option<i64>,
}

/// What is asked of clients.
#[derive(Clone)]
pub struct ClientPolicy {
    /// Clients without a certificate are refused.
    pub is_required: bool,
    /// The files that it comes from: what two policies are compared by, so that a file that
    /// changes does not make them differ.
    pub origin: Arc<str>,
    /// Verifies certificates.
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientPolicy {
    /// True if a client that fulfils the other one may not fulfil this one.
    pub(super) fn is_stricter_than(&self, other: &Self) -> bool {
        self.origin != other.origin || (self.is_required && !other.is_required)
    }
}

impl fmt::Debug for ClientPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientPolicy").field("is_required", &self.is_required).finish()
    }
}

impl ClientTrust {
    /// What is in the contents of files with authorities, and of files with lists of revoked
    /// certificates, all of them PEM.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn read(authorities: &[Vec<u8>], revoked: &[Vec<u8>]) -> Result<Self, TrustFault> {
        let mut parts = Vec::new();
        for (at, pem) in authorities.iter().enumerate() {
            let file = TrustFile::Authorities(at);
            parts.push(Authorities::read(pem).map_err(|fault| TrustFault { file, fault })?);
        }
        let authorities = Authorities::joined(parts);
        let (mut lists, mut renewed_by) = (Vec::new(), None);
        for (at, pem) in revoked.iter().enumerate() {
            let file = TrustFile::Revoked(at);
            let read = read_lists(pem).map_err(|fault| TrustFault { file, fault })?;
            for (list, by) in read {
                lists.push(list);
                renewed_by = [renewed_by, by].into_iter().flatten().min();
            }
        }
        Ok(Self { authorities, revoked: lists, renewed_by })
    }

    /// What is asked of clients by it.
    ///
    /// # Errors
    /// A list of revoked certificates is of a kind that is not supported.
    pub fn policy(&self, is_required: bool, origin: &str) -> Result<ClientPolicy, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = self.authorities.store().clone();
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        let builder = match is_required {
            true => builder,
            false => builder.allow_unauthenticated(),
        };
        let builder = builder.with_crls(self.revoked.iter().cloned());
        let verifier = builder.enforce_revocation_expiration().build();
        let verifier = verifier.map_err(|error| error.to_string())?;
        Ok(ClientPolicy { is_required, origin: origin.into(), verifier })
    }
}

impl PartialEq for ClientTrust {
    fn eq(&self, other: &Self) -> bool {
        self.authorities == other.authorities && self.revoked == other.revoked
    }
}

impl Eq for ClientTrust {}

impl fmt::Debug for ClientTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTrust").field("revoked", &self.revoked.len()).finish_non_exhaustive()
    }
}

type List = (CertificateRevocationListDer<'static>, Option<i64>);

fn read_lists(pem: &[u8]) -> Result<Vec<List>, FileFault> {
    if pem.first() == Some(&0x30) {
        let remedy = "convert it: `openssl crl -inform der -in FILE -out crl.pem`";
        return Err(FileFault::of_file("is not PEM, but DER", remedy));
    }
    let sections = sections(pem)?;
    let lists = of_kind(&sections, "X509 CRL");
    let lists: Vec<List> = lists.map(read_list).collect::<Result<_, _>>()?;
    if lists.is_empty() {
        let problem = format!("has a {} and no X509 CRL", sections[0].label);
        let remedy = "give the list of revoked certificates that the authority publishes";
        return Err(FileFault::at(sections[0].line, problem, remedy));
    }
    Ok(lists)
}

fn read_list(section: &Section<'_>) -> Result<List, FileFault> {
    let list: CertificateRevocationListDer<'static> = section.decode()?;
    let (_, parsed) = CertificateRevocationList::from_der(&list).map_err(|error| {
        let problem = format!("has an X509 CRL that cannot be read: {error}");
        FileFault::at(section.line, problem, "copy the file anew: it was changed")
    })?;
    let renewed_by = parsed.next_update().map(|time| time.timestamp());
    Ok((list, renewed_by))
}

fn of_kind<'s, 'p>(
    sections: &'s [Section<'p>],
    label: &'static str,
) -> impl Iterator<Item = &'s Section<'p>> {
    sections.iter().filter(move |section| section.label == label)
}
