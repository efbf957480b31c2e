//! Connections of one kind whose number is limited over all shards: those of a listener.
//!
//! Each shard counts its own. While there is a limit it counts them in a sum too, which all shards
//! share: the limit is reached and kept exactly. Without one, shards share nothing.

use super::line::Line;
use super::tables::Level;
use crate::base::ShardId;
use crate::limits::SHARDS_MAX;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// No limit.
pub const NO_LIMIT: u32 = u32::MAX;

/// Shards in one word of a set of them.
const WORD: usize = u64::BITS as usize;

/// The connections over all shards, and the shards that wait for one of them to close.
#[derive(Default)]
pub(super) struct Sum(Line<Shared>);

#[derive(Default)]
struct Shared {
    open: AtomicU32,
    waiting: [AtomicU64; SHARDS_MAX.div_ceil(WORD)],
    /// Where to look for the next one that waits, so that each has its turn.
    next: AtomicU32,
}

/// The connections of one shard. Only the shard changes them.
#[derive(Default)]
pub(super) struct Own {
    open: Level,
    /// They are in the sum.
    is_summed: AtomicBool,
}

impl Own {
    pub(super) fn read(&self) -> u32 {
        self.open.read()
    }
}

/// The connections of one kind, as one shard has them.
#[derive(Clone, Copy)]
pub struct Quota<'l> {
    pub(super) shard: ShardId,
    pub(super) own: &'l Own,
    pub(super) sum: &'l Sum,
}

impl Quota<'_> {
    /// Connections of this shard.
    pub fn own(&self) -> u32 {
        self.own.read()
    }

    /// Follows a limit of `most` connections, or [`NO_LIMIT`]: only from then on [`Quota::take`]
    /// keeps it.
    pub fn follow(&self, most: u32) {
        let is_summed = most != NO_LIMIT;
        if self.is_summed() == is_summed {
            return;
        }
        self.own.is_summed.store(is_summed, Ordering::Relaxed);
        if is_summed {
            self.sum.add(self.own());
        } else {
            self.sum.take_off(self.own());
        }
    }

    /// Counts one more connection, unless there are `most` over all shards that follow a limit.
    pub fn take(&self, most: u32) -> bool {
        if self.is_summed() && !self.sum.add_below(most) {
            return false;
        }
        self.own.open.rise();
        true
    }

    /// Counts one more connection, whatever the limit.
    pub fn take_anyway(&self) {
        if self.is_summed() {
            self.sum.add(1);
        }
        self.own.open.rise();
    }

    /// Counts a connection that has closed. Returns a shard that waits for that, if any; it does
    /// not count as waiting any more.
    pub fn put_back(&self) -> Option<ShardId> {
        self.own.open.fall();
        if !self.is_summed() {
            return None;
        }
        self.sum.take_off(1);
        self.sum.next_waiting()
    }

    /// Connections that may still be opened; none is exact.
    pub fn free(&self, most: u32) -> u32 {
        if self.is_summed() { most.saturating_sub(self.sum.open()) } else { NO_LIMIT }
    }

    /// The shard waits until a connection closes. It looks at [`Quota::free`] after this, and not
    /// only before: the last one may have closed in between.
    pub fn begin_waiting(&self) {
        self.sum.add_waiting(self.shard);
    }

    /// True until a connection has closed for this shard.
    pub fn is_waiting(&self) -> bool {
        self.sum.is_waiting(self.shard)
    }

    /// The shard has lost its connections.
    pub(super) fn reset(&self) {
        self.follow(NO_LIMIT);
        self.own.open.set(0);
        self.sum.remove_waiting(self.shard);
    }

    fn is_summed(&self) -> bool {
        self.own.is_summed.load(Ordering::Relaxed)
    }
}

fn bit(shard: ShardId) -> (usize, u64) {
    (shard.index() / WORD, 1 << (shard.index() % WORD))
}

// Sequentially consistent where a shard that waits and one whose connection closes look at what the
// other one writes: one of them sees it.
impl Sum {
    fn open(&self) -> u32 {
        self.0.open.load(Ordering::SeqCst)
    }

    fn add(&self, count: u32) {
        self.0.open.fetch_add(count, Ordering::SeqCst);
    }

    fn add_below(&self, most: u32) -> bool {
        let more = |open: u32| (open < most).then_some(open + 1);
        self.0.open.fetch_update(Ordering::SeqCst, Ordering::Relaxed, more).is_ok()
    }

    fn take_off(&self, count: u32) {
        self.0.open.fetch_sub(count, Ordering::SeqCst);
    }

    fn add_waiting(&self, shard: ShardId) {
        let (word, bit) = bit(shard);
        self.0.waiting[word].fetch_or(bit, Ordering::SeqCst);
    }

    fn is_waiting(&self, shard: ShardId) -> bool {
        let (word, bit) = bit(shard);
        self.0.waiting[word].load(Ordering::SeqCst) & bit != 0
    }

    /// True if it was waiting.
    fn remove_waiting(&self, shard: ShardId) -> bool {
        let (word, bit) = bit(shard);
        self.0.waiting[word].fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    /// Takes the next shard that waits out of their set.
    fn next_waiting(&self) -> Option<ShardId> {
        let from = self.0.next.load(Ordering::Relaxed) as usize % SHARDS_MAX;
        // The word of `from` twice: first from there on, in the end what is before it.
        for step in 0..=self.0.waiting.len() {
            let word = (from / WORD + step) % self.0.waiting.len();
            let mut waiting = self.0.waiting[word].load(Ordering::SeqCst);
            if step == 0 {
                waiting &= u64::MAX << (from % WORD);
            }
            while waiting != 0 {
                let shard = ShardId((word * WORD) as u16 + waiting.trailing_zeros() as u16);
                if self.remove_waiting(shard) {
                    self.0.next.store(u32::from(shard.0) + 1, Ordering::Relaxed);
                    return Some(shard);
                }
                waiting &= waiting - 1;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas<'l>(own: &'l [Own], sum: &'l Sum) -> Vec<Quota<'l>> {
        let quota = |(shard, own)| Quota { shard: ShardId(shard as u16), own, sum };
        own.iter().enumerate().map(quota).collect()
    }

    fn shards(count: usize) -> Vec<Own> {
        (0..count).map(|_| Own::default()).collect()
    }

    #[test]
    fn a_limit_that_comes_and_goes_counts_what_is_open_already() {
        let (own, sum) = (shards(2), Sum::default());
        let [one, two] = quotas(&own, &sum)[..] else { panic!("two") };
        assert!(one.take(NO_LIMIT) && one.take(NO_LIMIT) && two.take(NO_LIMIT));
        assert_eq!((sum.open(), one.free(1)), (0, NO_LIMIT), "nothing is shared without a limit");
        [one, two].into_iter().for_each(|quota| quota.follow(4));
        assert_eq!((one.free(4), two.free(4)), (1, 1));
        assert!(two.take(4) && !two.take(4) && !one.take(4));
        assert!(one.put_back().is_none() && two.take(4), "one closed on the other shard");
        // A lower one: none is opened before enough have closed.
        assert!(!one.take(2) && two.put_back().is_none() && !one.take(2));
        one.follow(NO_LIMIT);
        assert!(one.take(1) && one.put_back().is_none());
        assert_eq!((one.own(), two.own(), sum.open()), (1, 2, 2));
        two.reset();
        assert_eq!((two.own(), sum.open()), (0, 0));
    }

    #[test]
    fn shards_that_wait_have_their_turn_one_after_the_other() {
        let (own, sum) = (shards(SHARDS_MAX), Sum::default());
        let quotas = quotas(&own, &sum);
        quotas.iter().for_each(|quota| quota.follow(1));
        assert!(quotas[7].take(1));
        let waiting = [3, 63, 64, 200, 255];
        let mut served = Vec::new();
        for _ in 0..2 {
            waiting.iter().for_each(|at| quotas[*at].begin_waiting());
            for _ in waiting {
                let next = quotas[7].put_back().expect("one waits").index();
                assert!(!quotas[next].is_waiting() && quotas[7].take(1));
                served.push(next);
            }
        }
        assert_eq!(served, [waiting, waiting].concat());
        // One that waits again at once is behind the others.
        [3, 200].into_iter().for_each(|at| quotas[at].begin_waiting());
        let mut served = Vec::new();
        for _ in 0..4 {
            let next = quotas[7].put_back().expect("one waits");
            assert!(quotas[7].take(1));
            quotas[next.index()].begin_waiting();
            served.push(next.index());
        }
        assert_eq!(served, [3, 200, 3, 200]);
        quotas[3].reset();
        assert_eq!(quotas[7].put_back(), Some(ShardId(200)));
        assert_eq!(quotas[8].free(1), 1);
    }

    #[test]
    fn shards_that_open_at_the_same_moment_are_never_over_the_limit_together() {
        const MOST: u32 = 2;
        let (own, sum) = (shards(3), Sum::default());
        let (open, opened) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for quota in quotas(&own, &sum) {
                let (open, opened) = (&open, &opened);
                scope.spawn(move || {
                    quota.follow(MOST);
                    for _ in 0..50_000 {
                        if quota.take(MOST) {
                            let now = open.fetch_add(1, Ordering::SeqCst) + 1;
                            assert!(now <= MOST, "{now} of {MOST}");
                            opened.fetch_add(1, Ordering::Relaxed);
                            open.fetch_sub(1, Ordering::SeqCst);
                            quota.put_back();
                        }
                    }
                });
            }
        });
        assert!(opened.into_inner() > 0);
        assert_eq!(sum.open(), 0);
    }
}
