//! The standing of a backend, by precedence of operator, probes and ejection. In this order:
//!
//! 1. removed: no source lists it any more;
//! 2. maint: the operator wants neither traffic nor probes;
//! 3. drain: the operator wants no new traffic;
//! 4. unchecked: it has not been probed yet, and no earlier result was restored;
//! 5. down: its health probe fails;
//! 6. not ready: its readiness probe fails;
//! 7. ejected, or half-open after that: by the outcomes of exchanges with clients;
//! 8. serving.

use super::Outlier;
use std::str::FromStr;

/// What the operator wants of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OperatorState {
    /// Traffic, if probes and exchanges allow it.
    #[default]
    Ready,
    /// No new traffic; exchanges in flight go on until the drain timeout.
    Drain,
    /// As [`Self::Drain`], and no probes.
    Maint,
}

impl OperatorState {
    /// Its name in commands.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

impl FromStr for OperatorState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Self::Ready, Self::Drain, Self::Maint];
        let found = all.into_iter().find(|state| state.word() == word);
        found.ok_or_else(|| format!("`{word}` is no state: it can be ready, drain or maint"))
    }
}

/// The inputs of a standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The operator's order.
    pub operator: OperatorState,
    /// No source lists it any more.
    pub is_removed: bool,
    /// Its probes have had results enough to judge it.
    pub is_checked: bool,
    /// Its health probe passes.
    pub is_live: bool,
    /// Its readiness probe passes.
    pub is_ready: bool,
    /// Its state by exchanges with clients.
    pub ejection: Outlier,
}

/// What a backend gets, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It gets its share of traffic.
    Serving,
    /// Its ejection is over: it gets one request, the half-open probe.
    HalfOpen,
    /// It gets nothing new until the ejection ends; exchanges in flight go on.
    Ejected,
    /// It gets nothing new; exchanges in flight go on.
    NotReady,
    /// It gets nothing before its first probe.
    Unchecked,
    /// It gets nothing, and exchanges in flight are cut.
    Down,
    /// It gets nothing new; exchanges in flight go on until the drain timeout.
    Draining,
    /// As [`Self::Draining`], and it is not probed.
    Maint,
    /// As [`Self::Draining`], and its record is dropped then.
    Removed,
}

impl Findings {
    /// The standing by the precedence of the module.
    pub fn standing(&self) -> Standing {
        match self {
            Self { is_removed: true, .. } => Standing::Removed,
            Self { operator: OperatorState::Maint, .. } => Standing::Maint,
            Self { operator: OperatorState::Drain, .. } => Standing::Draining,
            Self { is_checked: false, .. } => Standing::Unchecked,
            Self { is_live: false, .. } => Standing::Down,
            Self { is_ready: false, .. } => Standing::NotReady,
            Self { ejection: Outlier::Ejected, .. } => Standing::Ejected,
            Self { ejection: Outlier::HalfOpen, .. } => Standing::HalfOpen,
            Self { ejection: Outlier::In, .. } => Standing::Serving,
        }
    }
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 9] = [
        Self::Serving,
        Self::HalfOpen,
        Self::Ejected,
        Self::NotReady,
        Self::Unchecked,
        Self::Down,
        Self::Draining,
        Self::Maint,
        Self::Removed,
    ];

    /// Its name for operators.
    pub fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::HalfOpen => "half-open",
            Self::Ejected => "ejected",
            Self::NotReady => "not-ready",
            Self::Unchecked => "unchecked",
            Self::Down => "down",
            Self::Draining => "draining",
            Self::Maint => "maint",
            Self::Removed => "removed",
        }
    }

    /// The reason in a sentence for operators.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Serving => "fit for traffic",
            Self::HalfOpen => "its ejection is over, and the outcome of one request decides",
            Self::Ejected => "exchanges with clients failed",
            Self::NotReady => "its readiness probe does not pass",
            Self::Unchecked => "it has not been probed yet",
            Self::Down => "its health probe does not pass",
            Self::Draining => "the operator wants no new traffic for it",
            Self::Maint => "the operator has it in maintenance",
            Self::Removed => "it was removed",
        }
    }
}
