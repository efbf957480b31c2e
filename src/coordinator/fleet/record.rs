//! What is known of one backend, whoever it was learned from.

use crate::base::{BackendSlot, Instant};
use crate::config::BackendName;
use crate::health::{Findings, OperatorState, Outlier, ProbeState, SlowStart, Standing};
use crate::mailbox::BackendFault;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Who says that a backend exists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The configuration.
    Config,
    /// An operator, by `ringway backend add`.
    Operator,
    /// A DNS name.
    Name(String),
    /// The watched file.
    File,
}

impl Source {
    /// That of a name.
    pub fn of_name(name: &BackendName) -> Self {
        Self::Name(name.lookup.to_string())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config => f.write_str("config"),
            Self::Operator => f.write_str("operator"),
            Self::Name(name) => write!(f, "dns:{name}"),
            Self::File => f.write_str("file"),
        }
    }
}

/// A backend as a source tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share relative to the others.
    pub weight: u32,
    /// Backends of a higher number get traffic only if there is none of a lower one (SRV).
    pub priority: u16,
}

/// The result of one kind of probe.
#[derive(Clone, Debug)]
pub struct Probed {
    /// Passes and failures in a row.
    pub state: ProbeState,
    /// Why the last one failed; none if it passed.
    pub last_failure: Option<String>,
    /// Probes that passed.
    pub passes: u64,
    /// Probes that failed.
    pub failures: u64,
    /// What they took together.
    pub took: Duration,
}

impl Probed {
    /// As restored, or never probed.
    pub fn new(restored: Option<bool>) -> Self {
        Self {
            state: restored.map_or_else(ProbeState::new, ProbeState::restored),
            last_failure: None,
            passes: 0,
            failures: 0,
            took: Duration::ZERO,
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its row in the tables of counts.
    pub slot: BackendSlot,
    /// What its source says of it.
    pub found: Found,
    /// Who that is.
    pub source: Source,
    /// What the operator wants of it.
    pub operator: OperatorState,
    /// The operator's weight in place of its source's.
    pub weight_override: Option<u32>,
    /// Whether it lives.
    pub live: Probed,
    /// Whether it wants traffic, where that is asked separately.
    pub ready: Option<Probed>,
    /// No source tells of it any more.
    pub is_removed: bool,
    /// As last judged.
    pub standing: Standing,
    /// When it came back to traffic; none if it was there from the start, or is at full weight.
    pub returned_at: Option<Instant>,
    /// Since when it is on its way out.
    pub leaving_since: Option<Instant>,
    /// What it still had at the end of that time was cut.
    pub is_cut: bool,
    /// What the last exchange that failed by its fault failed by.
    pub last_fault: Option<BackendFault>,
    /// How often it was ejected.
    pub ejections: u64,
}

impl Record {
    /// The weight that is in force, before slow start.
    pub fn weight(&self) -> u32 {
        self.weight_override.unwrap_or(self.found.weight)
    }

    /// What the probes and the operator say, with what exchanges showed.
    pub fn findings(&self, ejection: Outlier) -> Findings {
        Findings {
            operator: self.operator,
            is_removed: self.is_removed,
            is_checked: self.was_checked(),
            is_live: self.live.state.is_up(),
            is_ready: self.ready.as_ref().is_none_or(|probed| probed.state.is_up()),
            ejection,
        }
    }

    /// Forgets what the operator wants of it: it is gone by somebody's word.
    pub(super) fn forget_orders(&mut self) {
        (self.operator, self.weight_override) = (OperatorState::default(), None);
    }

    /// True if nothing is to be waited for before it can be judged: it has been probed, or is not
    /// to be.
    pub fn is_known(&self) -> bool {
        self.operator == OperatorState::Maint || self.was_probed()
    }

    /// True if what probes have shown says more than that there was none yet.
    fn was_checked(&self) -> bool {
        self.was_probed() || (self.live.state.was_probed() && !self.live.state.is_up())
    }

    /// True if every kind of probe has had a result.
    pub fn was_probed(&self) -> bool {
        let has_result = |probed: &Probed| probed.state.was_probed();
        has_result(&self.live) && self.ready.as_ref().is_none_or(has_result)
    }

    /// Its part of its weight as it comes back, 0 to 1.
    pub fn ramp(&self, slow_start: &SlowStart, now: Instant) -> f64 {
        self.returned_at.map_or(1.0, |at| slow_start.factor(now.since(at)))
    }
}
