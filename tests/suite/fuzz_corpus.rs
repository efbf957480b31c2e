//! The committed inputs of the fuzz targets, and all that they begin with, through the same
//! functions that the targets run.

#[path = "../../fuzz/src/lib.rs"]
mod entries;

use std::fs;
use std::path::Path;

fn run_corpus(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is committed") {
        let bytes = fs::read(entry.expect("readable").path()).expect("readable");
        run(&bytes);
        let step = bytes.len() / 500 + 1;
        (0..bytes.len()).step_by(step).for_each(|length| run(&bytes[..length]));
        files += 1;
    }
    assert!(files > 0, "{} is empty", folder.display());
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
