//! Which pool a request goes to, by host and path. Pure.
//!
//! The most specific route wins: an exact host before a wildcard, a longer wildcard before a
//! shorter one, both before routes for any host; among routes of one host the longest path. If no
//! path of a host matches, the next less specific host is tried.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What a route asks of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern<'a> {
    /// `www.example.com`, `*.example.com` (any name below, not the domain itself), or none for any.
    pub host: Option<&'a str>,
    /// A path and everything below it: `/a` is for `/a` and `/a/b`, not for `/ab`.
    pub path: &'a str,
}

/// Routes to targets of type `T`.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    exact: HashMap<Box<[u8]>, Paths<T>, BuildHasherDefault<Fnv>>,
    /// Keys begin with the dot: `.example.com`.
    wildcard: HashMap<Box<[u8]>, Paths<T>, BuildHasherDefault<Fnv>>,
    any: Paths<T>,
}

/// Paths of one host, longest first.
type Paths<T> = Vec<(Box<[u8]>, T)>;

/// Longest host name (RFC 1035 §2.3.4), with room for a trailing dot.
const HOST_BYTES_MAX: usize = 256;

impl<T: Copy> RouteTable<T> {
    /// A table of these routes.
    pub fn new<'a>(routes: impl IntoIterator<Item = (Pattern<'a>, T)>) -> Self {
        let mut table =
            Self { exact: HashMap::default(), wildcard: HashMap::default(), any: Vec::new() };
        for (pattern, target) in routes {
            let path = pattern.path.trim_end_matches('/').as_bytes().into();
            table.paths_of(pattern.host).push((path, target));
        }
        let hosts = table.exact.values_mut().chain(table.wildcard.values_mut());
        for paths in hosts.chain([&mut table.any]) {
            paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        }
        table
    }

    fn paths_of(&mut self, host: Option<&str>) -> &mut Paths<T> {
        let Some(host) = host else { return &mut self.any };
        let host = host.to_ascii_lowercase();
        match host.strip_prefix('*') {
            Some(suffix) => self.wildcard.entry(suffix.as_bytes().into()).or_default(),
            None => self.exact.entry(host.as_bytes().into()).or_default(),
        }
    }

    /// The target for a host as a client sent it, with or without port and in any case, and a
    /// path without query. Does not allocate.
    pub fn lookup(&self, host: &[u8], path: &[u8]) -> Option<T> {
        if !self.exact.is_empty() || !self.wildcard.is_empty() {
            let mut room = [0; HOST_BYTES_MAX];
            let host = normalised(host, &mut room);
            let exact = self.exact.get(host).and_then(|paths| find(paths, path));
            if let Some(target) = exact.or_else(|| self.lookup_wildcard(host, path)) {
                return Some(target);
            }
        }
        find(&self.any, path)
    }

    fn lookup_wildcard(&self, host: &[u8], path: &[u8]) -> Option<T> {
        if self.wildcard.is_empty() {
            return None;
        }
        let dots = memchr::memchr_iter(b'.', host).filter(|at| *at > 0);
        dots.filter_map(|at| self.wildcard.get(&host[at..])).find_map(|paths| find(paths, path))
    }
}

fn find<T: Copy>(paths: &Paths<T>, path: &[u8]) -> Option<T> {
    let matches = |prefix: &[u8]| {
        path.strip_prefix(prefix).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
            || prefix.is_empty()
    };
    paths.iter().find(|(prefix, _)| matches(prefix)).map(|(_, target)| *target)
}

/// The host in lower case, without port and trailing dot. One that is too long matches nothing.
fn normalised<'r>(host: &[u8], room: &'r mut [u8; HOST_BYTES_MAX]) -> &'r [u8] {
    let end = match host.first() {
        Some(b'[') => memchr::memchr(b']', host).map_or(host.len(), |at| at + 1),
        _ => memchr::memchr(b':', host).unwrap_or(host.len()),
    };
    let name = host[..end].strip_suffix(b".").unwrap_or(&host[..end]);
    let Some(place) = room.get_mut(..name.len()) else { return b"" };
    place.copy_from_slice(name);
    place.make_ascii_lowercase();
    place
}

/// FNV-1a (RFC draft-eastlake-fnv): the keys are from the configuration, so nobody can make them
/// collide, and names are short.
#[derive(Clone, Copy, Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    fn pattern<'a>(host: &'a str, path: &'a str) -> Pattern<'a> {
        Pattern { host: (!host.is_empty()).then_some(host), path }
    }

    #[test]
    fn the_most_specific_route_wins() {
        let table = RouteTable::new([
            (pattern("", "/"), 0),
            (pattern("", "/status"), 1),
            (pattern("shop.example.com", "/"), 2),
            (pattern("shop.example.com", "/checkout"), 3),
            (pattern("*.example.com", "/"), 4),
            (pattern("*.eu.example.com", "/only"), 5),
            (pattern("[2001:db8::1]", "/"), 6),
        ]);
        for (host, path, target) in [
            ("shop.example.com", "/", 2),
            ("SHOP.Example.COM:8080", "/checkout", 3),
            ("shop.example.com.", "/checkout/pay", 3),
            ("shop.example.com", "/checkouts", 2),
            ("www.example.com", "/status", 4),
            ("a.b.example.com", "/", 4),
            ("x.eu.example.com", "/only/this", 5),
            ("x.eu.example.com", "/other", 4),
            ("example.com", "/", 0),
            ("example.com", "/status/x", 1),
            ("[2001:DB8::1]:443", "/", 6),
            ("", "/", 0),
            ("", "*", 0),
        ] {
            assert_eq!(table.lookup(host.as_bytes(), path.as_bytes()), Some(target), "{host}{path}");
        }
        let narrow = RouteTable::new([(pattern("a.example", "/x"), 0)]);
        assert_eq!(narrow.lookup(b"a.example", b"/y"), None);
        assert_eq!(narrow.lookup(&[b'a'; 1000], b"/x"), None);
    }

    /// Slow and plain: every route in turn, the best by its rank.
    fn oracle(routes: &[(String, String)], host: &str, path: &str) -> Option<usize> {
        let host_rank = |pattern: &str| match pattern.strip_prefix('*') {
            _ if pattern.is_empty() => Some(0),
            Some(suffix) => (host.ends_with(suffix) && host.len() > suffix.len()).then_some(suffix.len()),
            None => (host == pattern).then_some(1_000),
        };
        let path_rank = |prefix: &str| {
            let prefix = prefix.trim_end_matches('/');
            let rest = path.strip_prefix(prefix)?;
            (prefix.is_empty() || rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())
        };
        let ranked = routes.iter().enumerate();
        ranked
            .filter_map(|(at, (h, p))| Some(((host_rank(h)?, path_rank(p)?), at)))
            .max_by_key(|(rank, at)| (*rank, std::cmp::Reverse(*at)))
            .map(|(_, at)| at)
    }

    #[test]
    fn agrees_with_looking_at_every_route() {
        let hosts = ["", "a.test", "b.test", "*.test", "*.a.test", "c.a.test"];
        let paths = ["/", "/x", "/x/y", "/xy", "/z/"];
        for seed in 0..300 {
            let mut prng = Prng::new(seed);
            let mut routes: Vec<(String, String)> = Vec::new();
            for _ in 0..1 + prng.below(12) {
                let host = hosts[prng.below(6) as usize].to_owned();
                let path = paths[prng.below(5) as usize].to_owned();
                if !routes.contains(&(host.clone(), path.clone())) {
                    routes.push((host, path));
                }
            }
            let numbered = routes.iter().enumerate().map(|(at, (h, p))| (pattern(h, p), at));
            let table = RouteTable::new(numbered);
            for host in ["a.test", "b.test", "c.a.test", "d.c.a.test", "test", "other"] {
                for path in ["/", "/x", "/x/", "/x/y/z", "/xy", "/z", "/zz", "/q"] {
                    let got = table.lookup(host.as_bytes(), path.as_bytes());
                    assert_eq!(got, oracle(&routes, host, path), "{host}{path} in {routes:?}");
                }
            }
        }
    }
}
