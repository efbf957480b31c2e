//! The static table (RFC 7541 appendix A), and what is known of each name.

use super::class::Class;

/// The number of entries.
pub(in crate::http2) const LENGTH: usize = 61;

/// An entry: name, value, and the class of the name.
pub(super) type Entry = (&'static str, &'static str, Class);

/// The entry of an index, which is at least 1.
#[inline]
pub(super) fn entry(index: usize) -> Option<&'static Entry> {
    ENTRIES.get(index.wrapping_sub(1))
}

/// The entries; the first has index 1.
#[rustfmt::skip]
static ENTRIES: [Entry; LENGTH] = [
    (":authority", "", Class::Authority),
    (":method", "GET", Class::Method),
    (":method", "POST", Class::Method),
    (":path", "/", Class::Path),
    (":path", "/index.html", Class::Path),
    (":scheme", "http", Class::Scheme),
    (":scheme", "https", Class::Scheme),
    (":status", "200", Class::Status),
    (":status", "204", Class::Status),
    (":status", "206", Class::Status),
    (":status", "304", Class::Status),
    (":status", "400", Class::Status),
    (":status", "404", Class::Status),
    (":status", "500", Class::Status),
    ("accept-charset", "", Class::Other),
    ("accept-encoding", "gzip, deflate", Class::Other),
    ("accept-language", "", Class::Other),
    ("accept-ranges", "", Class::Other),
    ("accept", "", Class::Other),
    ("access-control-allow-origin", "", Class::Other),
    ("age", "", Class::Other),
    ("allow", "", Class::Other),
    ("authorization", "", Class::Other),
    ("cache-control", "", Class::Other),
    ("content-disposition", "", Class::Other),
    ("content-encoding", "", Class::Other),
    ("content-language", "", Class::Other),
    ("content-length", "", Class::ContentLength),
    ("content-location", "", Class::Other),
    ("content-range", "", Class::Other),
    ("content-type", "", Class::Other),
    ("cookie", "", Class::Cookie),
    ("date", "", Class::Other),
    ("etag", "", Class::Other),
    ("expect", "", Class::Other),
    ("expires", "", Class::Other),
    ("from", "", Class::Other),
    ("host", "", Class::Other),
    ("if-match", "", Class::Other),
    ("if-modified-since", "", Class::Other),
    ("if-none-match", "", Class::Other),
    ("if-range", "", Class::Other),
    ("if-unmodified-since", "", Class::Other),
    ("last-modified", "", Class::Other),
    ("link", "", Class::Other),
    ("location", "", Class::Other),
    ("max-forwards", "", Class::Other),
    ("proxy-authenticate", "", Class::Other),
    ("proxy-authorization", "", Class::Other),
    ("range", "", Class::Other),
    ("referer", "", Class::Other),
    ("refresh", "", Class::Other),
    ("retry-after", "", Class::Other),
    ("server", "", Class::Other),
    ("set-cookie", "", Class::Other),
    ("strict-transport-security", "", Class::Other),
    ("transfer-encoding", "", Class::ConnectionSpecific),
    ("user-agent", "", Class::Other),
    ("vary", "", Class::Other),
    ("via", "", Class::Other),
    ("www-authenticate", "", Class::Other),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_names() {
        for (name, _, class) in &ENTRIES {
            assert_eq!(Class::of(name.as_bytes()), *class, "{name}");
        }
    }

    #[test]
    fn indices_begin_at_one() {
        assert!(entry(0).is_none());
        assert_eq!(entry(1).map(|entry| entry.0), Some(":authority"));
        assert_eq!(entry(61).map(|entry| entry.0), Some("www-authenticate"));
        assert!(entry(62).is_none());
    }
}
