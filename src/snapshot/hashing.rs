//! The table of a pool whose backends are picked by the hash of a key, and the keys.

use super::Backend;
use crate::balance::{Candidate, HashKey, HashRules, KeyHash, Owner, Table, owner_and_fit};
use crate::base::BackendSlot;
use crate::head::RequestHead;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The table of a pool, and its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// The backends by the hash of a key.
    pub table: Arc<Table>,
    /// The key.
    pub key: HashKey,
    /// What hashes are made with.
    pub seed: u64,
    /// Most exchanges in flight of a backend, percent of its share by weight; 0: no bound.
    pub balance_percent: u32,
}

impl Hashing {
    /// The table for these backends, each with its slot, address and weight, whatever their health:
    /// one of weight 0 is not in it. The table of `before` is used again if it is the same.
    pub fn new(
        rules: &HashRules,
        backends: impl Iterator<Item = (BackendSlot, SocketAddr, u32)>,
        before: Option<&Self>,
    ) -> Self {
        let weighty = backends.filter(|(.., weight)| *weight > 0);
        let owner = |(slot, address, weight): (BackendSlot, SocketAddr, u32)| Owner {
            name: address.to_string(),
            slot,
            weight,
        };
        let owners: Vec<Owner> = weighty.map(owner).collect();
        let (seed, size) = (rules.seed, rules.table_size);
        let same = before.filter(|before| before.table.is_of(seed, size, &owners));
        let table = match same {
            Some(before) => before.table.clone(),
            None => Arc::new(Table::new(seed, size, owners)),
        };
        let balance_percent = (rules.balance * 100.0).round() as u32;
        Self { table, key: rules.key.clone(), seed, balance_percent }
    }

    /// What two balancers have in common if they send each key to the same backend.
    pub fn digest(&self) -> String {
        format!("{:016x}", self.table.digest())
    }

    /// The addresses of the backend that a key belongs to, and of the one that it goes to while
    /// only these are fit, with their weights in slow start. The bound on loads is left out.
    pub fn places_of(&self, key: KeyHash, fit: &[Backend]) -> Option<[String; 2]> {
        let candidate =
            |backend: &Backend| Candidate { slot: backend.slot, weight: backend.weight };
        let fit: Vec<Candidate> = fit.iter().map(candidate).collect();
        let (owner, goes_to) = owner_and_fit(&self.table, key, &fit)?;
        Some([owner, goes_to].map(|owner| owner.name.clone()))
    }

    /// The hash of the key of a client's address, if that is the key.
    pub fn address_key(&self, client: SocketAddr) -> Option<KeyHash> {
        self.key.of_address(self.seed, client)
    }

    /// The hash of the key of any client at an IP address, if that is the key without the port.
    pub fn network_key(&self, client: IpAddr) -> Option<KeyHash> {
        let is_key = matches!(self.key, HashKey::Client { .. });
        is_key.then(|| self.key.of_address(self.seed, SocketAddr::new(client, 0))).flatten()
    }

    /// The hash of a server name of TLS, in any case, if that is the key.
    pub fn name_key(&self, server_name: &[u8]) -> Option<KeyHash> {
        let is_key = self.key == HashKey::Sni;
        is_key.then(|| self.key.of_bytes(self.seed, server_name))
    }

    /// The hash of the key of a connection that is forwarded unread, if it has one.
    pub fn connection_key(&self, client: SocketAddr, name: Option<&[u8]>) -> Option<KeyHash> {
        name.and_then(|name| self.name_key(name)).or_else(|| self.address_key(client))
    }

    /// The hash of a key as a user writes it: a host may have a port, and a server name the dot at
    /// its end.
    ///
    /// # Errors
    /// A sentence: it is no address, and has to be one; or it is empty.
    pub fn text_key(&self, text: &str) -> Result<KeyHash, String> {
        let text = match self.key {
            HashKey::Host => text.split_at(without_port(text.as_bytes()).len()).0,
            HashKey::Sni => text.trim_end_matches('.'),
            _ => text,
        };
        self.key.of_text(self.seed, text)
    }

    /// The hash of the key in a request, if it is there and not empty.
    pub fn request_key(&self, head: &RequestHead<'_, '_>) -> Option<KeyHash> {
        let found = match &self.key {
            HashKey::Host => Some(without_port(head.host)),
            HashKey::Path => Some(head.path),
            HashKey::Query(name) => parameter(head.target, name),
            HashKey::Header(name) => head.field(name),
            HashKey::Cookie(name) => cookie(head, name),
            HashKey::Client { .. } | HashKey::ClientPort | HashKey::Sni => None,
        };
        let found = found.filter(|key| !key.is_empty());
        found.map(|key| self.key.of_bytes(self.seed, key))
    }
}

/// `host` of `host:port`; IPv6 addresses have brackets.
fn without_port(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    let is_port = |colon: &usize| authority[colon + 1..].iter().all(u8::is_ascii_digit);
    colon.filter(is_port).map_or(authority, |colon| &authority[..colon])
}

/// The first value of a parameter in the query, as it is written there.
fn parameter<'b>(target: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let query = target.iter().position(|byte| *byte == b'?')?;
    value_of(target[query + 1..].split(|byte| *byte == b'&'), name)
}

/// The first value of a cookie (RFC 6265, 5.4).
fn cookie<'b>(head: &RequestHead<'b, '_>, name: &str) -> Option<&'b [u8]> {
    let fields = head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case("cookie"));
    let pairs = fields.flat_map(|field| field.value.split(|byte| *byte == b';'));
    value_of(pairs.map(<[u8]>::trim_ascii), name)
}

fn value_of<'b>(mut pairs: impl Iterator<Item = &'b [u8]>, name: &str) -> Option<&'b [u8]> {
    pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Rules;
    use crate::http1::{FieldStorage, Verdict};

    #[test]
    fn keys_are_found_in_a_request() {
        let head = b"GET /cart?user=7&id=42&id=1 HTTP/1.1\r\nHost: Shop.example:8080\r\n\
                     X-Tenant: blue\r\nCookie: a=1; session=xyz; session=no\r\n\
                     X-Empty:\r\nCookie: c=\r\n\r\n";
        let mut storage = FieldStorage::new();
        let Verdict::Complete(head) = RequestHead::parse(head, &mut storage, &Rules::default())
        else {
            panic!("it is complete");
        };
        for (key, found) in [
            ("host", Some("shop.example")),
            ("path", Some("/cart")),
            ("query:id", Some("42")),
            ("query:i", None),
            ("header:X-Tenant", Some("blue")),
            ("header:other", None),
            ("cookie:session", Some("xyz")),
            ("cookie:b", None),
            ("header:x-empty", None),
            ("cookie:c", None),
            ("client", None),
        ] {
            let key = HashKey::parse(key).expect(key);
            let rules = HashRules { key: key.clone(), ..HashRules::default() };
            let hashing = Hashing::new(&rules, std::iter::empty(), None);
            let expected = found.map(|found| key.of_text(0, found).expect("any text"));
            assert_eq!(hashing.request_key(&head), expected, "{key}");
        }
        assert_eq!(without_port(b"[::1]:80"), b"[::1]");
        assert_eq!(without_port(b"[::1]"), b"[::1]");
    }
}
