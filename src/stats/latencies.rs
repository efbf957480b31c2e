//! Latencies in fixed buckets, with one writer.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets, microseconds; one more bucket is unbounded.
pub const LATENCY_BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// Counts of latencies.
#[derive(Default)]
pub struct Latencies {
    buckets: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Latencies {
    /// Counts a latency in microseconds. Only the shard that owns the counts may call this.
    pub fn add(&self, us: u64) {
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        bump(&self.buckets[bucket], 1);
        bump(&self.sum_us, us);
    }

    /// Counts per bucket, those of lower buckets not included.
    pub fn read(&self) -> [u64; LATENCY_BOUNDS_US.len() + 1] {
        std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed))
    }

    /// Sets all counts to zero.
    pub fn clear(&self) {
        let cells = self.buckets.iter().chain([&self.sum_us]);
        cells.for_each(|cell| cell.store(0, Ordering::Relaxed));
    }

    /// The sum of all latencies, microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us.load(Ordering::Relaxed)
    }
}

fn bump(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_counted_in_the_bucket_whose_bound_it_does_not_exceed() {
        let latencies = Latencies::default();
        for us in [0, 100, 101, 10_000_000, 10_000_001] {
            latencies.add(us);
        }
        let counts = latencies.read();
        assert_eq!((counts[0], counts[1], counts[15], counts[16]), (2, 1, 1, 1));
        assert_eq!(latencies.sum_us(), 20_000_202);
    }
}
