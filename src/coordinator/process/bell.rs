//! How shards wake the coordinator: a byte in a socket pair, which costs a shard one system call
//! and no lock. A full socket means that the coordinator has been woken already.

use crate::engine::Wake;
use std::io;
use std::os::unix::net::UnixDatagram;

/// The shards' end.
pub struct Bell(UnixDatagram);

/// The coordinator's end, before its runtime runs.
pub struct BellReceiver(UnixDatagram);

/// Both ends of a bell.
///
/// # Errors
/// If the process has no descriptor left.
pub fn bell() -> io::Result<(Bell, BellReceiver)> {
    let (bell, receiver) = UnixDatagram::pair()?;
    bell.set_nonblocking(true)?;
    receiver.set_nonblocking(true)?;
    Ok((Bell(bell), BellReceiver(receiver)))
}

impl Wake for Bell {
    fn wake(&self) {
        // Full, or the receiver is closed: both need no action.
        let _ = self.0.send(&[0]);
    }
}

impl BellReceiver {
    /// The same within a runtime.
    pub(crate) fn listen(self) -> io::Result<tokio::net::UnixDatagram> {
        tokio::net::UnixDatagram::from_std(self.0)
    }
}

/// Waits until the bell has rung since the last time.
pub(crate) async fn rung(receiver: &tokio::net::UnixDatagram) {
    let mut byte = [0];
    // An error only means that the other end is closed; ticks go on.
    if receiver.recv(&mut byte).await.is_ok() {
        while receiver.try_recv(&mut byte).is_ok() {}
    }
}
