//! Places for client connections, which shards take from one pool and hold in advance: a shard
//! accepts on places that it holds, and need not read how many connections each other shard has.
//!
//! A place is in the pool, on its way, or with one shard, used or spare. It is added to a shard
//! after it was taken from the pool, and put back after the shard has lost it. So the used places
//! of all shards are never more than the pool has given away.

use super::line::Line;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Most spare places of a shard, and twice what it takes from the pool at once.
const SPARE_MAX: u32 = 32;
/// All shards together keep no more than this part of the places spare.
const SPARE_PART: u32 = 8;

/// The places that all shards hold together.
#[derive(Default)]
pub struct Pool(Line<Held>);

#[derive(Default)]
struct Held {
    /// Used and spare ones.
    held: AtomicU64,
    /// Connections on the way from a shard to another one. They hold no place yet.
    arriving: AtomicU64,
}

impl Pool {
    /// Takes `count` places, unless more than `most` were given away then.
    pub(super) fn take(&self, count: u32, most: u32) -> bool {
        let more = |held: u64| {
            let held = held + u64::from(count);
            (held <= u64::from(most)).then_some(held)
        };
        self.0.held.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_ok()
    }

    /// Takes `count` places even if there are none.
    fn take_anyway(&self, count: u32) {
        self.0.held.fetch_add(count.into(), Ordering::AcqRel);
    }

    pub(super) fn put_back(&self, count: u32) {
        if count > 0 {
            self.0.held.fetch_sub(count.into(), Ordering::AcqRel);
        }
    }

    /// More were given away than there may be: the limit is lower than it was.
    pub(super) fn is_over(&self, most: u32) -> bool {
        self.0.held.load(Ordering::Relaxed) > most.into()
    }

    /// Places that nobody holds, less one for each connection between shards.
    pub(super) fn free(&self, most: u32) -> u32 {
        let Held { held, arriving } = &*self.0;
        let taken = held.load(Ordering::Relaxed).saturating_add(arriving.load(Ordering::Relaxed));
        most.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }

    pub(super) fn note_departure(&self) {
        self.0.arriving.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_arrival(&self) {
        self.0.arriving.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The places of one shard. Only the shard uses them; another one may take those that are spare.
#[derive(Default)]
pub(super) struct Share {
    /// Used ones in the upper half, spare ones in the lower.
    places: AtomicU64,
    /// Spare ones that the shard keeps at most.
    kept: AtomicU32,
}

fn split(places: u64) -> (u32, u32) {
    ((places >> 32) as u32, places as u32)
}

fn join(used: u32, spare: u32) -> u64 {
    u64::from(used) << 32 | u64::from(spare)
}

impl Share {
    pub(super) fn used(&self) -> u32 {
        split(self.places.load(Ordering::Relaxed)).0
    }

    /// Follows the limit of `most` connections over so many shards.
    pub(super) fn follow(&self, most: u32, shards: u32) {
        let kept = (most / SPARE_PART / shards).clamp(1, SPARE_MAX);
        if self.kept.load(Ordering::Relaxed) != kept {
            self.kept.store(kept, Ordering::Relaxed);
        }
    }

    /// How many places to take at once while `free` are left for so many shards.
    pub(super) fn portion(&self, free: u32, shards: u32) -> u32 {
        let most = (self.kept.load(Ordering::Relaxed) / 2).max(1);
        (free / SPARE_PART / shards).clamp(1, most)
    }

    /// Uses `used` places of those that it holds and of `more` from the pool; false if these are
    /// not enough, and nothing has changed.
    pub(super) fn enlarge(&self, used: u32, more: u32) -> bool {
        let enlarged = |places: u64| {
            let (before, spare) = split(places);
            let spare = (before + spare + more).checked_sub(used)?;
            Some(join(used, spare))
        };
        self.places.fetch_update(Ordering::AcqRel, Ordering::Relaxed, enlarged).is_ok()
    }

    /// Uses `used` places, whether there are as many or not, and keeps few more.
    pub(super) fn set(&self, used: u32, pool: &Pool) {
        let mut places = self.places.load(Ordering::Relaxed);
        loop {
            let (before, spare) = split(places);
            if before == used {
                return;
            }
            let held = before + spare;
            let missing = used.saturating_sub(held);
            let kept = self.kept.load(Ordering::Relaxed);
            let (spare, excess) = match held.saturating_sub(used) {
                spare if spare > kept => (kept / 2, spare - kept / 2),
                spare => (spare, 0),
            };
            pool.take_anyway(missing);
            let (old, new) = (places, join(used, spare));
            match self.places.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return pool.put_back(excess),
                Err(now) => {
                    pool.put_back(missing);
                    places = now;
                }
            }
        }
    }

    /// Puts its spare places back into the pool.
    pub(super) fn give_up_spare(&self, pool: &Pool) {
        let without = |places: u64| {
            let (used, spare) = split(places);
            (spare > 0).then_some(join(used, 0))
        };
        if let Ok(places) = self.places.fetch_update(Ordering::AcqRel, Ordering::Relaxed, without) {
            pool.put_back(split(places).1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(pool: &Pool) -> u64 {
        pool.0.held.load(Ordering::Relaxed)
    }

    #[test]
    fn a_shard_uses_what_it_holds_and_keeps_little_of_what_it_no_longer_needs() {
        let (pool, share) = (Pool::default(), Share::default());
        share.follow(1000, 4);
        assert_eq!(share.portion(1000, 4), 15);
        assert!(!share.enlarge(1, 0), "it holds none");
        assert!(pool.take(15, 1000) && share.enlarge(1, 15));
        (2..=15).for_each(|used| assert!(share.enlarge(used, 0)));
        assert!(!share.enlarge(16, 0) && share.used() == 15);
        // As in a drain, when every connection is served.
        share.set(100, &pool);
        assert_eq!((share.used(), held(&pool)), (100, 100));
        for (used, expected) in [(70, 100), (69, 100), (68, 83), (60, 83), (0, 15)] {
            share.set(used, &pool);
            assert_eq!((share.used(), held(&pool)), (used, expected));
        }
        share.give_up_spare(&pool);
        assert_eq!((share.used(), held(&pool)), (0, 0));
    }

    #[test]
    fn few_places_are_taken_one_by_one_and_hardly_kept() {
        for (most, shards, kept, portion) in [
            (1, 1, 1, 1),
            (100, 64, 1, 1),
            (4096, 64, 8, 4),
            (100_000, 64, 32, 16),
            (100_000, 1, 32, 16),
        ] {
            let share = Share::default();
            share.follow(most, shards);
            assert_eq!(share.kept.load(Ordering::Relaxed), kept, "{most} on {shards}");
            assert_eq!(share.portion(most, shards), portion, "{most} on {shards}");
            assert_eq!(share.portion(shards, shards), 1, "{most} on {shards}");
        }
    }

    #[test]
    fn the_pool_gives_no_more_than_there_are_and_counts_what_is_between_shards() {
        let pool = Pool::default();
        assert!(pool.take(3, 5) && !pool.take(3, 5) && pool.take(2, 5));
        assert!(!pool.is_over(5) && pool.is_over(4));
        assert_eq!((pool.free(5), pool.free(8)), (0, 3));
        pool.note_departure();
        assert_eq!((pool.free(5), pool.free(8)), (0, 2));
        pool.note_arrival();
        pool.put_back(5);
        assert_eq!(pool.free(5), 5);
    }
}
