//! Hosts by hash. One pass over a host from its end gives the hash of each of its endings, so
//! that every wildcard it is under costs one lookup and the letters are lowered on the way.

use super::pattern::{HOST_BYTES_MAX, HostPattern};
use std::collections::BTreeSet;

const EMPTY: u32 = u32::MAX;

/// The hosts of a table, each once. [`HostPattern::Any`] and [`HostPattern::Unnamed`] are not among
/// them.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    /// Open addressing over `entries`; its length is a power of two, at most half of it in use.
    buckets: Box<[u32]>,
    entries: Box<[Entry]>,
    has_wildcards: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    hash: u64,
    /// In lower case; a wildcard is held with its leading dot, as `.example.com`.
    name: Box<[u8]>,
    /// The longest wildcard that is less specific.
    less_specific: Option<u32>,
}

/// FNV-1a, fed from the last byte to the first.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    const START: Self = Self(0xcbf2_9ce4_8422_2325);

    fn push(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    }

    fn of(name: &[u8]) -> u64 {
        let mut hash = Self::START;
        name.iter().rev().for_each(|byte| hash.push(*byte));
        hash.0
    }
}

/// How the pattern is held in an [`Entry`]; none if it has no name.
fn entry_name(pattern: &HostPattern) -> Option<Box<[u8]>> {
    match pattern {
        HostPattern::Any | HostPattern::Unnamed => None,
        HostPattern::Exact(name) => Some(name.to_ascii_lowercase().into_bytes().into()),
        HostPattern::Below(parent) => {
            Some(format!(".{}", parent.to_ascii_lowercase()).into_bytes().into())
        }
    }
}

impl Hosts {
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a HostPattern>) -> Self {
        let names: BTreeSet<Box<[u8]>> = patterns.filter_map(entry_name).collect();
        let has_wildcards = names.iter().any(|name| name[0] == b'.');
        let entries: Box<[Entry]> = names
            .into_iter()
            .map(|name| Entry { hash: Hash::of(&name), name, less_specific: None })
            .collect();
        let mut hosts = Self { buckets: bucketed(&entries), entries, has_wildcards };
        for index in 0..hosts.entries.len() {
            let wider = hosts.longest_wildcard(&hosts.entries[index].name);
            hosts.entries[index].less_specific = wider.map(|wider| wider as u32);
        }
        hosts
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The place of a pattern that the table was made with; none if it has no name.
    pub(super) fn index_of(&self, pattern: &HostPattern) -> Option<usize> {
        let name = entry_name(pattern)?;
        self.find(Hash::of(&name), &name)
    }

    /// The exact entry or, failing that, the longest wildcard for a host as sent.
    pub(super) fn most_specific(&self, host: &[u8]) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let host = bare(host);
        if host.is_empty() || host.len() > HOST_BYTES_MAX {
            return None;
        }
        if !self.has_wildcards {
            return self.find(Hash::of(host), host);
        }
        let (whole, wildcard) = self.walk(host);
        // A host that begins with a dot is no name, but would be found as the wildcard itself.
        let exact = if host[0] == b'.' { None } else { self.find(whole, host) };
        exact.or(wildcard)
    }

    /// The longest wildcard less specific than an entry.
    pub(super) fn less_specific(&self, index: usize) -> Option<usize> {
        self.entries[index].less_specific.map(|wider| wider as usize)
    }

    fn longest_wildcard(&self, name: &[u8]) -> Option<usize> {
        self.walk(name).1
    }

    /// The hash of the whole name, and the longest wildcard it is under. The dot must not be the
    /// first byte: a wildcard stands for at least one label, and not for itself.
    fn walk(&self, name: &[u8]) -> (u64, Option<usize>) {
        let mut hash = Hash::START;
        let mut wildcard = None;
        for (at, byte) in name.iter().enumerate().rev() {
            hash.push(*byte);
            if *byte == b'.' && at > 0 {
                wildcard = self.find(hash.0, &name[at..]).or(wildcard);
            }
        }
        (hash.0, wildcard)
    }

    fn find(&self, hash: u64, name: &[u8]) -> Option<usize> {
        let mask = self.buckets.len().wrapping_sub(1);
        let mut bucket = first_bucket(hash) & mask;
        loop {
            let index = *self.buckets.get(bucket)?;
            if index == EMPTY {
                return None;
            }
            let entry = &self.entries[index as usize];
            if entry.hash == hash && entry.name.eq_ignore_ascii_case(name) {
                return Some(index as usize);
            }
            bucket = (bucket + 1) & mask;
        }
    }
}

/// The low bits of FNV are its weakest: fold the high ones in.
fn first_bucket(hash: u64) -> usize {
    (hash ^ (hash >> 32)) as usize
}

fn bucketed(entries: &[Entry]) -> Box<[u32]> {
    if entries.is_empty() {
        return Box::default();
    }
    let mut buckets = vec![EMPTY; (entries.len() * 2).next_power_of_two()].into_boxed_slice();
    let mask = buckets.len() - 1;
    for (index, entry) in entries.iter().enumerate() {
        let mut bucket = first_bucket(entry.hash) & mask;
        while buckets[bucket] != EMPTY {
            bucket = (bucket + 1) & mask;
        }
        buckets[bucket] = index as u32;
    }
    buckets
}

/// The host without port and without the dot at its end. An IPv6 address keeps its brackets.
fn bare(host: &[u8]) -> &[u8] {
    let digits = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = host[..host.len() - digits].strip_suffix(b":").unwrap_or(host);
    name.strip_suffix(b".").unwrap_or(name)
}
