//! An eventfd: how one thread wakes another that waits in its ring.

use super::check;
use crate::engine::Wake;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A counter in the kernel that can be waited for.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A new one, non-blocking, at zero.
    pub fn new() -> io::Result<Self> {
        // JUSTIFICATION: std has no eventfd.
        // SAFETY: no pointers; the descriptor that comes back is owned by nobody else.
        let fd = unsafe {
            let fd = check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self(fd))
    }

    /// Sets the counter back to zero, so that the next wake is an event again.
    pub fn reset(&self) {
        let mut count = 0u64;
        // JUSTIFICATION: std offers no read on a bare descriptor without taking it over.
        // SAFETY: reads at most 8 bytes into 8 writable bytes. A failure (EAGAIN) means zero
        // already.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Wake for EventFd {
    fn wake(&self) {
        let one = 1u64;
        // JUSTIFICATION: as in `reset`.
        // SAFETY: writes 8 bytes from 8 readable bytes. EAGAIN (counter full) means that a wake
        // is pending anyway.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}
