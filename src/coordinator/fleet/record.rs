//! The state of one backend, from sources, probes, exchanges and orders.

use crate::base::{BackendSlot, Instant};
use crate::config::BackendName;
use crate::health::{Findings, OperatorState, Outlier, ProbeState, SlowStart, Standing};
use crate::mailbox::BackendFault;
use crate::tls::FaultKind;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A source of backends.
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
    /// The source of a name.
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

/// A backend in the report of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The address that it listens on.
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
    /// The failure of the last one; none if it passed.
    pub last_failure: Option<String>,
    /// Probes that passed.
    pub passes: u64,
    /// Probes that failed.
    pub failures: u64,
    /// Their total duration.
    pub took: Duration,
}

impl Probed {
    /// A state that is restored, or never probed.
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
    /// Its entry in the report of its source.
    pub found: Found,
    /// Its source.
    pub source: Source,
    /// The operator's order.
    pub operator: OperatorState,
    /// The operator's weight in place of its source's.
    pub weight_override: Option<u32>,
    /// Its health probe.
    pub live: Probed,
    /// Its readiness probe, if there is one.
    pub ready: Option<Probed>,
    /// No source lists it any more.
    pub is_removed: bool,
    /// Its standing as last judged.
    pub standing: Standing,
    /// When it returned to traffic; none if it was there from the start, or is at full weight.
    pub returned_at: Option<Instant>,
    /// Since when it drains.
    pub leaving_since: Option<Instant>,
    /// Its exchanges were cut at the end of the drain timeout.
    pub is_cut: bool,
    /// The fault of the last exchange that it failed.
    pub last_fault: Option<BackendFault>,
    /// Why TLS with it failed, and when last; none if an event is due for the next failure.
    pub tls_fault: Option<(FaultKind, Instant)>,
    /// How often it was ejected.
    pub ejections: u64,
}

impl Record {
    /// The weight that is in force, before slow start.
    pub fn weight(&self) -> u32 {
        self.weight_override.unwrap_or(self.found.weight)
    }

    /// The inputs of its standing.
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

    /// Drops the operator's orders: it was removed by an order or a reload.
    pub(super) fn forget_orders(&mut self) {
        (self.operator, self.weight_override) = (OperatorState::default(), None);
    }

    /// True if it can be judged: it has been probed, or is not to be.
    pub fn is_known(&self) -> bool {
        self.operator == OperatorState::Maint || self.was_probed()
    }

    /// True if the results of its probes are enough to judge it.
    fn was_checked(&self) -> bool {
        self.was_probed() || (self.live.state.was_probed() && !self.live.state.is_up())
    }

    /// True if every kind of probe has had a result.
    pub fn was_probed(&self) -> bool {
        let has_result = |probed: &Probed| probed.state.was_probed();
        has_result(&self.live) && self.ready.as_ref().is_none_or(has_result)
    }

    /// The part of its weight in slow start, 0 to 1.
    pub fn ramp(&self, slow_start: &SlowStart, now: Instant) -> f64 {
        self.returned_at.map_or(1.0, |at| slow_start.factor(now.since(at)))
    }
}
