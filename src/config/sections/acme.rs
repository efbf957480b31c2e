//! `[acme.NAME]`: an account with a certification authority that issues by ACME (RFC 8555), and
//! where its certificates are kept. Does not: ask the authority for anything.

use super::names::{Name, Names};
use super::pool_tls::read_authorities;
use crate::config::choices::{AcmeChallenge, AcmeKeyType, AcmeRole};
use crate::config::diagnostics::Report;
use crate::config::keys::kinds::{by_hand, flag, optional, path, paths, shown, text, texts, word};
use crate::config::keys::{Keys, section};
use crate::config::raw::{At, Section};
use crate::config::tls_files::TlsFiles;
use crate::config::values::{check_name, parse_path};
use crate::tls::{Authorities, KeyKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hyper::Uri;
use std::fmt;
use std::path::{Path, PathBuf};

/// The directory of Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Bytes of the longest URL and address of a contact.
const TEXT_BYTES_MAX: usize = 1024;

/// The place of an account in [`crate::config::Config::acme`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AcmeIndex(pub usize);

section! {
    /// `[acme.NAME]`: an account with a certification authority.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Acme {
        /// Unique; letters, digits, `-` and `_`.
        name: String = String::new(),
        /// The URL of the authority's directory.
        directory: String = LETS_ENCRYPT.to_owned() => text(parse_directory),
        /// Addresses that the authority may write to.
        contact: Vec<String> = Vec::new() => texts(parse_contact),
        /// The operator accepts the authority's terms.
        accept_terms_of_service: bool = false => flag(),
        /// The folder of the account and the certificates. Absolute, or relative to the working
        /// directory once loaded.
        storage: PathBuf = PathBuf::new() => by_hand(|path: &PathBuf| shown(path.display())),
        /// Whether this process asks for certificates, or only reads what another one keeps.
        role: AcmeRole = AcmeRole::default() => word(),
        /// How it is shown that the names are this machine's.
        challenge: AcmeChallenge = AcmeChallenge::default() => word(),
        /// The kind of the keys of certificates.
        key_type: AcmeKeyType = AcmeKeyType::default() => word(),
        /// Files of certificates (PEM) that the directory is trusted by; none: the system's.
        ca: Vec<PathBuf> = Vec::new() => paths(),
        /// The identifier of the key that binds the account to one at the authority.
        eab_key_id: Option<String> = None => optional(parse_key_id),
        /// The file with that key.
        eab_mac_key_file: Option<PathBuf> = None => path(parse_path),
        /// The content of `ca`; none without a file.
        authorities: Option<Authorities> = None,
        /// The content of `eab_mac_key_file`.
        eab_mac_key: Option<MacKey> = None,
    }
}

/// A key of an external account binding (RFC 8555, 7.3.4).
#[derive(Clone, PartialEq, Eq)]
pub struct MacKey(Box<[u8]>);

impl MacKey {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key in the content of a file: base64, with the alphabet of URLs or the usual one.
    fn read(content: &[u8]) -> Option<Self> {
        let text = content.trim_ascii();
        let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
        let text = &text[..end];
        let decoded = URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
        decoded.ok().filter(|key| !key.is_empty()).map(|key| Self(key.into()))
    }
}

impl fmt::Debug for MacKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey")
    }
}

impl AcmeKeyType {
    /// The kind of such a key.
    pub fn kind(self) -> KeyKind {
        match self {
            Self::EcdsaP256 => KeyKind::EcdsaP256,
            Self::EcdsaP384 => KeyKind::EcdsaP384,
            Self::Rsa2048 | Self::Rsa4096 => KeyKind::Rsa,
        }
    }
}

impl Acme {
    /// The file of the certificate whose first name is this one, with its key.
    pub fn certificate_file(&self, first_name: &str) -> PathBuf {
        self.storage.join(format!("{first_name}.pem"))
    }

    /// The files of `ca`.
    pub fn authority_files(&self) -> Option<TlsFiles> {
        (!self.ca.is_empty()).then(|| TlsFiles::Authorities(self.ca.clone()))
    }

    fn read(name: &str, mut section: Section<'_>) -> Self {
        let mut acme = Self { name: name.to_owned(), ..Self::default() };
        acme.read_keys(&mut section);
        if let Some(At { value, span }) = section.required_text("storage") {
            let parsed = parse_path(value).and_then(|path| {
                path.ok_or_else(|| "`storage` is empty: name a folder".to_owned())
            });
            acme.storage = section.report().checked(span, parsed).unwrap_or_default();
        }
        if acme.role == AcmeRole::Fetch && !acme.accept_terms_of_service {
            let span = section.key_span("accept_terms_of_service");
            let message = "the authority issues only to those who accept its terms of service";
            let help = "read them, then write `accept_terms_of_service = true`";
            section.report().add_with_help(span, message, help);
        }
        if !acme.ca.is_empty() {
            let read = read_authorities(&acme.ca, &|path| section.load(path));
            acme.authorities = section.report().checked(section.value_span("ca"), read);
        }
        acme.read_binding(&section);
        section.finish();
        acme
    }

    /// The key of an external account binding comes with its identifier.
    fn read_binding(&mut self, section: &Section<'_>) {
        let (id, key) = ("eab_key_id", "eab_mac_key_file");
        match (&self.eab_key_id, &self.eab_mac_key_file) {
            (None, None) => {}
            (Some(_), Some(path)) => {
                let read = section.load(path).and_then(|content| read_mac_key(path, &content));
                self.eab_mac_key = section.report().checked(section.value_span(key), read);
            }
            (given, _) => {
                let (has, lacks) = if given.is_some() { (id, key) } else { (key, id) };
                let message = format!("`{has}` without `{lacks}`");
                let help = "the authority gives both: write both, or none";
                section.report().add_with_help(section.key_span(has), message, help);
            }
        }
    }
}

fn read_mac_key(path: &Path, content: &[u8]) -> Result<MacKey, String> {
    MacKey::read(content).ok_or_else(|| {
        format!(
            "`{}` has no key in base64: give the file with the HMAC key as the authority shows it",
            path.display()
        )
    })
}

/// Reads every account, sorted by name.
pub(super) fn accounts<'d>(mut section: Section<'d>, names: &mut Names<'d>) -> Vec<Acme> {
    let mut read = Vec::new();
    for (name, section) in section.named_sections() {
        section.report().checked(name.span.clone(), check_name(name.value));
        names.push(name.value, name.span.clone());
        read.push(Acme::read(name.value, section));
    }
    read
}

/// Reports accounts that no certificate uses, and folders that two of them have.
pub(super) fn check(report: &Report<'_>, accounts: &[Acme], names: &Names<'_>) {
    for Name { name, span, .. } in names.entries.iter().filter(|one| !one.referred_to) {
        let sample = [("acme", *name)];
        let help =
            format!("add {}, or remove the section", report.table(&["certificate"], &sample));
        report.add_with_help(span.clone(), format!("no certificate has `acme = \"{name}\"`"), help);
    }
    for (at, one) in accounts.iter().enumerate() {
        let other = accounts[..at].iter().find(|other| other.storage == one.storage);
        if let Some(other) = other.filter(|_| !one.storage.as_os_str().is_empty()) {
            let message = format!("[acme.{}] has the same `storage`", other.name);
            let help = "give each a folder of its own";
            report.add_with_help(names.entries[at].span.clone(), message, help);
        }
    }
}

/// The URL of a directory. ACME is spoken over HTTPS alone (RFC 8555, 6.1).
fn parse_directory(text: &str) -> Result<String, String> {
    let uri = text.parse::<Uri>().ok().filter(|_| text.len() <= TEXT_BYTES_MAX);
    let is_right = uri.is_some_and(|uri| {
        let host = uri.host().unwrap_or_default();
        uri.scheme_str() == Some("https") && !host.is_empty() && !text.contains('@')
    });
    match is_right {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{}` is no URL of a directory: write it like \"{LETS_ENCRYPT}\"",
            text.escape_debug()
        )),
    }
}

/// An address for mail, also as a URL.
fn parse_contact(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_byte = |byte: u8| byte.is_ascii_graphic() && !b"?,<>\"".contains(&byte);
    let is_right = address.len() <= TEXT_BYTES_MAX
        && address.bytes().all(is_byte)
        && address.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    match is_right {
        true => Ok(address.to_owned()),
        false => Err(format!(
            "`{}` is no address for mail: write it like \"ops@example.com\"",
            text.escape_debug()
        )),
    }
}

/// The identifier of a key, as the authority gives it.
fn parse_key_id(text: &str) -> Result<Option<String>, String> {
    match text.len() <= TEXT_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok((!text.is_empty()).then(|| text.to_owned())),
        false => Err(format!("`{}` is no identifier of a key", text.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_both_alphabets_with_and_without_padding() {
        let read = |text: &str| MacKey::read(text.as_bytes()).map(|key| key.bytes().to_vec());
        for text in ["-_8", "-_8=", "+/8=\n", " +/8 "] {
            assert_eq!(read(text), Some(vec![0xfb, 0xff]), "{text:?}");
        }
        for text in ["", "=", "a", "not base64!"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn directories_and_contacts_are_what_they_look_like() {
        assert!(parse_directory(LETS_ENCRYPT).is_ok());
        assert!(parse_directory("https://127.0.0.1:14000/dir").is_ok());
        for wrong in ["http://a.test/", "https://", "a.test", "https://me@a.test/", "https://a b/"]
        {
            assert!(parse_directory(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_contact("mailto:a@b.test"), Ok("a@b.test".to_owned()));
        for wrong in ["", "a", "@b.test", "a@", "a b@c.test", "a@b.test,c@d.test"] {
            assert!(parse_contact(wrong).is_err(), "{wrong}");
        }
    }
}
