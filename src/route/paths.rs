//! Path prefixes of one host: sorted so that longer ones below a prefix follow it directly, each
//! linked to the next shorter one. The longest match of a path is the last prefix that is not
//! after it in that order, or one that this is linked to.

use std::cmp::Ordering;

#[derive(Clone, Debug)]
pub(super) struct Paths<T> {
    prefixes: Box<[Prefix<T>]>,
}

#[derive(Clone, Debug)]
struct Prefix<T> {
    /// Without a `/` at its end: `/` is held as nothing.
    path: Box<[u8]>,
    /// The longest prefix that this one is below.
    above: Option<u32>,
    target: T,
}

impl<T: Copy> Paths<T> {
    /// Of equal paths the first one counts.
    pub(super) fn new(routes: Vec<(&str, T)>) -> Self {
        let mut prefixes: Vec<Prefix<T>> = routes
            .into_iter()
            .map(|(path, target)| Prefix {
                path: path.strip_suffix('/').unwrap_or(path).as_bytes().into(),
                above: None,
                target,
            })
            .collect();
        prefixes.sort_by(|a, b| in_segment_order(&a.path, &b.path));
        prefixes.dedup_by(|later, first| later.path == first.path);
        for index in 1..prefixes.len() {
            let previous = Some(index as u32 - 1);
            prefixes[index].above = walk_up(&prefixes, previous, &prefixes[index].path);
        }
        Self { prefixes: prefixes.into() }
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = T> {
        self.prefixes.iter().map(|prefix| prefix.target)
    }

    /// The target of the first of these names that is a path of its own, or else that of `/`.
    pub(super) fn offered<'n>(&self, mut names: impl Iterator<Item = &'n [u8]>) -> Option<T> {
        names.find_map(|name| self.named(name)).or_else(|| self.longest(b"/"))
    }

    /// The target of the path `/name`.
    fn named(&self, name: &[u8]) -> Option<T> {
        let index = self.prefixes.partition_point(|prefix| {
            let known = prefix.path.strip_prefix(b"/");
            known.is_none_or(|known| in_segment_order(known, name) == Ordering::Less)
        });
        let found = self.prefixes.get(index)?;
        (found.path.strip_prefix(b"/") == Some(name)).then_some(found.target)
    }

    /// The target of the longest prefix of `path`.
    pub(super) fn longest(&self, path: &[u8]) -> Option<T> {
        let after = self
            .prefixes
            .partition_point(|prefix| in_segment_order(&prefix.path, path) != Ordering::Greater);
        let last = after.checked_sub(1).map(|index| index as u32);
        walk_up(&self.prefixes, last, path).map(|index| self.prefixes[index as usize].target)
    }
}

/// The first of `start` and those it is linked to that `path` is below.
fn walk_up<T>(prefixes: &[Prefix<T>], start: Option<u32>, path: &[u8]) -> Option<u32> {
    let mut next = start;
    while let Some(index) = next {
        let prefix = &prefixes[index as usize];
        if is_below(path, &prefix.path) {
            return next;
        }
        next = prefix.above;
    }
    None
}

fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    // An empty boxed slice points nowhere, and comparing no bytes there costs 80 ns on CPUs whose
    // `memcmp` uses masked loads: the suppressed fault goes through microcode.
    prefix.is_empty()
        || path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
}

/// Byte order with `/` before every other byte.
fn in_segment_order(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    match a.iter().zip(b).find(|(x, y)| x != y) {
        Some((x, y)) => rank(x).cmp(&rank(y)),
        None => a.len().cmp(&b.len()),
    }
}
