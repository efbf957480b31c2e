//! Medians, and ratios between proxies. Values of one proxy come as (round, value).

/// A value and the round it is from.
pub type Sample = (u32, f64);

/// The middle value; of an even number the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0)
}

/// Each value as a multiple of the base's value of the same round. A round that one of them lacks,
/// or in which the base has no positive value, is left out.
pub fn ratios(values: &[Sample], base: &[Sample]) -> Vec<f64> {
    let ratio = |&(round, value): &Sample| {
        let (_, of_base) =
            base.iter().find(|(other, of_base)| *other == round && *of_base > 0.0)?;
        Some(value / of_base)
    };
    values.iter().filter_map(ratio).collect()
}

/// The lowest and the highest value.
pub fn range(values: &[f64]) -> Option<(f64, f64)> {
    let lowest = values.iter().copied().min_by(f64::total_cmp)?;
    let highest = values.iter().copied().max_by(f64::total_cmp)?;
    Some((lowest, highest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn a_ratio_is_within_a_round() {
        let base = [(1, 2.0), (2, 4.0), (4, 0.0)];
        let values = [(2, 8.0), (1, 3.0), (3, 5.0), (4, 5.0)];
        assert_eq!(ratios(&values, &base), [2.0, 1.5], "rounds 3 and 4 have no base");
    }

    #[test]
    fn the_range_is_lowest_and_highest() {
        assert_eq!(range(&[2.0, 1.0, 3.0]), Some((1.0, 3.0)));
        assert_eq!(range(&[]), None);
    }
}
