//! Any bytes as a ClientHello; what rustls accepts has the same name and protocols.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::tls_hello::{Reader, Verdict};
use rustls::server::Acceptor;

fuzz_target!(|bytes: &[u8]| {
    fuzz::tls_hello::run(bytes);
    compare(bytes);
});

fn compare(bytes: &[u8]) {
    let mut acceptor = Acceptor::default();
    let mut left = bytes;
    // It takes so much at once and refuses what it has no room for.
    while !left.is_empty() && acceptor.read_tls(&mut left).is_ok_and(|taken| taken > 0) {}
    let Ok(Some(accepted)) = acceptor.accept() else { return };
    let theirs = accepted.client_hello();
    let mut reader = Reader::default();
    let ours = match reader.read(bytes) {
        Verdict::Hello(ours) => ours,
        verdict => {
            let is_strict = theirs.server_name().is_some_and(|name| has_other_names(bytes, name));
            assert!(is_strict, "{verdict:?}, but rustls reads {:?}", theirs.server_name());
            return;
        }
    };
    // rustls takes off a dot at the end of a name; here such a name is none.
    let has_dot =
        |name: &str| is_in_records(bytes) || places_of(bytes, &format!("{name}.")).next().is_some();
    let is_dropped = ours.server_name.is_none() && theirs.server_name().is_some_and(has_dot);
    assert!(ours.server_name == theirs.server_name() || is_dropped);
    assert!(ours.alpn.eq(theirs.alpn().into_iter().flatten()));
}

/// True if the list of names has more than this host name. rustls reads no further than to a name of
/// another type; here all must be as RFC 6066 §3 has them.
fn has_other_names(bytes: &[u8], name: &str) -> bool {
    let number = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let is_followed = |at: usize| at >= 5 && number(at - 5) > 3 + number(at - 2);
    is_in_records(bytes) || places_of(bytes, name).any(is_followed)
}

/// True if the hello is in several records: then what is looked for may be cut.
fn is_in_records(bytes: &[u8]) -> bool {
    let record = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
    record < 4 + u32::from_be_bytes([0, bytes[6], bytes[7], bytes[8]]) as usize
}

fn places_of<'a>(bytes: &'a [u8], text: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_there = |window: &[u8]| window.eq_ignore_ascii_case(text.as_bytes());
    (0..bytes.len()).filter(move |at| bytes.get(*at..at + text.len()).is_some_and(is_there))
}
