//! Why a backend has its standing, in words for operators.

use super::{PoolRecord, Probed, Record};
use crate::health::Standing;

impl PoolRecord {
    /// Why a backend has its standing: the last failure of its probe, or of its exchanges.
    pub fn reason(&self, record: &Record) -> String {
        let own = record.standing.reason();
        let failure = |probed: &Probed| probed.last_failure.clone();
        let known = match record.standing {
            Standing::Down => failure(&record.live),
            Standing::NotReady => record.ready.as_ref().and_then(failure),
            Standing::Ejected => self.why_ejected(record),
            Standing::HalfOpen => {
                self.why_ejected(record).map(|why| format!("{own}; it was ejected because {why}"))
            }
            _ => None,
        };
        known.unwrap_or_else(|| own.to_owned())
    }

    fn why_ejected(&self, record: &Record) -> Option<String> {
        let cause = self.ejections.cause(record.slot)?;
        let last = record.last_fault.map(|fault| format!("; the last failure: {fault}"));
        Some(format!("{cause}{}", last.unwrap_or_default()))
    }
}
