//! Prints counts, as a table or as JSON, and compares them with earlier ones. Does not count.

use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// A case that takes so much more than before has regressed. Repeated runs of one binary differ
/// by far less.
const REGRESSION: f64 = 0.02;

/// The count of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// The name of the case.
    pub case: String,
    /// Instructions per operation.
    pub instructions: f64,
}

/// Counts of an earlier run.
#[derive(Debug)]
pub struct Baseline {
    counts: Vec<Count>,
}

impl Baseline {
    /// Reads what [`json`] gave.
    pub fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let place = path.display();
        let text =
            fs::read_to_string(path).map_err(|error| format!("cannot read {place}: {error}"))?;
        let counts = serde_json::from_str(&text)
            .map_err(|error| format!("{place} is not the output of --json: {error}"))?;
        Ok(Self { counts })
    }

    /// True if any case takes so much more than before.
    pub fn has_regressed(&self, counts: &[Count]) -> bool {
        counts.iter().filter_map(|count| self.change(count)).any(|change| change > REGRESSION)
    }

    /// By which part a count is more than before; none for a case that is new.
    fn change(&self, count: &Count) -> Option<f64> {
        let before = self.counts.iter().find(|before| before.case == count.case)?;
        Some(count.instructions / before.instructions - 1.0)
    }
}

/// For machines.
pub fn json(counts: &[Count]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(counts)
}

/// For people.
pub fn table(counts: &[Count], baseline: Option<&Baseline>) -> String {
    let width = counts.iter().map(|count| count.case.len()).max().unwrap_or(0);
    let mut table = format!("{:width$}  instructions per operation\n", "case");
    for count in counts {
        let Count { case, instructions } = count;
        // Writing to a string cannot fail.
        let _ = write!(table, "{case:width$}  {instructions:>12.1}");
        if let Some(change) = baseline.and_then(|baseline| baseline.change(count)) {
            let mark = if change > REGRESSION { "  regressed" } else { "" };
            let _ = write!(table, "  {:+.1} %{mark}", change * 100.0);
        }
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(instructions: f64) -> Vec<Count> {
        vec![Count { case: "a".to_owned(), instructions }]
    }

    #[test]
    fn two_percent_more_is_a_regression_and_less_is_none() {
        let baseline = Baseline { counts: counts(1000.0) };
        assert!(!baseline.has_regressed(&counts(1019.0)));
        assert!(baseline.has_regressed(&counts(1021.0)));
        assert!(!baseline.has_regressed(&counts(10.0)));
        assert!(table(&counts(1030.0), Some(&baseline)).contains("+3.0 %  regressed"));
    }

    #[test]
    fn json_comes_back_as_it_went() {
        let text = json(&counts(12.5)).expect("it is plain");
        assert_eq!(serde_json::from_str::<Vec<Count>>(&text).expect("it is ours"), counts(12.5));
    }
}
