//! The calls to the kernel that the standard library does not offer, each behind a safe function.
//!
//! All `unsafe` of this package is in this folder. Nothing here knows what is measured.

pub mod datagrams;
pub mod epoll;
pub mod process;
pub mod signal;
pub mod socket;

use std::io;

/// Turns the `-1` convention of libc into an `io::Result`.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same for calls that count bytes.
fn check_len(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
