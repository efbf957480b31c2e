//! Resource limits of the process.

use super::check;
use std::io;

/// A resource whose limit matters to a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Open descriptors: two for each proxied connection.
    OpenFiles,
    /// Locked memory, bytes: rings are counted here.
    LockedMemory,
    /// Address space, bytes: whatever is mapped is counted, used or not.
    AddressSpace,
}

impl Resource {
    fn number(self) -> libc::__rlimit_resource_t {
        match self {
            Self::OpenFiles => libc::RLIMIT_NOFILE,
            Self::LockedMemory => libc::RLIMIT_MEMLOCK,
            Self::AddressSpace => libc::RLIMIT_AS,
        }
    }
}

/// The soft and the hard limit; `u64::MAX` for none.
pub fn limit(resource: Resource) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // JUSTIFICATION: std does not offer getrlimit.
    // SAFETY: `limit` is a valid place for the result.
    check(unsafe { libc::getrlimit(resource.number(), &mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Raises the soft limit to the hard one and returns what it is then.
pub fn raise_to_hard(resource: Resource) -> io::Result<u64> {
    let (_, hard) = limit(resource)?;
    let wanted = libc::rlimit { rlim_cur: hard, rlim_max: hard };
    // JUSTIFICATION: std does not offer setrlimit.
    // SAFETY: `wanted` is a valid limit; the call only reads it.
    check(unsafe { libc::setrlimit(resource.number(), &wanted) })?;
    Ok(hard)
}

/// True if an error says that the process, or the system, can open no more descriptors.
pub fn is_for_want_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
