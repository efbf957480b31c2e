//! `[[pool.NAME.backend]]`: a server, or a name that stands for servers. Its keys exclude each
//! other: they are read and printed by hand.

use super::names::Seen;
use super::pools::Pool;
use crate::config::addresses::parse_service_name;
use crate::config::keys::kinds::{count, number, shown};
use crate::config::printing::PrintedKey;
use crate::config::raw::{At, Section};
use crate::limits::{BACKENDS_MAX, WEIGHT_MAX};
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;

/// `[[pool.NAME.backend]]`: a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// Never port 0.
    pub address: SocketAddr,
    /// Its share relative to the others, `0..=WEIGHT_MAX`; 0: gets nothing.
    pub weight: u32,
}

/// A DNS name in place of a backend's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendName {
    /// The lookup of the name.
    pub lookup: Lookup,
    /// The weight of each address, `0..=WEIGHT_MAX`. For SRV it scales the weights of the records.
    pub weight: u32,
}

/// The lookup of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// A and AAAA records: `address = "app.example.com:8080"`.
    Address {
        /// The name.
        name: String,
        /// The port of every address.
        port: u16,
    },
    /// SRV records, with their ports, priorities and weights: `srv = "_http._tcp.example.com"`.
    Service {
        /// The name.
        name: String,
    },
}

impl Lookup {
    /// The name of each server; none where the answers have others.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Address { name, .. } => Some(name),
            Self::Service { .. } => None,
        }
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { name, port } => write!(f, "{name}:{port}"),
            Self::Service { name } => f.write_str(name),
        }
    }
}

/// An entry of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendEntry {
    /// A server.
    Address(Backend),
    /// A name that stands for servers.
    Name(BackendName),
}

impl Backend {
    pub(super) fn print(&self) -> Vec<PrintedKey> {
        weighted("address", &self.address, self.weight)
    }
}

impl BackendName {
    pub(super) fn print(&self) -> Vec<PrintedKey> {
        let key = match self.lookup {
            Lookup::Address { .. } => "address",
            Lookup::Service { .. } => "srv",
        };
        weighted(key, &self.lookup, self.weight)
    }
}

fn weighted(key: &'static str, value: &dyn fmt::Display, weight: u32) -> Vec<PrintedKey> {
    vec![PrintedKey::new(key, shown(value)), PrintedKey::new("weight", number(weight))]
}

/// Adds the backends of the section of a pool, whose `backends_file` was read before. True if there
/// are only addresses, all of them valid: then the backends of the pool are known. `spans` gets
/// the place of each of `pool.backends`.
pub(super) fn read_into(
    pool: &mut Pool,
    section: &mut Section<'_>,
    name: &At<&str>,
    left: &mut usize,
    spans: &mut Vec<Range<usize>>,
) -> bool {
    let mut sections = section.sections("backend");
    let count = sections.len();
    check_count(section, name, count, left);
    Section::partition(&mut sections, |section| {
        section.peek_text("address").is_some_and(|text| text.parse::<SocketAddr>().is_ok())
    });
    let report = section.report();
    let (mut addresses, mut lookups) = (Seen::new(), Seen::new());
    for section in sections {
        match entry(section) {
            Some((BackendEntry::Address(backend), span)) => {
                let address = backend.address;
                spans.push(span.clone());
                addresses.note(report, address, span, &format!("backend {address} of this pool"));
                pool.backends.push(backend);
            }
            Some((BackendEntry::Name(name), span)) => {
                lookups.note(report, name.lookup.clone(), span, "name in this pool");
                pool.names.push(name);
            }
            None => {}
        }
    }
    let only_addresses = count > 0 && pool.backends.len() == count && !has_file(section);
    if only_addresses && pool.backends.iter().all(|backend| backend.weight == 0) {
        let message = format!("every backend of pool `{}` has weight 0", pool.name);
        report.add_with_help(name.span.clone(), message, "give one a weight of 1 or more");
    }
    only_addresses
}

fn check_count(section: &Section<'_>, pool: &At<&str>, count: usize, left: &mut usize) {
    let report = section.report();
    if count == 0
        && !has_file(section)
        && section.peek_length("backend").is_none_or(|length| length == 0)
    {
        let name = pool.value;
        let sample = [("address", "10.0.0.11:8080")];
        let help = format!("add {}", report.table(&["pool", name, "backend"], &sample));
        let message = format!("pool `{name}` has no backend");
        report.add_with_help(pool.span.clone(), message, help);
    }
    if count > *left {
        let message = format!("too many backends: at most {BACKENDS_MAX} over all pools");
        report.add(pool.span.clone(), message);
    }
    *left = left.saturating_sub(count);
}

/// True if a file may bring more backends, rightly written or not.
fn has_file(section: &Section<'_>) -> bool {
    let key = "backends_file";
    section.has(key) && section.peek_text(key).is_none_or(|file| !file.is_empty())
}

/// A backend with the place of its address or name.
fn entry(mut section: Section<'_>) -> Option<(BackendEntry, Range<usize>)> {
    let report = section.report();
    let (address, service) = (section.text("address"), section.text("srv"));
    let weight = count(0..=WEIGHT_MAX).read(&mut section, "weight").unwrap_or(1);
    let found = match (address, service) {
        (Some(_), Some(service)) => {
            report.add(service.span, "both `address` and `srv`: remove one");
            None
        }
        (Some(At { value, span }), None) => Some((BackendEntry::parse(value, weight), span)),
        (None, Some(At { value, span })) => {
            let lookup = parse_service_name(value).map(|name| Lookup::Service { name });
            let name = lookup.map(|lookup| BackendName { lookup, weight });
            Some((name.map(BackendEntry::Name), span))
        }
        (None, None) => {
            if !section.has("address") && !section.has("srv") {
                report.add(section.span.clone(), "`address` or `srv` is missing here");
            }
            None
        }
    };
    section.finish();
    let (entry, span) = found?;
    Some((report.checked(span.clone(), entry)?, span))
}
