//! Names and unique values, each with its place, so that a problem can point at both. Does not:
//! interpret them.

use crate::config::diagnostics::Report;
use crate::config::raw::At;
use crate::config::units::{closest, listed};
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// Names that a problem lists.
const NAMES_SHOWN_MAX: usize = 8;

/// The values seen so far, with their places.
pub(in crate::config) struct Seen<K>(HashMap<K, Range<usize>>);

impl<K: Hash + Eq> Seen<K> {
    pub(in crate::config) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Notes `key`; reports `what` it is if it is there already.
    pub(in crate::config) fn note(
        &mut self,
        report: &Report<'_>,
        key: K,
        span: Range<usize>,
        what: &str,
    ) {
        match self.0.get(&key) {
            Some(first) => {
                let message = || {
                    let line = report.line_of(first);
                    (format!("duplicate {what}, first on line {line}"), None)
                };
                report.add_lazily(span, message);
            }
            None => drop(self.0.insert(key, span)),
        }
    }
}

/// The names of one kind, each at the index that it has in the configuration, and whether
/// something refers to it.
pub(super) struct Names<'d> {
    kind: &'static str,
    pub(super) entries: Vec<Name<'d>>,
    indexes: HashMap<&'d str, usize>,
    /// There are others, whose names are not known: what cannot be read was reported.
    pub(super) is_partial: bool,
}

pub(super) struct Name<'d> {
    pub(super) name: &'d str,
    pub(super) span: Range<usize>,
    pub(super) referred_to: bool,
}

impl<'d> Names<'d> {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, entries: Vec::new(), indexes: HashMap::new(), is_partial: false }
    }

    pub(super) fn push(&mut self, name: &'d str, span: Range<usize>) {
        self.indexes.entry(name).or_insert(self.entries.len());
        self.entries.push(Name { name, span, referred_to: false });
    }

    /// The index of a name that something refers to.
    pub(super) fn resolve(&mut self, report: &Report<'_>, name: &At<&str>) -> Option<usize> {
        let index = self.position(report, name)?;
        self.entries[index].referred_to = true;
        Some(index)
    }

    /// The index of a name; an unknown one is reported.
    pub(super) fn position(&self, report: &Report<'_>, name: &At<&str>) -> Option<usize> {
        if let Some(&index) = self.indexes.get(name.value) {
            return Some(index);
        }
        if self.is_partial {
            return None;
        }
        report.add_lazily(name.span.clone(), || {
            let message = format!("there is no {} `{}`", self.kind, name.value.escape_debug());
            (message, Some(self.instead_of(name.value)))
        });
        None
    }

    /// The names that can be written in place of an unknown one.
    fn instead_of(&self, name: &str) -> String {
        let known: Vec<&str> = self.entries.iter().map(|entry| entry.name).collect();
        match closest(name, known.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None if known.is_empty() => format!("there is no {} at all", self.kind),
            None => format!("it can be {}", listed(&known[..known.len().min(NAMES_SHOWN_MAX)])),
        }
    }
}
