//! The reasons why the ring cannot be built, each in one sentence with the remedy.

use std::fmt;
use std::io;

/// The reason why io_uring cannot be used here. Its text is one sentence with the remedy.
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
    /// Another error of the kernel.
    Other(io::Error),
}

impl SetupError {
    pub(super) fn from_ring(error: io::Error, entries: u32) -> Self {
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

    /// The error of an operation that only needs a descriptor.
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
