//! A histogram of durations with a bounded relative error and a fixed size.

use std::time::Duration;

/// Each power of two is split into `2^6` buckets: no value is off by more than 1.6 %.
const SPLIT_BITS: u32 = 6;
const BUCKETS: usize = ((64 - SPLIT_BITS + 1) as usize) << SPLIT_BITS;

/// Counts of durations, in buckets that grow with the duration.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], total: 0 }
    }

    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(nanoseconds)] += 1;
        self.total += 1;
    }

    /// The duration that the given share of all recorded ones did not exceed, in microseconds.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return upper_bound(bucket) as f64 / 1_000.0;
            }
        }
        0.0
    }
}

fn bucket_of(value: u64) -> usize {
    let magnitude = 63 - (value | 1).leading_zeros();
    if magnitude < SPLIT_BITS {
        return value as usize;
    }
    let shift = magnitude - SPLIT_BITS;
    let within = (value >> shift) & ((1 << SPLIT_BITS) - 1);
    (((shift + 1) as usize) << SPLIT_BITS) + within as usize
}

fn upper_bound(bucket: usize) -> u64 {
    let shift = bucket >> SPLIT_BITS;
    let within = (bucket & ((1 << SPLIT_BITS) - 1)) as u64;
    if shift == 0 {
        return within;
    }
    let shift = shift as u32 - 1;
    let lower = ((1 << SPLIT_BITS) + within) << shift;
    lower + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_inside_its_bucket() {
        for value in (0..200).chain([1_000, 65_535, 65_536, 1_234_567, u64::MAX / 2, u64::MAX]) {
            let bucket = bucket_of(value);
            assert!(upper_bound(bucket) >= value, "{value} is above bucket {bucket}");
            assert!(bucket == 0 || upper_bound(bucket - 1) < value, "{value} fits a lower bucket");
        }
    }

    #[test]
    fn quantiles_of_an_even_spread() {
        let mut histogram = Histogram::new();
        (1..=1_000).for_each(|us| histogram.record(Duration::from_micros(us)));
        assert!((histogram.quantile_us(0.5) / 500.0 - 1.0).abs() < 0.02);
        assert!((histogram.quantile_us(0.99) / 990.0 - 1.0).abs() < 0.02);
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(Histogram::new().quantile_us(0.5), 0.0);
    }
}
