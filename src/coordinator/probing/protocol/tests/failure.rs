//! What errors of the kernel mean, and how failures read.

use super::*;
use crate::coordinator::probing::protocol::ProbeStage;
use std::io;

#[test]
fn what_this_machine_lacks_is_no_fault_of_the_backend() {
    for (code, failure, is_ours) in [
        (libc::EMFILE, ProbeFailure::OutOfDescriptors, true),
        (libc::ENFILE, ProbeFailure::OutOfDescriptors, true),
        (libc::EADDRNOTAVAIL, ProbeFailure::OutOfPorts, true),
        (libc::ENOBUFS, ProbeFailure::OutOfMemory, true),
        (libc::ENOMEM, ProbeFailure::OutOfMemory, true),
        (libc::ECONNREFUSED, ProbeFailure::Refused, false),
        (libc::ETIMEDOUT, ProbeFailure::TimedOut { stage: ProbeStage::Connecting }, false),
    ] {
        let found = ProbeFailure::of_connecting(&io::Error::from_raw_os_error(code));
        assert_eq!(found, failure);
        assert_eq!(found.is_our_own_fault(), is_ours, "{found:?}");
    }
}

#[test]
fn an_unreachable_host_is_named_so_by_the_kernel() {
    let found = ProbeFailure::of_connecting(&io::Error::from_raw_os_error(libc::EHOSTUNREACH));
    assert!(found.to_string().starts_with("it cannot be reached: "), "{found}");
    assert!(!found.is_our_own_fault());
}

#[test]
fn failures_are_short_sentences() {
    for (failure, text) in [
        (ProbeFailure::Status(503), "it answered with status 503"),
        (ProbeFailure::Refused, "the connection was refused"),
        (
            ProbeFailure::TimedOut { stage: ProbeStage::Handshake },
            "it did not finish the TLS handshake in time",
        ),
        (ProbeFailure::unexpected(b"\x1b[2J"), "it answered something else: \"\\x1b[2J\""),
        (ProbeFailure::NotServing("NOT_SERVING".to_owned()), "it does not serve: NOT_SERVING"),
    ] {
        assert_eq!(failure.to_string(), text);
    }
}

#[test]
fn a_long_answer_is_shown_by_its_beginning() {
    let failure = ProbeFailure::unexpected(&[b'a'; 1000]).to_string();
    assert!(failure.len() < 150 && failure.ends_with("a…\""), "{failure}");
}
