//! Client connections of the whole process, for `max_connections`.
//!
//! A shard accepts on places that it holds (see `places`), and takes more from the pool, a few at
//! once: far below the limit no shard reads the others' counts. When the pool is empty, it takes
//! the spare places of all shards: the limit is reached exactly.

use super::Mailbox;
use std::sync::Arc;

/// Counts one more connection to `shard`, which has `own`, unless the process has `most` already.
/// Never too many over all shards; sometimes one too few for a moment.
pub fn admit(mailboxes: &[Arc<Mailbox>], shard: usize, own: u32, most: u32) -> bool {
    let (pool, shards) = (&mailboxes[shard].shared.places, mailboxes.len() as u32);
    let share = mailboxes[shard].share();
    share.follow(most, shards);
    if pool.is_over(most) {
        collect(mailboxes);
    }
    if share.enlarge(own + 1, 0) {
        return true;
    }
    let mut portion = share.portion(pool.free(most), shards);
    if !pool.take(portion, most) {
        collect(mailboxes);
        portion = 1;
        if !pool.take(portion, most) {
            return false;
        }
    }
    let is_admitted = share.enlarge(own + 1, portion);
    if !is_admitted {
        pool.put_back(portion);
    }
    is_admitted
}

/// Connections that the process may still accept, those in transit between shards counted. An
/// estimate, by the spare places too low; zero is exact. Only [`admit`] keeps the limit.
pub fn places(mailboxes: &[Arc<Mailbox>], most: u32) -> u32 {
    let pool = &mailboxes[0].shared.places;
    match pool.free(most) {
        0 => {
            collect(mailboxes);
            pool.free(most)
        }
        free => free,
    }
}

/// Puts the spare places of all shards into the pool.
#[cold]
fn collect(mailboxes: &[Arc<Mailbox>]) {
    let pool = &mailboxes[0].shared.places;
    mailboxes.iter().for_each(|mailbox| mailbox.share().give_up_spare(pool));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ShardId;
    use crate::engine::Wake;
    use crate::mailbox::Shared;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct NoWake;

    impl Wake for NoWake {
        fn wake(&self) {}
    }

    #[test]
    fn shards_that_admit_at_the_same_moment_are_never_over_the_limit_together() {
        const SHARDS: usize = 3;
        const MOST: u32 = 1;
        const ROUNDS: usize = 100_000;
        let shared = Shared::new(SHARDS, 0, Arc::new(NoWake));
        let mailbox =
            |n| Arc::new(Mailbox::new(ShardId(n as u16), Arc::new(NoWake), shared.clone()));
        let mailboxes: Vec<_> = (0..SHARDS).map(mailbox).collect();
        let (open, admitted) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for shard in 0..SHARDS {
                let (mailboxes, open, admitted) = (&mailboxes, &open, &admitted);
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        if admit(mailboxes, shard, 0, MOST) {
                            let now_open = open.fetch_add(1, Ordering::SeqCst) + 1;
                            assert!(now_open <= MOST, "{now_open} of {MOST}");
                            admitted.fetch_add(1, Ordering::Relaxed);
                            std::hint::spin_loop();
                            open.fetch_sub(1, Ordering::SeqCst);
                            mailboxes[shard].show_connections(0);
                        }
                    }
                });
            }
        });
        assert!(admitted.into_inner() > 0);
        assert!(
            (0..SHARDS).map(|shard| admit(&mailboxes, shard, 0, MOST)).eq([true, false, false])
        );
        assert_eq!((places(&mailboxes, MOST), places(&mailboxes, MOST + 1)), (0, 1));
    }
}
