//! Building the ring, and saying in one sentence why it cannot be built and what to do.

use io_uring::IoUring;
use std::fmt;
use std::io;

/// Fewest submission entries that the engine shrinks to before it gives up on memory.
const RING_ENTRIES_MIN: u32 = 64;
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
            Some(libc::EMFILE | libc::ENFILE) => Self::OutOfDescriptors,
            _ => Self::Other(error),
        }
    }

    pub(super) fn from_buffer_ring(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINVAL) => Self::KernelTooOld("provided-buffer rings".to_owned()),
            Some(libc::ENOMEM) => Self::OutOfMemory("the receive buffers".to_owned()),
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
                 shell: ulimit -l unlimited), or lower --ring-entries, --buffers-per-shard or \
                 --shards"
            ),
            Self::OutOfDescriptors => write!(
                f,
                "no file descriptor left for a ring: raise RLIMIT_NOFILE (systemd: \
                 LimitNOFILE=1048576; shell: ulimit -n 1048576)"
            ),
            Self::Other(error) => write!(f, "io_uring cannot be set up: {error}"),
        }
    }
}

impl std::error::Error for SetupError {}

/// A ring of `entries`, or of half as many again and again while memory does not suffice.
pub(super) fn build_ring(entries: u32) -> Result<IoUring, SetupError> {
    let mut wanted = entries.next_power_of_two();
    loop {
        match build_ring_of(wanted) {
            Ok(ring) => return Ok(ring),
            Err(SetupError::OutOfMemory(_)) if wanted / 2 >= RING_ENTRIES_MIN => {
                wanted /= 2;
                tracing::warn!(entries = wanted, "no memory for the ring, trying a smaller one");
            }
            Err(error) => return Err(error),
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
