//! A certificate with its chain and key, from their files: checked to fit together, and what it
//! says of itself. What clients may not accept is a remark; only what cannot be served is an error.
//!
//! Does not: read files, or compare dates with the time.

use super::pem::{FileFault, Section, sections};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use std::fmt;
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

/// The kind of a key, by what clients verify its signatures with. Of several certificates for a
/// name, the first kind that the client supports is served: the cheaper signature for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// ECDSA on P-256.
    EcdsaP256,
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-384.
    EcdsaP384,
    /// ECDSA on P-521.
    EcdsaP521,
    /// RSA.
    Rsa,
    /// Another one that the library of TLS can sign with.
    Other,
}

impl KeyKind {
    fn of(key: &dyn SigningKey) -> Self {
        let kinds = [
            (Self::EcdsaP256, SignatureScheme::ECDSA_NISTP256_SHA256),
            (Self::Ed25519, SignatureScheme::ED25519),
            (Self::EcdsaP384, SignatureScheme::ECDSA_NISTP384_SHA384),
            (Self::EcdsaP521, SignatureScheme::ECDSA_NISTP521_SHA512),
            (Self::Rsa, SignatureScheme::RSA_PSS_SHA256),
        ];
        let signs = |scheme: SignatureScheme| key.choose_scheme(&[scheme]).is_some();
        kinds.into_iter().find(|(_, scheme)| signs(*scheme)).map_or(Self::Other, |(kind, _)| kind)
    }

    /// Its name for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::EcdsaP521 => "ECDSA P-521",
            Self::Rsa => "RSA",
            Self::Other => "other",
        }
    }
}

/// The file that a fault is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOf {
    /// The certificate and its issuers.
    Chain,
    /// The private key.
    Key,
}

/// Why a certificate cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFault {
    /// The file that is wrong.
    pub file: FileOf,
    /// What is wrong with it.
    pub fault: FileFault,
}

/// See the module.
pub struct Certificate {
    /// The chain, its own certificate first, with its key.
    pub served: Arc<CertifiedKey>,
    /// Its DNS names, in lower case, also `*.` and a name.
    pub names: Vec<Box<str>>,
    /// The kind of its key.
    pub kind: KeyKind,
    /// Its subject, for people.
    pub subject: String,
    /// Its issuer, for people.
    pub issuer: String,
    /// It is valid from then on, seconds since 1970.
    pub begins: i64,
    /// It is valid until then, seconds since 1970.
    pub ends: i64,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// Its serial number, as it is encoded.
    pub(super) serial: Vec<u8>,
    /// What clients may not accept.
    pub remarks: Vec<String>,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.served.cert == other.served.cert && self.served.ocsp == other.served.ocsp
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Certificate {
    /// The certificate in the content of a file with its chain and one with its key, both PEM. It
    /// may be the same file.
    ///
    /// # Errors
    /// It cannot be served.
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Self, CertificateFault> {
        let in_chain = |fault| CertificateFault { file: FileOf::Chain, fault };
        let chain = read_chain(chain).map_err(in_chain)?;
        let key = read_key(key).map_err(|fault| CertificateFault { file: FileOf::Key, fault })?;
        let parsed: Result<Vec<_>, _> = chain.iter().map(parse).collect();
        let parsed = parsed.map_err(in_chain)?;
        check_key(&chain, &parsed, &*key)?;
        let kind = KeyKind::of(&*key);
        let own = &parsed[0];
        let names = names_of(own);
        let mut remarks = remarks_on_names(own, &names);
        remarks.extend(remarks_on_use(own));
        remarks.extend(remarks_on_chain(&chain, &parsed));
        let validity = own.validity();
        Ok(Self {
            names: names.into_iter().filter(|name| is_server_name(name)).collect(),
            kind,
            subject: own.subject().to_string(),
            issuer: own.issuer().to_string(),
            begins: validity.not_before.timestamp(),
            ends: validity.not_after.timestamp(),
            fingerprint: sha256(&chain[0].der),
            serial: own.raw_serial().to_vec(),
            remarks,
            served: Arc::new(CertifiedKey::new(
                chain.iter().map(|one| one.der.clone().into_owned()).collect(),
                key,
            )),
        })
    }

    /// The fingerprint in hexadecimal digits.
    pub fn fingerprint_text(&self) -> String {
        hex(&self.fingerprint)
    }
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One certificate of a chain, and the line where it begins.
struct Link {
    der: CertificateDer<'static>,
    line: usize,
}

fn read_chain(pem: &[u8]) -> Result<Vec<Link>, FileFault> {
    let sections = sections(pem)?;
    let certificates = sections.iter().filter(|section| section.label == "CERTIFICATE");
    let read = |section: &Section<'_>| Ok(Link { der: section.decode()?, line: section.line });
    let chain: Vec<Link> = certificates.map(read).collect::<Result<_, _>>()?;
    if chain.is_empty() {
        let (label, line) = (sections[0].label, sections[0].line);
        let remedy = match label {
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
                "this is what is sent to a certification authority: give the file that it answers \
                 with"
            }
            "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => {
                "convert it: `openssl x509 -in FILE -out chain.pem`"
            }
            _ => "give the file with \"-----BEGIN CERTIFICATE-----\"",
        };
        return Err(FileFault::at(line, format!("has a {label} and no CERTIFICATE"), remedy));
    }
    Ok(chain)
}

fn read_key(pem: &[u8]) -> Result<Arc<dyn SigningKey>, FileFault> {
    let sections = sections(pem)?;
    let is_key = |section: &&Section<'_>| section.label.ends_with("PRIVATE KEY");
    let keys: Vec<&Section<'_>> = sections.iter().filter(is_key).collect();
    let key = match keys[..] {
        [key] => key,
        [] => {
            let (label, line) = (sections[0].label, sections[0].line);
            let remedy = "give the file with \"-----BEGIN PRIVATE KEY-----\"";
            return Err(FileFault::at(line, format!("has a {label} and no private key"), remedy));
        }
        [_, second, ..] => {
            let problem = format!("has {} private keys", keys.len());
            return Err(FileFault::at(second.line, problem, "leave the one that fits the chain"));
        }
    };
    if key.label == "ENCRYPTED PRIVATE KEY" || key.has_header("Proc-Type: 4,ENCRYPTED") {
        let remedy =
            "decrypt it: `openssl pkey -in FILE -out key.pem`, and let nobody else read it";
        return Err(FileFault::at(key.line, "has an encrypted key", remedy));
    }
    let der: PrivateKeyDer<'static> = key.decode()?;
    any_supported_type(&der).map_err(|_| {
        let remedy = "give one of RSA with 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or \
                      Ed25519";
        FileFault::at(key.line, "has a private key of another kind or size", remedy)
    })
}

fn parse(link: &Link) -> Result<X509Certificate<'_>, FileFault> {
    let parsed = X509Certificate::from_der(&link.der);
    parsed.map(|(_, certificate)| certificate).map_err(|error| {
        let problem = format!("has a CERTIFICATE that cannot be read: {error}");
        FileFault::at(link.line, problem, "copy the file anew: it was changed")
    })
}

/// The first certificate of a chain must be that of the key.
fn check_key(
    chain: &[Link],
    parsed: &[X509Certificate<'_>],
    key: &dyn SigningKey,
) -> Result<(), CertificateFault> {
    let public = key.public_key();
    let fits = |certificate: &X509Certificate<'_>| {
        public.as_ref().is_some_and(|public| public.as_ref() == certificate.public_key().raw)
    };
    if fits(&parsed[0]) {
        return Ok(());
    }
    Err(match parsed.iter().position(fits) {
        Some(at) => {
            let problem = "has the certificate of the key behind its issuer's";
            let remedy = "put it first, then the one that has issued it, and so on";
            let fault = FileFault::at(chain[at].line, problem, remedy);
            CertificateFault { file: FileOf::Chain, fault }
        }
        None => {
            let problem = format!("does not fit the certificate of `{}`", parsed[0].subject());
            let fault = FileFault::of_file(problem, "give the key that it was requested with");
            CertificateFault { file: FileOf::Key, fault }
        }
    })
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|found| &found.value.general_names);
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        _ => None,
    };
    names.filter_map(name).collect()
}

/// True for a name in lower case that clients can ask for, or `*.` and such a name.
pub fn is_server_name(name: &str) -> bool {
    let parent = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        let is_byte = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
        };
        (1..=63).contains(&label.len()) && label.bytes().all(is_byte)
    };
    let is_address = parent.parse::<std::net::Ipv4Addr>().is_ok();
    name.len() <= 253 && !is_address && parent.split('.').all(is_label)
}

fn remarks_on_names(certificate: &X509Certificate<'_>, names: &[Box<str>]) -> Vec<String> {
    if certificate.subject_alternative_name().ok().flatten().is_none() {
        return vec!["it has no subjectAltName, and clients look at no other name".to_owned()];
    }
    let odd = names.iter().filter(|name| !is_server_name(name));
    odd.map(|name| format!("its name `{}` is not used", name.escape_debug())).collect()
}

fn remarks_on_use(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    if certificate.is_ca() {
        remarks.push("it is that of a certification authority (CA:TRUE)".to_owned());
    }
    let usage = certificate.extended_key_usage().ok().flatten();
    if usage.is_some_and(|usage| !(usage.value.server_auth || usage.value.any)) {
        remarks.push("it is not for servers (extendedKeyUsage has no serverAuth)".to_owned());
    }
    remarks
}

fn remarks_on_chain(chain: &[Link], parsed: &[X509Certificate<'_>]) -> Vec<String> {
    let mut remarks = Vec::new();
    for (at, pair) in parsed.windows(2).enumerate() {
        let [before, issuer] = pair else { continue };
        if before.issuer().as_raw() != issuer.subject().as_raw() {
            remarks.push(format!(
                "the certificate on line {} of its file has not issued the one before it, whose \
                 issuer is `{}`",
                chain[at + 1].line,
                before.issuer()
            ));
        }
    }
    if let [alone] = parsed
        && alone.issuer().as_raw() != alone.subject().as_raw()
        && has_issuers_address(alone)
    {
        remarks.push(
            "its issuer's certificate is not in the chain, and many clients do not fetch it: give \
             the file with the whole chain (fullchain.pem)"
                .to_owned(),
        );
    }
    remarks
}

/// True for a certificate that says where its issuer's is: that of a public authority, with an
/// intermediate one.
fn has_issuers_address(certificate: &X509Certificate<'_>) -> bool {
    let access = certificate.extensions().iter().find_map(|one| match one.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(access),
        _ => None,
    });
    // id-ad-caIssuers (RFC 5280, 4.2.2.1).
    access.is_some_and(|access| {
        access.iter().any(|one| one.access_method.to_id_string() == "1.3.6.1.5.5.7.48.2")
    })
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
