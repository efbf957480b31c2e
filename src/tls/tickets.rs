//! Session tickets (RFC 8446, section 4.6.1; RFC 5077): sealed with keys that the whole process
//! shares, so that a client resumes on any shard, after a reload, and, with keys from a file, on
//! other machines.
//!
//! A ticket is the name of its key, a nonce, and the state of the session sealed by AES-256-GCM-SIV
//! (RFC 8452), whose nonces may be random however many tickets a key seals. What is sealed with it
//! as additional data is its scope: another policy does not resume it.
//!
//! Does not: know the time; the coordinator rotates.

use super::policy::Policy;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use rustls::server::ProducesTickets;
use std::fmt;
use std::sync::{Arc, RwLock};

/// Bytes of a key in a file.
const SECRET_BYTES: usize = 32;
/// Bytes of a key's name, in front of each ticket.
const NAME_BYTES: usize = 16;

/// Keys of a file.
const SECRETS_MAX: usize = 16;

/// Seconds for which a client may keep a ticket: a rotated key opens for as long after it sealed.
pub const TICKET_LIFETIME_S: u32 = 6 * 3600;

/// A key as it is in a file: random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecret([u8; SECRET_BYTES]);

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret")
    }
}

impl TicketSecret {
    /// The keys in a text: one on each line, 64 hexadecimal digits. Empty lines, and what follows a
    /// `#`, are skipped.
    ///
    /// # Errors
    /// What is wrong, with its line, as the end of a sentence that begins with the file.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let mut secrets = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let secret = Self::parse(line).ok_or_else(|| {
                let number = index + 1;
                format!(
                    "has no key on line {number}: write 64 hexadecimal digits, as `openssl \
                         rand -hex 32` prints"
                )
            })?;
            secrets.push(secret);
        }
        match secrets.len() {
            0 => Err("has no key: write one a line, as `openssl rand -hex 32` prints".to_owned()),
            count if count > SECRETS_MAX => {
                Err(format!("has {count} keys: at most {SECRETS_MAX}, remove the oldest ones"))
            }
            _ => Ok(secrets),
        }
    }

    fn parse(digits: &str) -> Option<Self> {
        let mut bytes = [0; SECRET_BYTES];
        if digits.len() != 2 * SECRET_BYTES || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    fn random() -> Option<Self> {
        let mut bytes = [0; SECRET_BYTES];
        rand::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Bytes that follow from the key and this label alone.
    fn derive(&self, label: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), label);
        tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}

struct TicketKey {
    name: [u8; NAME_BYTES],
    key: LessSafeKey,
}

impl TicketKey {
    fn new(secret: &TicketSecret) -> Self {
        let name = secret.derive(b"ringway ticket name");
        let key = UnboundKey::new(&AES_256_GCM_SIV, &secret.derive(b"ringway ticket key"));
        Self {
            name: name[..NAME_BYTES].try_into().expect("it is longer"),
            key: LessSafeKey::new(key.expect("the key has its length")),
        }
    }
}

/// The keys of the process: the first one seals, all of them open. Shards only ever try to lock
/// them: where that fails, while they change, a client gets no ticket, or a full handshake.
#[derive(Default)]
pub struct TicketKeys(RwLock<Ring>);

type Ring = Arc<[Arc<TicketKey>]>;

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys")
    }
}

impl TicketKeys {
    /// Puts keys from a file in place of the present ones.
    pub fn set(&self, secrets: &[TicketSecret]) {
        self.replace(secrets.iter().map(|secret| Arc::new(TicketKey::new(secret))).collect());
    }

    /// A fresh random key seals from now on; the one that has sealed opens until the next rotation.
    pub fn rotate(&self) {
        // Without random bytes there is no TLS either.
        let Some(fresh) = TicketSecret::random() else { return };
        let before = self.current();
        let fresh = Arc::new(TicketKey::new(&fresh));
        self.replace(std::iter::once(fresh).chain(before.iter().take(1).cloned()).collect());
    }

    /// Forgets all keys.
    pub fn clear(&self) {
        self.replace(Arc::new([]));
    }

    fn current(&self) -> Ring {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn replace(&self, keys: Ring) {
        *self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = keys;
    }
}

/// Makes the tickets of one policy.
#[derive(Debug)]
pub(super) struct Ticketer {
    keys: Arc<TicketKeys>,
    scope: Vec<u8>,
}

impl Ticketer {
    pub(super) fn new(keys: Arc<TicketKeys>, policy: &Policy) -> Self {
        let suites: Vec<String> = policy.suites.iter().map(ToString::to_string).collect();
        let scope = format!("{:?} {}", policy.min_version, suites.join(" "));
        Self { keys, scope: scope.into_bytes() }
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TICKET_LIFETIME_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.0.try_read().ok()?.clone();
        let TicketKey { name, key } = &**keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(unique, Aad::from(&self.scope), &mut sealed).ok()?;
        Some([&name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (named, rest) = ticket.split_at_checked(NAME_BYTES)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keys = self.keys.0.try_read().ok()?.clone();
        let key = &keys.iter().find(|one| one.name == named)?.key;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plain = sealed.to_vec();
        let length = key.open_in_place(nonce, Aad::from(&self.scope), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Version;

    fn ticketer(keys: &Arc<TicketKeys>) -> Ticketer {
        Ticketer::new(keys.clone(), &Policy::default())
    }

    #[test]
    fn a_ticket_opens_until_its_key_has_been_rotated_twice() {
        let keys = Arc::new(TicketKeys::default());
        let one = ticketer(&keys);
        assert_eq!(one.encrypt(b"state"), None, "there is no key yet");
        keys.rotate();
        let ticket = one.encrypt(b"state").expect("there is a key");
        assert_ne!(ticket, one.encrypt(b"state").expect("there is a key"), "nonces differ");
        let opened = |ticket: &[u8]| ticketer(&keys).decrypt(ticket);
        assert_eq!(opened(&ticket).as_deref(), Some(&b"state"[..]));
        keys.rotate();
        assert_eq!(opened(&ticket).as_deref(), Some(&b"state"[..]), "the last one still opens");
        keys.rotate();
        assert_eq!(opened(&ticket), None);
    }

    #[test]
    fn what_is_no_ticket_of_this_policy_does_not_open() {
        let keys = Arc::new(TicketKeys::default());
        keys.rotate();
        let ticket = ticketer(&keys).encrypt(b"state").expect("there is a key");
        for end in 0..ticket.len() {
            assert_eq!(ticketer(&keys).decrypt(&ticket[..end]), None, "{end}");
        }
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(ticketer(&keys).decrypt(&changed), None, "{at}");
        }
        let other = Policy { min_version: Version::Tls13, ..Policy::default() };
        assert_eq!(Ticketer::new(keys, &other).decrypt(&ticket), None);
    }

    #[test]
    fn machines_with_the_same_file_open_each_other_s_tickets() {
        let [old, new] = ["11", "Aa"].map(|byte| byte.repeat(32));
        let before = TicketSecret::parse_all(&format!("{old} # of May\n")).expect("a key");
        let after = TicketSecret::parse_all(&format!("# two\n\n{new}\r\n  {old}\n")).expect("keys");
        let [here, there] = [&before, &after].map(|secrets| {
            let keys = Arc::new(TicketKeys::default());
            keys.set(secrets);
            keys
        });
        let ticket = ticketer(&here).encrypt(b"state").expect("there is a key");
        assert_eq!(ticketer(&there).decrypt(&ticket).as_deref(), Some(&b"state"[..]));
        let ticket = ticketer(&there).encrypt(b"state").expect("there is a key");
        assert_eq!(ticketer(&here).decrypt(&ticket), None, "it does not have the new one");
        assert!(!format!("{before:?}").contains("11"), "{before:?}");
    }

    #[test]
    fn a_file_that_is_wrong_is_told_with_its_line() {
        let wrong = |text: &str| TicketSecret::parse_all(text).expect_err(text);
        let good = "0f".repeat(32);
        assert!(wrong(&format!("{good}\n{}", &good[1..])).contains("no key on line 2"));
        assert!(wrong(&"zz".repeat(32)).contains("openssl rand -hex 32"));
        assert!(wrong(&"+1".repeat(32)).contains("line 1"));
        assert!(wrong("# none\n").contains("has no key: "));
        assert!(wrong(&format!("{good}\n").repeat(17)).contains("at most 16"));
    }
}
