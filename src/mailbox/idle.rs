//! Idle connections of a shard to a backend, which another shard may claim: where the number of
//! connections to the backend is limited, one that is idle here must not keep the other shard from
//! opening one. The other shard opens it at once, and this one closes the idle one.

use std::sync::atomic::{AtomicU64, Ordering};

/// Idle connections in the upper half, claimed ones of them in the lower.
#[derive(Default)]
pub struct Idle(AtomicU64);

fn split(both: u64) -> (u32, u32) {
    ((both >> 32) as u32, both as u32)
}

fn join(idle: u32, claimed: u32) -> u64 {
    u64::from(idle) << 32 | u64::from(claimed)
}

impl Idle {
    /// Idle connections.
    pub fn count(&self) -> u32 {
        split(self.0.load(Ordering::Relaxed)).0
    }

    /// Those that are not claimed.
    pub fn unclaimed(&self) -> u32 {
        let (idle, claimed) = split(self.0.load(Ordering::Relaxed));
        idle - claimed
    }

    /// One more is idle.
    pub fn add(&self) {
        self.change(|idle, claimed| Some((idle + 1, claimed)));
    }

    /// One is used again; false if none is left that is not claimed.
    pub fn reuse(&self) -> bool {
        self.change(|idle, claimed| (idle > claimed).then(|| (idle - 1, claimed)))
    }

    /// One closes: a claimed one, if there is one.
    pub fn close(&self) {
        self.change(|idle, claimed| Some((idle.saturating_sub(1), claimed.saturating_sub(1))));
    }

    /// True if one has to be closed for another shard.
    pub fn is_claimed(&self) -> bool {
        split(self.0.load(Ordering::Acquire)).1 > 0
    }

    /// Claims one for another shard; false if there is none.
    pub(super) fn claim(&self) -> bool {
        self.change(|idle, claimed| (idle > claimed).then(|| (idle, claimed + 1)))
    }

    /// Takes a claim back that the shard could not be told of.
    pub(super) fn unclaim(&self) {
        self.change(|idle, claimed| Some((idle, claimed.saturating_sub(1))));
    }

    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn change(&self, change: impl Fn(u32, u32) -> Option<(u32, u32)>) -> bool {
        let changed = |both: u64| {
            let (idle, claimed) = split(both);
            change(idle, claimed).map(|(idle, claimed)| join(idle, claimed))
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, changed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_is_not_used_again_and_each_that_closes_is_for_one_claim() {
        let idle = Idle::default();
        assert!(!idle.claim() && !idle.reuse() && !idle.is_claimed());
        (0..3).for_each(|_| idle.add());
        assert!(idle.claim() && idle.claim());
        assert_eq!((idle.count(), idle.unclaimed()), (3, 1));
        assert!(idle.reuse() && !idle.reuse() && !idle.claim());
        assert!(idle.is_claimed());
        idle.close();
        assert!(idle.is_claimed());
        idle.unclaim();
        assert_eq!((idle.count(), idle.unclaimed(), idle.is_claimed()), (1, 1, false));
        // Told too late: it has closed in the meantime.
        assert!(idle.claim());
        idle.close();
        idle.unclaim();
        assert_eq!((idle.count(), idle.is_claimed()), (0, false));
    }
}
