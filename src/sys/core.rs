//! Cores of the processor: which of them the process may run on, and a thread that stays on one.

use super::check;
use std::io;

/// The cores that this thread may run on, in ascending order.
///
/// # Errors
/// The kernel counts more cores than a `cpu_set_t` holds.
pub fn allowed() -> io::Result<Vec<usize>> {
    let mut set = empty_set();
    // SAFETY: `set` has the size that is passed; 0 is the calling thread.
    check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) })?;
    // SAFETY: each number is below the size of the set.
    let holds = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(holds).collect())
}

/// The calling thread runs on `core` alone.
///
/// # Errors
/// The process may not run on it.
pub fn pin_thread(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = empty_set();
    // SAFETY: the number is below the size of the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` has the size that is passed; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) }).map(drop)
}

fn empty_set() -> libc::cpu_set_t {
    // SAFETY: a set is an array of bits; all of them zero is the empty one.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_runs_on_its_core_alone() {
        let cores = allowed().unwrap();
        assert!(!cores.is_empty());
        for core in cores {
            let pinned = std::thread::spawn(move || pin_thread(core).and_then(|()| allowed()));
            assert_eq!(pinned.join().unwrap().unwrap(), [core]);
        }
    }

    #[test]
    fn a_core_that_no_machine_has_is_refused() {
        assert!(pin_thread(usize::MAX).is_err());
        assert!(pin_thread(libc::CPU_SETSIZE as usize).is_err());
    }
}
