//! The monotonic clock as the pure code wants it: a number.

use crate::base::Instant;

/// Now, on CLOCK_MONOTONIC.
pub fn monotonic() -> Instant {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // JUSTIFICATION: std's Instant hides its number, and the wheel and the simulator need one.
    // SAFETY: `spec` is a valid place for the result; the call has no other effect.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut spec) };
    assert_eq!(result, 0, "CLOCK_MONOTONIC exists on every Linux");
    Instant::from_nanos(spec.tv_sec as u64 * 1_000_000_000 + spec.tv_nsec as u64)
}
