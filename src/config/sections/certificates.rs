//! `[[certificate]]`: what listeners of HTTPS show clients. The files are read with the
//! configuration, and once more when they change. That of a certificate by ACME need not be there
//! yet.

use super::acme::{Acme, AcmeIndex};
use super::client_certificates::ClientCertificates;
use super::listeners::{Listener, Protocols};
use super::names::{Names, Seen};
use crate::config::Loader;
use crate::config::choices::Protocol;
use crate::config::diagnostics::Report;
use crate::config::keys::Keys;
use crate::config::keys::kinds::{flag, path, shown, texts};
use crate::config::model::{Config, ListenerIndex};
use crate::config::printing::{PrintedKey, PrintedSection};
use crate::config::raw::{At, Section, load_named};
use crate::config::server_names::Clash;
use crate::config::tls_files::TlsFiles;
use crate::config::values::parse_path;
use crate::tls::{self, CertificateFault, FileFault, FileOf, Staple, is_server_name};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Value;

/// Most names of a certificate by ACME, as Let's Encrypt has it.
const NAMES_FETCHED_MAX: usize = 100;

/// `[[certificate]]`: a chain of certificates with the key of the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The only listener it counts on; none: all of HTTPS.
    pub listener: Option<ListenerIndex>,
    /// The account that it is fetched with; none: its files are the operator's.
    pub acme: Option<AcmeIndex>,
    /// The file with the certificate and its issuers; absolute, or relative to the working
    /// directory once loaded.
    pub chain: PathBuf,
    /// The file with the key; may be the same, and is with `acme`.
    pub key: PathBuf,
    /// The file with an answer of OCSP that goes with it.
    pub ocsp: Option<PathBuf>,
    /// The content of that file.
    pub staple: Option<Arc<Staple>>,
    /// Names that clients ask for, in lower case, also `*.` and a name; empty: those in the
    /// certificate. With `acme` there is at least one, and no wildcard.
    pub names: Vec<String>,
    /// It is for clients that name no server, or one without a certificate.
    pub is_default: bool,
    /// Whether clients that ask for these names show a certificate, and whose; none: as the
    /// listener has it.
    pub clients: Option<ClientCertificates>,
    /// The content of the files; none with `acme` before it was fetched for the first time.
    pub loaded: Option<Arc<tls::Certificate>>,
}

impl Certificate {
    /// The certificate in these files, for the names in it.
    ///
    /// # Errors
    /// A sentence with the file, what is wrong and the remedy.
    pub fn load(chain: PathBuf, key: PathBuf, load: Loader<'_>) -> Result<Self, String> {
        let loaded = read_files(&chain, &key, &|path| load_named(path, load));
        let loaded = Arc::new(loaded.map_err(|wrong| wrong.to_string())?);
        Ok(Self {
            listener: None,
            acme: None,
            chain,
            key,
            ocsp: None,
            staple: None,
            names: Vec::new(),
            is_default: false,
            clients: None,
            loaded: Some(loaded),
        })
    }

    /// The files that it is read from.
    pub fn files(&self) -> TlsFiles {
        match self.acme {
            Some(_) => TlsFiles::Acme(self.chain.clone()),
            None => TlsFiles::Certificate { chain: self.chain.clone(), key: self.key.clone() },
        }
    }

    /// Its content, if it can answer a client that asks for this name. A certificate of files is
    /// served for the names that the operator gives it; one by ACME is fetched for them, and until
    /// then there is none.
    pub fn answering(&self, name: &str) -> Option<&Arc<tls::Certificate>> {
        let loaded = self.loaded.as_ref()?;
        let is_fit = self.acme.is_none() || loaded.names.iter().any(|own| **own == *name);
        is_fit.then_some(loaded)
    }

    /// The names that it is served for.
    pub fn served_names(&self) -> impl Iterator<Item = &str> {
        let given = self.names.iter().map(String::as_str);
        let own = self.loaded.iter().filter(|_| self.names.is_empty());
        given.chain(own.flat_map(|loaded| &loaded.names).map(|name| &**name))
    }

    /// The file of its answer of OCSP.
    pub fn ocsp_file(&self) -> Option<TlsFiles> {
        self.ocsp.clone().map(TlsFiles::Ocsp)
    }

    pub(in crate::config) fn print(&self, config: &Config, index: usize) -> PrintedSection {
        let mut values = Vec::new();
        if let Some(ListenerIndex(listener)) = self.listener {
            values.push(PrintedKey::new("listener", shown(&config.listeners[listener].name)));
        }
        let names = Value::Array(self.names.iter().map(shown).collect());
        match self.acme {
            Some(AcmeIndex(acme)) => {
                values.push(PrintedKey::new("acme", shown(&config.acme[acme].name)));
            }
            None => {
                values.push(PrintedKey::new("chain", shown(self.chain.display())));
                values.push(PrintedKey::new("key", shown(self.key.display())));
            }
        }
        let ocsp = self.ocsp.as_ref().map_or_else(|| shown(""), |path| shown(path.display()));
        values.push(PrintedKey::new("ocsp", ocsp));
        values.push(PrintedKey::new("names", names));
        values.push(PrintedKey::new("default", Value::Boolean(self.is_default)));
        values.extend(self.clients.iter().flat_map(Keys::print_keys));
        PrintedSection::element("certificate", index, values)
    }
}

/// A file that is wrong, or cannot be read.
pub(in crate::config) struct Wrong {
    pub(super) file: FileOf,
    pub(super) message: String,
    pub(super) remedy: Option<String>,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.remedy.iter().try_for_each(|remedy| write!(f, ": {remedy}"))
    }
}

/// Reads a file. The error is a sentence for the user.
type Read<'r> = &'r dyn Fn(&Path) -> Result<Vec<u8>, String>;

/// The certificate in these files.
pub(in crate::config) fn read_files(
    chain: &Path,
    key: &Path,
    read: Read<'_>,
) -> Result<tls::Certificate, Wrong> {
    let read =
        |path: &Path, file| read(path).map_err(|message| Wrong { file, message, remedy: None });
    let chain_pem = read(chain, FileOf::Chain)?;
    let key_pem = if key == chain { chain_pem.clone() } else { read(key, FileOf::Key)? };
    tls::Certificate::read(&chain_pem, &key_pem).map_err(|CertificateFault { file, fault }| {
        let path = if file == FileOf::Chain { chain } else { key };
        Wrong { file, message: fault.message(&path.display()), remedy: Some(fault.remedy) }
    })
}

/// The answer of OCSP in the content of a file.
///
/// # Errors
/// A sentence with the file, what is wrong and the remedy.
pub fn parse_staple(path: &Path, bytes: &[u8]) -> Result<Staple, String> {
    Staple::read(bytes).map_err(|FileFault { problem, remedy, .. }| {
        format!("`{}` {problem}: {remedy}", path.display())
    })
}

/// The accounts that certificates are fetched with.
pub(super) struct Accounts<'d, 'a> {
    pub(super) names: Names<'d>,
    pub(super) all: &'a [Acme],
}

/// Reads every certificate that can be served, or will be, each with its place.
pub(super) fn certificates<'d>(
    sections: Vec<Section<'d>>,
    listeners: &mut Names<'d>,
    protocols: &Protocols,
    accounts: &mut Accounts<'d, '_>,
) -> Vec<(Certificate, Range<usize>)> {
    let mut seen = Seen::new();
    let mut fetched: Fetched = Fetched::new();
    let read = |mut section: Section<'d>| {
        let listener = listener(&mut section, listeners, protocols);
        let certificate = certificate(&mut section, accounts);
        let span = section.span.clone();
        let report = section.report();
        section.finish();
        let certificate = Certificate { listener: listener?, ..certificate? };
        if !has_own_file(report, &certificate, &span, &mut fetched) {
            return None;
        }
        let key = (certificate.listener, certificate.chain.clone());
        seen.note(report, key, span.clone(), "certificate: the same listener and chain");
        Some((certificate, span))
    };
    sections.into_iter().filter_map(read).collect()
}

/// The listener that it is limited to; none if it is wrong, which was reported.
fn listener<'d>(
    section: &mut Section<'d>,
    listeners: &mut Names<'d>,
    protocols: &Protocols,
) -> Option<Option<ListenerIndex>> {
    let Some(name) = section.text("listener") else {
        return (!section.has("listener")).then_some(None);
    };
    let index = listeners.position(section.report(), &name)?;
    match protocols.get(index).copied().flatten() {
        Some(protocol) if protocol != Protocol::Https => {
            let message =
                format!("listener `{}` has protocol `{protocol}`, and no certificates", name.value);
            let help = "name one of `https`, or remove `listener`";
            section.report().add_with_help(name.span, message, help);
            None
        }
        _ => Some(Some(ListenerIndex(index))),
    }
}

/// By file, the names of certificates that are fetched, and their places.
type Fetched = HashMap<PathBuf, (Vec<String>, Range<usize>)>;

/// Reports a certificate that would be kept in the same file as one for other names.
fn has_own_file(
    report: &Report<'_>,
    certificate: &Certificate,
    span: &Range<usize>,
    fetched: &mut Fetched,
) -> bool {
    if certificate.acme.is_none() {
        return true;
    }
    let own = || (certificate.names.clone(), span.clone());
    let (names, first) = fetched.entry(certificate.chain.clone()).or_insert_with(own);
    let is_own = *names == certificate.names;
    if !is_own {
        let line = report.line_of(first);
        let name = certificate.names.first().map(String::as_str).unwrap_or_default();
        let message = format!(
            "two certificates of one account begin with `{name}`, the first on line {line}"
        );
        let help = "write the same `names` for both, or begin with another name";
        report.add_with_help(span.clone(), message, help);
    }
    is_own
}

/// Where a certificate comes from: an account, or the files of the operator.
struct Place {
    acme: Option<AcmeIndex>,
    chain: PathBuf,
    key: PathBuf,
}

/// The account of a certificate that is fetched, and its file; none if something is wrong, which
/// was reported.
fn fetched_with<'d>(
    section: &mut Section<'d>,
    account: &At<&'d str>,
    names: &[String],
    accounts: &mut Accounts<'d, '_>,
) -> Option<Place> {
    let report = section.report();
    for key in ["chain", "key"].into_iter().filter(|key| section.has(key)) {
        let message = format!("`{key}` beside `acme`: the certificate is fetched");
        let help = "remove one of both";
        report.add_with_help(section.key_span(key), message, help);
    }
    section.allow("chain");
    section.allow("key");
    if !section.has("names") {
        let help = "write them like `names = [\"shop.example.com\"]`";
        let message = "the certificate is fetched for its `names`, and there are none";
        report.add_with_help(section.span.clone(), message, help);
    }
    if let Some(name) = names.iter().find(|name| name.starts_with("*.")) {
        let message = format!(
            "`{name}`: authorities issue for wildcards by the challenge dns-01 alone, which is not \
             there"
        );
        let help = "write each name, or give a certificate by its files";
        report.add_with_help(section.value_span("names"), message, help);
    }
    if let Some(name) = names.get(NAMES_FETCHED_MAX) {
        let message = format!("`{name}` is one too many: at most {NAMES_FETCHED_MAX} names");
        report.add(section.value_span("names"), message);
    }
    let index = accounts.names.resolve(report, account)?;
    // One without a folder was reported.
    let account = accounts.all.get(index).filter(|one| !one.storage.as_os_str().is_empty())?;
    let file = account.certificate_file(names.first()?);
    Some(Place { acme: Some(AcmeIndex(index)), chain: file.clone(), key: file })
}

/// The files of the operator.
fn own_files(section: &mut Section<'_>) -> Option<Place> {
    let chain = section.required_text("chain").map(|chain| PathBuf::from(chain.value));
    let key = match section.text("key") {
        None if section.has("key") => None,
        None => chain.clone(),
        Some(key) => Some(PathBuf::from(key.value)),
    };
    Some(Place { acme: None, chain: chain?, key: key? })
}

/// The certificate without its listener.
fn certificate<'d>(
    section: &mut Section<'d>,
    accounts: &mut Accounts<'d, '_>,
) -> Option<Certificate> {
    let names = texts(parse_server_name).read_or(section, "names", Vec::new());
    let is_default = flag().read_or(section, "default", false);
    let clients = ClientCertificates::read_own(section);
    let ocsp = path(parse_path).read_or(section, "ocsp", None).flatten();
    let staple = ocsp.as_ref().and_then(|path| {
        let read = section.load(path).and_then(|bytes| parse_staple(path, &bytes));
        section.report().checked(section.value_span("ocsp"), read).map(Arc::new)
    });
    let place = match section.text("acme") {
        None if section.has("acme") => None,
        None => own_files(section),
        Some(account) => fetched_with(section, &account, names.as_deref()?, accounts),
    };
    let Place { acme, chain, key } = place?;
    let loaded = match acme {
        Some(_) => {
            let read = section.load_if_present(&chain);
            let read =
                read.and_then(|content| content.map(|pem| parse_fetched(&chain, &pem)).transpose());
            section.report().checked(section.value_span("acme"), read)?
        }
        None => {
            let loaded = read_files(&chain, &key, &|path| section.load(path));
            let loaded = loaded.map_err(|Wrong { file, message, remedy }| {
                let key = if file == FileOf::Key && section.has("key") { "key" } else { "chain" };
                section.report().add_lazily(section.value_span(key), || (message, remedy));
            });
            Some(loaded.ok()?)
        }
    };
    Some(Certificate {
        listener: None,
        acme,
        chain,
        key,
        ocsp,
        staple,
        names: names?,
        is_default: is_default?,
        clients,
        loaded: loaded.map(Arc::new),
    })
}

/// The certificate and its key in the content of a file that was fetched.
///
/// # Errors
/// A sentence with the file, what is wrong and the remedy.
pub fn parse_fetched(path: &Path, pem: &[u8]) -> Result<tls::Certificate, String> {
    tls::Certificate::read(pem, pem).map_err(|CertificateFault { fault, .. }| {
        format!("{}; or remove the file: it is fetched anew", fault.sentence(&path.display()))
    })
}

/// A name that a client may ask for by SNI, or `*.` and a name.
fn parse_server_name(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    if is_server_name(name) {
        return Ok(name.to_owned());
    }
    let shown = text.escape_debug();
    Err(format!(
        "`{shown}` is no name that a client asks for in TLS: write it like \"shop.example.com\" or \
         \"*.example.com\""
    ))
}

/// Reports listeners and certificates that are of no use without each other, and certificates
/// between which no client can choose.
pub(super) fn check(
    report: &Report<'_>,
    config: &Config,
    listeners: &Names<'_>,
    spans: &[Range<usize>],
) {
    let mut is_served = vec![false; spans.len()];
    let of_https = config.listeners.iter().enumerate();
    let of_https = of_https.filter(|(_, listener)| listener.protocol == Protocol::Https);
    for (index, listener) in of_https {
        match config.server_names(ListenerIndex(index)) {
            Err(clash) => return report_clash(report, config, &clash, spans),
            Ok(names) => {
                let served = names.by_name.values().chain([&names.default]).flatten();
                let count = served.map(|place| is_served[*place] = true).count();
                if count == 0 {
                    let message =
                        format!("listener `{}` of HTTPS has no certificate", listener.name);
                    let sample = [("chain", "fullchain.pem"), ("key", "key.pem")];
                    let help = format!("add {}", report.table(&["certificate"], &sample));
                    report.add_with_help(listeners.entries[index].span.clone(), message, help);
                }
            }
        }
    }
    let unserved = config.certificates.iter().zip(spans).zip(is_served);
    for ((certificate, span), _) in unserved.filter(|(_, is_served)| !is_served) {
        report.add_lazily(span.clone(), || unserved_words(config, certificate));
    }
}

fn report_clash(report: &Report<'_>, config: &Config, clash: &Clash, spans: &[Range<usize>]) {
    let [first, second] = clash.places;
    let line = report.line_of(&spans[first]);
    let message = format!("{}, the first on line {line}", clash.message(config));
    report.add_with_help(spans[second].clone(), message, clash.remedy());
}

/// Why a certificate is never served, and what to do.
fn unserved_words(config: &Config, certificate: &Certificate) -> (String, Option<String>) {
    let is_https = |listener: &Listener| listener.protocol == Protocol::Https;
    if !config.listeners.iter().any(is_https) {
        let message = "no listener has protocol `https`: this certificate is never served";
        let help = "set `protocol = \"https\"` of the listener, or remove the certificate";
        return (message.to_owned(), Some(help.to_owned()));
    }
    if certificate.served_names().next().is_none() {
        let message = "the certificate has no DNS name, and no client can ask for it";
        let help = "write the `names` that clients ask for, or `default = true`";
        return (message.to_owned(), Some(help.to_owned()));
    }
    let message = "never served: every listener has certificates of its own for these names";
    (message.to_owned(), Some("remove it".to_owned()))
}
