//! Client connections of the whole process, for `max_connections`.
//!
//! Each shard publishes its own count and reads the others': one writer for each count, no lock.
//! So that two shards never both take the last place, a shard counts the connection first and
//! reads the other counts then. Of two that do so at the same moment at least one sees the other;
//! both may, and then both defer their connection.

use super::Mailbox;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Counts one more connection to `shard`, which has `own`, unless the process has `most` already.
/// Never too many over all shards; sometimes one too few for a moment.
pub fn admit(mailboxes: &[Arc<Mailbox>], shard: usize, own: u32, most: u32) -> bool {
    mailboxes[shard].show_connections(own + 1);
    // Between this shard's store and its loads, as in every other shard: of two fences one is the
    // first, and the shard of the other one sees the store before it.
    fence(Ordering::SeqCst);
    let total: u64 = mailboxes.iter().map(|mailbox| u64::from(mailbox.served())).sum();
    let is_admitted = total <= u64::from(most);
    if !is_admitted {
        mailboxes[shard].show_connections(own);
    }
    is_admitted
}

/// Connections that the process may still accept, those in transit between shards counted. An
/// estimate: only [`admit`] is exact.
pub fn places(mailboxes: &[Arc<Mailbox>], most: u32) -> u32 {
    let total: u64 = mailboxes.iter().map(|mailbox| u64::from(mailbox.connections())).sum();
    most.saturating_sub(u32::try_from(total).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ShardId;
    use crate::engine::Wake;
    use crate::mailbox::Shared;
    use std::sync::atomic::AtomicU32;

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
