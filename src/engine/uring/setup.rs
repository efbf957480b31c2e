//! Building the ring, and saying in one sentence why it cannot be built and what to do.

use super::buffers::Buffers;
use crate::limits::{BUFFERS_PER_SHARD_MIN, RING_ENTRIES_MIN};
use io_uring::IoUring;
use std::fmt;
use std::io;

/// Multishot operations complete many times per submission.
const COMPLETIONS_PER_ENTRY: u32 = 4;

/// The sizes of one shard's engine.
#[derive(Clone, Copy, Debug)]
pub struct UringOptions {
    /// Submission queue entries; the completion queue is four times as long.
    pub ring_entries: u32,
    /// Buffers in the receive ring, rounded up to a power of two, at most 32,768.
    pub receive_buffers: usize,
    /// Bytes of every buffer.
    pub buffer_size: usize,
    /// Most private buffers, for what the proxy writes itself.
    pub private_buffers_max: usize,
}

impl UringOptions {
    /// The same in the proportion of so many ring entries.
    fn shrunk_to(&self, entries: u32) -> Self {
        let halvings = self.ring_entries.next_power_of_two().ilog2() - entries.ilog2();
        let receive_buffers = (self.receive_buffers >> halvings).max(BUFFERS_PER_SHARD_MIN);
        Self { ring_entries: entries, receive_buffers, ..*self }
    }
}

/// Why io_uring cannot be used here. Its text is one sentence with the remedy.
#[derive(Debug)]
pub enum SetupError {
    /// The kernel is older than 6.1 or lacks an operation.
    KernelTooOld(String),
    /// A policy forbids io_uring: sysctl, seccomp.
    Forbidden(String),
    /// RLIMIT_MEMLOCK or memory does not suffice, even for the smallest ring.
    OutOfMemory(String),
    /// RLIMIT_NOFILE does not suffice.
    OutOfDescriptors,
    /// Something else that the kernel said.
    Other(io::Error),
}

impl SetupError {
    fn from_ring(error: io::Error, entries: u32) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM) => Self::Forbidden("EPERM".to_owned()),
            Some(libc::ENOSYS) => Self::Forbidden("ENOSYS".to_owned()),
            Some(libc::EINVAL) => {
                Self::KernelTooOld("single-issuer rings with deferred task work".to_owned())
            }
            Some(libc::ENOMEM) => Self::OutOfMemory(format!("a ring of {entries} entries")),
            _ => Self::from_descriptor(error),
        }
    }

    pub(super) fn from_buffer_ring(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINVAL) => Self::KernelTooOld("provided-buffer rings".to_owned()),
            Some(libc::ENOMEM) => Self::OutOfMemory("the receive buffers".to_owned()),
            _ => Self::Other(error),
        }
    }

    /// Of what only needs a descriptor.
    pub(super) fn from_descriptor(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => Self::OutOfDescriptors,
            _ => Self::Other(error),
        }
    }

    pub(super) fn from_memory(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOMEM) => Self::OutOfMemory("the buffers".to_owned()),
            _ => Self::Other(error),
        }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KernelTooOld(what) => write!(
                f,
                "this kernel does not offer {what}: Ringway needs Linux 6.1 or newer \
                 (6.12 or newer is recommended)"
            ),
            Self::Forbidden(error) => write!(
                f,
                "io_uring is forbidden here ({error}): set sysctl kernel.io_uring_disabled=0, and \
                 in a container allow io_uring_setup, io_uring_enter and io_uring_register in its \
                 seccomp profile"
            ),
            Self::OutOfMemory(what) => write!(
                f,
                "no memory for {what}: raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=infinity; \
                 shell: ulimit -l unlimited) and RLIMIT_AS (LimitAS=infinity; ulimit -v \
                 unlimited), or lower --ring-entries, --buffers-per-shard or --shards"
            ),
            Self::OutOfDescriptors => write!(
                f,
                "no file descriptor is left for io_uring: raise RLIMIT_NOFILE (systemd: \
                 LimitNOFILE=1048576; shell: ulimit -n 1048576)"
            ),
            Self::Other(error) => write!(f, "io_uring cannot be set up: {error}"),
        }
    }
}

impl std::error::Error for SetupError {}

/// A ring and its buffers: as many entries and receive buffers as are wanted, or half as many
/// again and again while memory does not suffice, down to the least that the configuration allows.
/// The kernel counts the ring, and the list of the buffers, as locked memory.
pub(super) fn build(options: &UringOptions) -> Result<(IoUring, Buffers), SetupError> {
    shrinking(options.ring_entries, |entries| {
        let ring = build_ring_of(entries)?;
        let buffers = Buffers::new(&ring, &options.shrunk_to(entries))?;
        Ok((ring, buffers))
    })
}

/// What `build` makes of `entries`, rounded up to a power of two, or of fewer if there is no
/// memory for so many.
fn shrinking<T>(
    entries: u32,
    mut build: impl FnMut(u32) -> Result<T, SetupError>,
) -> Result<T, SetupError> {
    let mut wanted = entries.next_power_of_two();
    loop {
        match build(wanted) {
            Err(SetupError::OutOfMemory(_)) if wanted / 2 >= RING_ENTRIES_MIN => {
                wanted /= 2;
                tracing::warn!(
                    entries = wanted,
                    "no memory for the ring and its buffers, trying half of both"
                );
            }
            built => return built,
        }
    }
}

fn build_ring_of(entries: u32) -> Result<IoUring, SetupError> {
    let ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(entries * COMPLETIONS_PER_ENTRY)
        .build(entries)
        .map_err(|error| SetupError::from_ring(error, entries))?;
    let parameters = ring.params();
    if !(parameters.is_feature_submit_stable()
        && parameters.is_feature_nodrop()
        && parameters.is_feature_ext_arg()
        && parameters.is_feature_skip_cqe_on_success())
    {
        return Err(SetupError::KernelTooOld("the io_uring features of 6.1".to_owned()));
    }
    Ok(ring)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(number: i32, entries: u32) -> SetupError {
        SetupError::from_ring(io::Error::from_raw_os_error(number), entries)
    }

    #[test]
    fn a_ring_shrinks_while_memory_does_not_suffice_and_no_further() {
        for (entries, fitting, tried) in [
            (4096, 4096, &[4096][..]),
            (4096, 300, &[4096, 2048, 1024, 512, 256]),
            (100, 64, &[128, 64]),
            (64, 64, &[64]),
        ] {
            let mut asked = Vec::new();
            let built = shrinking(entries, |wanted| {
                asked.push(wanted);
                if wanted <= fitting { Ok(wanted) } else { Err(error(libc::ENOMEM, wanted)) }
            });
            assert_eq!((built.ok(), &*asked), (tried.last().copied(), tried));
        }
        let mut last = 0;
        let refused = shrinking::<()>(1000, |wanted| {
            last = wanted;
            Err(error(libc::ENOMEM, wanted))
        });
        let text = refused.expect_err("there is no memory at all").to_string();
        assert_eq!(last, RING_ENTRIES_MIN);
        assert!(text.contains("a ring of 64 entries") && text.contains("RLIMIT_MEMLOCK"), "{text}");
    }

    #[test]
    fn what_a_smaller_ring_does_not_help_is_told_at_once_with_its_remedy() {
        for (number, remedy) in [
            (libc::EPERM, "kernel.io_uring_disabled=0"),
            (libc::ENOSYS, "seccomp"),
            (libc::EINVAL, "Linux 6.1 or newer"),
            (libc::EMFILE, "RLIMIT_NOFILE"),
            (libc::ENFILE, "RLIMIT_NOFILE"),
        ] {
            let mut tries = 0;
            let refused = shrinking::<()>(4096, |wanted| {
                tries += 1;
                Err(error(number, wanted))
            });
            let text = refused.expect_err("refused").to_string();
            assert!(tries == 1 && text.contains(remedy), "{tries} tries: {text}");
        }
    }
}
