//! How shards wake the coordinator: a byte in a socket pair, which costs a shard one system call
//! and no lock. A full socket means that the coordinator has been woken already.

use crate::engine::Wake;
use std::io;
use std::os::unix::net::UnixDatagram;

/// The shards' end.
pub struct Bell(UnixDatagram);

/// The coordinator's end, before its runtime runs.
pub struct BellHearer(UnixDatagram);

/// A bell and who hears it.
///
/// # Errors
/// If the process has no descriptor left.
pub fn bell() -> io::Result<(Bell, BellHearer)> {
    let (bell, hearer) = UnixDatagram::pair()?;
    bell.set_nonblocking(true)?;
    hearer.set_nonblocking(true)?;
    Ok((Bell(bell), BellHearer(hearer)))
}

impl Wake for Bell {
    fn wake(&self) {
        // Full, or nobody hears it any more: nothing is to be done in either case.
        let _ = self.0.send(&[0]);
    }
}

impl BellHearer {
    /// The same within a runtime.
    pub(super) fn listen(self) -> io::Result<tokio::net::UnixDatagram> {
        tokio::net::UnixDatagram::from_std(self.0)
    }
}

/// Waits until the bell has rung since the last time.
pub(super) async fn heard(hearer: &tokio::net::UnixDatagram) {
    let mut byte = [0];
    // An error would only mean that nobody rings any more; ticks go on.
    if hearer.recv(&mut byte).await.is_ok() {
        while hearer.try_recv(&mut byte).is_ok() {}
    }
}
