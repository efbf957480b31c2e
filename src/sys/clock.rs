//! The clocks as the pure code wants them: numbers.

use crate::base::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, on CLOCK_MONOTONIC.
pub fn monotonic() -> Instant {
    Instant::from_nanos(nanos(libc::CLOCK_MONOTONIC))
}

/// The wall clock, whole seconds since 1970; 0 before that. No system call: the kernel lets every
/// process read it (vDSO).
pub fn wall_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// CPU time of all threads of the process.
pub fn process_cpu() -> Duration {
    Duration::from_nanos(nanos(libc::CLOCK_PROCESS_CPUTIME_ID))
}

fn nanos(clock: libc::clockid_t) -> u64 {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // JUSTIFICATION: std's Instant hides its number, and the wheel and the simulator need one; std
    // has no clock of CPU time.
    // SAFETY: `spec` is a valid place for the result; the call has no other effect.
    let result = unsafe { libc::clock_gettime(clock, &mut spec) };
    assert_eq!(result, 0, "these clocks exist on every Linux");
    spec.tv_sec as u64 * 1_000_000_000 + spec.tv_nsec as u64
}
