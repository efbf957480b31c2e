//! Tests by use, not by version, whether io_uring works on this host: a small ring, its buffers,
//! and one multishot receive over a local pair of sockets.

use super::{SetupError, Uring, UringOptions};
use crate::engine::{Engine, Event, Key, Owner, Socket};
use crate::limits::BUFFER_BYTES_MIN;
use crate::sys::event_fd::EventFd;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

const PROBE: UringOptions = UringOptions {
    ring_entries: 64,
    receive_buffers: 16,
    buffer_size: BUFFER_BYTES_MIN,
    private_buffers_max: 0,
};

/// Fails with the sentence to show if the engine would not work. Takes a few milliseconds and must
/// run on a thread that builds no other ring of this kind at the same time.
pub fn probe() -> Result<(), SetupError> {
    let wake = Arc::new(EventFd::new().map_err(SetupError::from_descriptor)?);
    let mut engine = Uring::new(&PROBE, wake)?;
    let (ours, mut theirs) = UnixStream::pair().map_err(SetupError::from_descriptor)?;
    let key = Key::new(Owner::Client, 0, 0);
    engine.receive(Socket(ours.as_raw_fd()), key);
    for word in ["one", "two"] {
        theirs.write_all(word.as_bytes()).map_err(SetupError::Other)?;
        engine.turn(engine.now() + Duration::from_secs(2));
        match engine.next_event() {
            Some(Event::Received { buffer, length: 3, flags, .. })
                if flags.still_armed && &engine.bytes(buffer)[..3] == word.as_bytes() =>
            {
                engine.release(buffer);
            }
            other => {
                tracing::debug!(?other, "the probe of multishot receive failed");
                return Err(SetupError::KernelTooOld("multishot receive".to_owned()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_can_run_the_engine() {
        super::probe().expect("io_uring works where the tests run");
    }
}
