//! Any bytes as frames of HTTP/2.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::http2_frames::run(bytes));
