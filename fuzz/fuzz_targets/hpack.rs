//! Any bytes as the fields of requests; what is read here is read alike by the crate `hpack`.

#![no_main]

use fuzz::hpack::{Fields, START, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzz::hpack::run(bytes);
    compare(bytes);
});

/// It accepts some blocks that are refused here: a table size that is too large or late, padding that
/// is not of EOS, names that are none.
fn compare(bytes: &[u8]) {
    let ours = decode(bytes, bytes.len());
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut theirs = hpack::Decoder::new();
    for (part, ours) in [first, second].into_iter().zip(ours) {
        let read = theirs.decode(&[START, part].concat());
        let Some(ours) = ours else { return };
        let read = read.expect("what is accepted here is valid");
        let fields: Fields = read.into_iter().filter(|(name, _)| name[0] != b':').collect();
        // Crumbs are joined here.
        if !fields.iter().any(|(name, _)| name == b"cookie") {
            assert_eq!(ours, fields);
        }
    }
}
