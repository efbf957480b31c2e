//! Raw system calls, one file per kernel feature, each behind a safe function. Does not: decide
//! anything; know sessions, HTTP or io_uring.
#![allow(unsafe_code)]

pub mod certificates;
pub mod clock;
pub mod core;
pub mod event_fd;
pub mod file;
pub mod memory;
pub mod rlimit;
pub mod socket;
pub mod source;
pub mod udp;

use std::io;

/// The result of a system call that tells its failure by a negative number.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
