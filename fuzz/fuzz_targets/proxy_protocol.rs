//! Any bytes as a header of the PROXY protocol; what `proxy-header` accepts too has the same length
//! and addresses.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy_header::{ParseConfig, ProxyHeader};
use ringway::proxy_protocol::read;

fuzz_target!(|bytes: &[u8]| {
    fuzz::proxy_protocol::run(bytes);
    compare(bytes);
});

/// Each refuses some headers that the other accepts: ours those with a wrong checksum, theirs those
/// of LOCAL whose block is not one of addresses.
fn compare(bytes: &[u8]) {
    let (Ok(Some(ours)), Ok((theirs, length))) =
        (read(bytes), ProxyHeader::parse(bytes, ParseConfig::default()))
    else {
        return;
    };
    assert_eq!(ours.length, length);
    let addresses = theirs.proxied_address().map(|pair| (pair.source, pair.destination));
    assert_eq!(ours.addresses.map(|pair| (pair.source, pair.destination)), addresses);
}
