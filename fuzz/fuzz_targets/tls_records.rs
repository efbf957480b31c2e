//! Any bytes in a session of TLS.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::tls_records::run(bytes));
