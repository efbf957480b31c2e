//! Priorities of responses (RFC 9218).

/// The priority of a response, as the request's `priority` field states it (RFC 9218 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// 0 to 7; smaller ones are sent first.
    pub urgency: u8,
    /// It is of use to the client while it is incomplete.
    pub is_incremental: bool,
}

impl Default for Priority {
    /// RFC 9218 §4.1 and §4.2.
    fn default() -> Self {
        Self { urgency: 3, is_incremental: false }
    }
}

impl Priority {
    /// Reads `u=1, i`: a dictionary of structured fields (RFC 9651 §3.2), of which the last member
    /// of a name holds. It is a hint, so a malformed member is ignored.
    pub fn parse(value: &[u8]) -> Self {
        let mut priority = Self::default();
        for member in crate::head::list(value) {
            // Parameters have no meaning here.
            let member = member.split(|byte| *byte == b';').next().unwrap_or(member);
            match member.trim_ascii() {
                [b'u', b'=', urgency @ b'0'..=b'7'] => priority.urgency = urgency - b'0',
                b"i" | b"i=?1" => priority.is_incremental = true,
                b"i=?0" => priority.is_incremental = false,
                _ => {}
            }
        }
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_and_others_ignored() {
        for (value, urgency, is_incremental) in [
            (&b""[..], 3, false),
            (b"u=0", 0, false),
            (b"u=7", 7, false),
            (b"i", 3, true),
            (b"u=1, i", 1, true),
            (b"i,u=5", 5, true),
            (b"u=2;x=1, i;y", 2, true),
            (b"i=?1", 3, true),
            (b"u=1, i=?0", 1, false),
            (b"u=1, u=4", 4, false),
            (b"u=8", 3, false),
            (b"u=-1", 3, false),
            (b"u=10", 3, false),
            (b"u=\"1\", x, i=1", 3, false),
            (b"U=1, I", 3, false),
            (b",,, =", 3, false),
        ] {
            let expected = Priority { urgency, is_incremental };
            assert_eq!(Priority::parse(value), expected, "{}", value.escape_ascii());
        }
    }
}
