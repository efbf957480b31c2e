//! What the encoder does with a field, by its name.

use super::Indexing;

/// A name with an index in the static table, or with a rule of its own.
pub(super) struct Known {
    name: &'static str,
    /// The first index of the name in the static table; 0 if it has none.
    pub(super) index: u8,
    /// What is done with its values.
    pub(super) indexing: Indexing,
}

use Indexing::{Never, Without, Yes};

/// The names. Values that differ from message to message would only evict others; secrets must not
/// share a table with what somebody else chooses (RFC 7541 §7.1), and the connection to a backend
/// carries the requests of many clients.
#[rustfmt::skip]
static KNOWN: [Known; 70] = [
    known(1, ":authority", Yes), known(2, ":method", Yes), known(4, ":path", Without),
    known(6, ":scheme", Yes), known(8, ":status", Yes), known(15, "accept-charset", Yes),
    known(16, "accept-encoding", Yes), known(17, "accept-language", Yes),
    known(18, "accept-ranges", Yes), known(19, "accept", Yes),
    known(20, "access-control-allow-origin", Yes), known(21, "age", Without),
    known(22, "allow", Yes), known(23, "authorization", Never), known(24, "cache-control", Yes),
    known(25, "content-disposition", Without), known(26, "content-encoding", Yes),
    known(27, "content-language", Yes), known(28, "content-length", Without),
    known(29, "content-location", Without), known(30, "content-range", Without),
    known(31, "content-type", Yes), known(32, "cookie", Never), known(33, "date", Yes),
    known(34, "etag", Without), known(35, "expect", Yes), known(36, "expires", Without),
    known(37, "from", Yes), known(38, "host", Yes), known(39, "if-match", Without),
    known(40, "if-modified-since", Without), known(41, "if-none-match", Without),
    known(42, "if-range", Without), known(43, "if-unmodified-since", Without),
    known(44, "last-modified", Without), known(45, "link", Yes), known(46, "location", Without),
    known(47, "max-forwards", Yes), known(48, "proxy-authenticate", Yes),
    known(49, "proxy-authorization", Never), known(50, "range", Without),
    known(51, "referer", Without), known(52, "refresh", Without), known(53, "retry-after", Without),
    known(54, "server", Yes), known(55, "set-cookie", Never),
    known(56, "strict-transport-security", Yes), known(57, "transfer-encoding", Yes),
    known(58, "user-agent", Yes), known(59, "vary", Yes), known(60, "via", Yes),
    known(61, "www-authenticate", Yes),
    known(0, "x-forwarded-for", Without), known(0, "x-real-ip", Without),
    known(0, "forwarded", Without), known(0, "x-request-id", Without),
    known(0, "x-correlation-id", Without), known(0, "traceparent", Without),
    known(0, "tracestate", Without), known(0, "x-b3-traceid", Without),
    known(0, "x-b3-spanid", Without), known(0, "x-amzn-trace-id", Without),
    known(0, "cf-ray", Without), known(0, "content-md5", Without), known(0, "digest", Without),
    known(0, "x-csrf-token", Never), known(0, "x-xsrf-token", Never), known(0, "x-api-key", Never),
    known(0, "x-auth-token", Never), known(0, "grpc-timeout", Without),
];

const fn known(index: u8, name: &'static str, indexing: Indexing) -> Known {
    Known { name, index, indexing }
}

const SLOTS: usize = 512;

/// For each slot a place in [`KNOWN`], from 1; 0 if it has none.
static BY_SLOT: [u8; SLOTS] = {
    let mut by_slot = [0; SLOTS];
    let mut at = 0;
    while at < KNOWN.len() {
        let slot = slot(KNOWN[at].name.as_bytes());
        assert!(by_slot[slot] == 0, "two names have one slot: change the numbers in `slot`");
        by_slot[slot] = at as u8 + 1;
        at += 1;
    }
    by_slot
};

/// The slot of a name that is not empty, in any case.
#[inline]
const fn slot(name: &[u8]) -> usize {
    let length = name.len();
    let third = (name[if length > 2 { 2 } else { 0 }] | 0x20) as usize;
    let middle = (name[length / 2] | 0x20) as usize;
    let last = (name[length - 1] | 0x20) as usize;
    (length * 283 + third * 395 + middle * 54 + last * 165) % SLOTS
}

/// What is known of a name, in any case.
#[inline]
pub(super) fn of(name: &[u8]) -> Option<&'static Known> {
    if name.is_empty() {
        return None;
    }
    let place = usize::from(BY_SLOT[slot(name)]);
    let known = &KNOWN[place.checked_sub(1)?];
    name.eq_ignore_ascii_case(known.name.as_bytes()).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::super::static_table;
    use super::*;

    #[test]
    fn every_name_of_the_static_table_has_its_first_index() {
        for index in (1..=static_table::LENGTH).rev() {
            let (name, ..) = static_table::entry(index).expect("it is there");
            let known = of(name.as_bytes()).expect("it is known");
            let first = static_table::entry(usize::from(known.index)).expect("it is there").0;
            assert_eq!(first, *name);
            assert!(usize::from(known.index) <= index);
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_no_others() {
        for known in &KNOWN {
            let upper = known.name.to_ascii_uppercase();
            assert_eq!(of(upper.as_bytes()).map(|known| known.name), Some(known.name));
        }
        for other in ["x", "cookies", "coo", "server-timing", "x-forwarded-foo"] {
            assert!(of(other.as_bytes()).is_none(), "{other}");
        }
    }
}
