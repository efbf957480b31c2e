//! Who prevails where operator, probes and exchanges say different things. In this order:
//!
//! 1. removed: no source tells of it any more;
//! 2. maint: the operator wants neither traffic nor probes;
//! 3. drain: the operator wants no new traffic;
//! 4. unchecked: it has not been probed yet, and is not known from before;
//! 5. down: its health probe fails;
//! 6. not ready: its readiness probe fails;
//! 7. ejected, or on trial after that: by what exchanges with clients showed;
//! 8. serving.

use super::Outlier;
use std::str::FromStr;

/// What the operator wants of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OperatorState {
    /// Traffic, if it is fit for it.
    #[default]
    Ready,
    /// No new traffic; what it has goes on for a while.
    Drain,
    /// As drain, and no probes.
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

/// What everybody says of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The operator.
    pub operator: OperatorState,
    /// No source tells of it any more.
    pub is_removed: bool,
    /// Probes have had results.
    pub is_checked: bool,
    /// Its health probe.
    pub is_live: bool,
    /// Its readiness probe.
    pub is_ready: bool,
    /// What exchanges showed.
    pub ejection: Outlier,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It gets its share.
    Serving,
    /// It gets one request, to show whether it has recovered.
    OnTrial,
    /// It gets nothing for a while; what it has goes on.
    Ejected,
    /// It gets nothing new; what it has goes on.
    NotReady,
    /// It gets nothing yet.
    Unchecked,
    /// It gets nothing, and what it has is cut.
    Down,
    /// It gets nothing new; what it has goes on until the drain timeout.
    Draining,
    /// As draining, and it is not probed.
    Maint,
    /// As draining, and it is forgotten then.
    Removed,
}

impl Findings {
    /// Who prevails; see the module.
    pub fn standing(&self) -> Standing {
        match self {
            Self { is_removed: true, .. } => Standing::Removed,
            Self { operator: OperatorState::Maint, .. } => Standing::Maint,
            Self { operator: OperatorState::Drain, .. } => Standing::Draining,
            Self { is_checked: false, .. } => Standing::Unchecked,
            Self { is_live: false, .. } => Standing::Down,
            Self { is_ready: false, .. } => Standing::NotReady,
            Self { ejection: Outlier::Ejected, .. } => Standing::Ejected,
            Self { ejection: Outlier::OnTrial, .. } => Standing::OnTrial,
            Self { ejection: Outlier::In, .. } => Standing::Serving,
        }
    }
}

impl Standing {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Serving,
        Self::OnTrial,
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
            Self::OnTrial => "on-trial",
            Self::Ejected => "ejected",
            Self::NotReady => "not-ready",
            Self::Unchecked => "unchecked",
            Self::Down => "down",
            Self::Draining => "draining",
            Self::Maint => "maint",
            Self::Removed => "removed",
        }
    }

    /// Why it has it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Serving => "fit for traffic",
            Self::OnTrial => "one request will show whether it has recovered",
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
