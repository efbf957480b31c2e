//! `[[pool.NAME.backend]]`: addresses and names.

use super::names::Seen;
use crate::config::addresses::parse_service_name;
use crate::config::backend::{BackendEntry, BackendName, Lookup};
use crate::config::model::Pool;
use crate::config::raw::{At, Section};
use crate::limits::{BACKENDS_MAX, WEIGHT_MAX};
use std::net::SocketAddr;
use std::ops::Range;

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
    let mut weight = 1;
    let (address, service) = (section.text("address"), section.text("srv"));
    section.count_into("weight", &mut weight, 0..=WEIGHT_MAX);
    let (entry, span) = match (address, service) {
        (Some(_), Some(service)) => {
            let message = "both `address` and `srv`: remove one";
            section.report().add(service.span, message);
            (None, 0..0)
        }
        (Some(address), None) => {
            let entry = BackendEntry::parse(address.value, weight);
            (section.report_error(address.span.clone(), entry), address.span)
        }
        (None, Some(service)) => {
            let name = parse_service_name(service.value);
            let name = section.report_error(service.span.clone(), name);
            let lookup = name.map(|name| Lookup::Service { name });
            (lookup.map(|lookup| BackendEntry::Name(BackendName { lookup, weight })), service.span)
        }
        (None, None) => {
            if !section.has("address") && !section.has("srv") {
                let message = "`address` or `srv` is missing here";
                section.report().add(section.span.clone(), message);
            }
            (None, 0..0)
        }
    };
    section.finish();
    entry.map(|entry| (entry, span))
}
