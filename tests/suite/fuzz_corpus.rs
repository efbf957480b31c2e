//! The committed inputs of the fuzz targets, and all that they begin with, through the same
//! functions that the targets run.

#[path = "../../fuzz/src/lib.rs"]
mod entries;

use crate::drilling::{record, size};
use ringway::base::Prng;
use std::fs;
use std::path::Path;

fn run_corpus(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("the corpus is committed");
    let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.expect("readable").path());
    let mut corpus: Vec<Vec<u8>> = entries.map(|entry| read(entry).expect("readable")).collect();
    assert!(!corpus.is_empty(), "{} is empty", folder.display());
    // The order of a folder is any.
    corpus.sort();
    for bytes in &corpus {
        run(bytes);
        let step = bytes.len() / 500 + 1;
        (0..bytes.len()).step_by(step).for_each(|length| run(&bytes[..length]));
    }
    let mutations = size("RINGWAY_MUTATIONS", 200, 200_000);
    let mut prng = Prng::new(target.len() as u64);
    for _ in 0..mutations {
        let mut bytes = mutated(&corpus, &mut prng);
        bytes.truncate(4_096);
        run(&bytes);
    }
    record(&format!("mutated corpus of {target}"), "inputs without a finding", mutations);
}

/// An input with some bytes that are others, more or fewer, or with a part of another input.
fn mutated(corpus: &[Vec<u8>], prng: &mut Prng) -> Vec<u8> {
    let any = |prng: &mut Prng| corpus[prng.below(corpus.len() as u32) as usize].clone();
    let mut bytes = any(prng);
    for _ in 0..=prng.below(4) {
        let at = prng.below(bytes.len() as u32 + 1) as usize;
        let byte = [prng.next_u64() as u8, 0, 0xff, 0x80, 1][prng.below(5) as usize];
        match prng.below(5) {
            0 | 1 if at < bytes.len() => bytes[at] = byte,
            2 if at < bytes.len() => bytes[at] ^= 1 << prng.below(8),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => {
                let other = any(prng);
                let start = prng.below(other.len() as u32 + 1) as usize;
                bytes.splice(at.., other[start..].iter().copied());
            }
            _ => bytes.insert(at, byte),
        }
    }
    bytes
}

#[test]
fn hellos() {
    run_corpus("tls_hello", entries::tls_hello::run);
}

#[test]
fn proxy_headers() {
    run_corpus("proxy_protocol", entries::proxy_protocol::run);
}

#[test]
fn frames_of_http2() {
    run_corpus("http2_frames", entries::http2_frames::run);
}

#[test]
fn heads_in_hpack() {
    run_corpus("hpack", entries::hpack::run);
}

#[test]
fn records_of_tls() {
    run_corpus("tls_records", entries::tls_records::run);
}
