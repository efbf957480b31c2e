//! The operator's orders for single backends.

use super::pool::unprobed;
use super::{Fleet, Found, PoolRecord, Source};
use crate::base::Instant;
use crate::config::units::closest;
use crate::coordinator::events::Event;
use crate::health::OperatorState;
use crate::limits::WEIGHT_MAX;
use std::fmt;
use std::net::SocketAddr;

/// Names of what there is that an error shows.
const SHOWN_MAX: usize = 10;

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Traffic, no new traffic, or neither traffic nor probes.
    State(OperatorState),
    /// Another weight; none: that of its source.
    Weight(Option<u32>),
    /// Add a backend.
    Add {
        /// Its weight.
        weight: u32,
    },
    /// Remove the backend.
    Remove,
}

/// Why an order is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationError {
    /// There is no such pool.
    NoPool {
        /// What was asked for.
        pool: String,
        /// What there is.
        known: Vec<String>,
    },
    /// There is no such backend.
    NoBackend {
        /// The pool.
        pool: String,
        /// What was asked for.
        backend: SocketAddr,
        /// A source lists it, and an order has removed it.
        is_taken_out: bool,
        /// What there is.
        known: Vec<SocketAddr>,
    },
    /// It is there already.
    Exists,
    /// No more backends fit.
    Full,
    /// Weights go from 0 to this.
    Weight(u32),
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPool { pool, known } => f.write_str(&no_pool(pool, known)),
            Self::NoBackend { pool, backend, is_taken_out: true, .. } => write!(
                f,
                "backend {backend} was removed from pool `{pool}` by an order: `ringway backend \
                 add {pool} {backend}` brings it back"
            ),
            Self::NoBackend { pool, backend, known, .. } => {
                let known: Vec<String> = known.iter().map(ToString::to_string).collect();
                let hint = alternatives(&backend.to_string(), &known);
                write!(f, "there is no such backend in pool `{pool}`{hint}")
            }
            Self::Exists => f.write_str("this backend is in the pool already"),
            Self::Full => f.write_str("there are as many backends as there can be"),
            Self::Weight(most) => write!(f, "a weight goes from 0 to {most}"),
        }
    }
}

impl std::error::Error for OperationError {}

/// The error for a pool that does not exist.
pub fn no_pool(pool: &str, known: &[String]) -> String {
    format!("there is no pool `{}`{}", pool.escape_debug(), alternatives(pool, known))
}

/// The closest name, or some of the names that exist.
fn alternatives(asked: &str, known: &[String]) -> String {
    if known.is_empty() {
        return "; there is none at all".to_owned();
    }
    if let Some(close) = closest(asked, known.iter().map(String::as_str)) {
        return format!(": did you mean `{close}`?");
    }
    let (shown, more) = known.split_at(known.len().min(SHOWN_MAX));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("; it can be {}{more}", shown.join(", "))
}

impl Fleet {
    /// Applies orders for a backend: all of them, or none.
    ///
    /// # Errors
    /// As for [`Fleet::operate`].
    pub fn operate_all(
        &mut self,
        pool: &str,
        address: SocketAddr,
        operations: &[Operation],
        now: Instant,
    ) -> Result<(), OperationError> {
        for operation in operations {
            self.check_order(pool, address, *operation)?;
        }
        for operation in operations {
            self.operate(pool, address, *operation, now)?;
        }
        Ok(())
    }

    /// Applies an order. True if it changed something.
    ///
    /// # Errors
    /// If it names an unknown pool or backend, or is refused; nothing has changed then.
    pub fn operate(
        &mut self,
        pool: &str,
        address: SocketAddr,
        operation: Operation,
        now: Instant,
    ) -> Result<bool, OperationError> {
        self.check_order(pool, address, operation)?;
        let Some(record) = self.pools.get_mut(pool) else { return Ok(false) };
        let has_changed = record.operate(address, operation);
        if has_changed {
            let pool = pool.to_owned();
            let order = operation.to_string();
            self.events.push(Event::Ordered { pool, backend: address, order });
            self.source(now);
            self.is_dirty = true;
        }
        Ok(has_changed)
    }

    /// Checks an order without applying it.
    ///
    /// # Errors
    /// As for [`Fleet::operate`].
    pub fn check_order(
        &self,
        pool: &str,
        address: SocketAddr,
        operation: Operation,
    ) -> Result<(), OperationError> {
        if !self.has_room() && matches!(operation, Operation::Add { .. }) {
            return Err(OperationError::Full);
        }
        let Some(record) = self.pools.get(pool).filter(|pool| !pool.is_removed) else {
            let known = self.pools.keys().cloned().collect();
            return Err(OperationError::NoPool { pool: pool.to_owned(), known });
        };
        record.check_order(address, operation)
    }
}

impl PoolRecord {
    fn check_order(&self, address: SocketAddr, operation: Operation) -> Result<(), OperationError> {
        if let Operation::Add { weight } | Operation::Weight(Some(weight)) = operation
            && weight > WEIGHT_MAX
        {
            return Err(OperationError::Weight(WEIGHT_MAX));
        }
        let is_known = self.backends.get(&address).is_some_and(|record| !record.is_removed);
        match (is_known, operation) {
            (true, Operation::Add { .. }) => Err(OperationError::Exists),
            (true, _) | (false, Operation::Add { .. }) => Ok(()),
            (false, _) => {
                let known = self.backends.iter().filter(|(_, record)| !record.is_removed);
                Err(OperationError::NoBackend {
                    pool: self.config.name.clone(),
                    backend: address,
                    is_taken_out: self.taken_out.contains(&address),
                    known: known.map(|(address, _)| *address).collect(),
                })
            }
        }
    }

    /// Applies an order that was checked. True if it changed something.
    fn operate(&mut self, address: SocketAddr, operation: Operation) -> bool {
        let Some(record) = self.backends.get_mut(&address) else {
            return matches!(operation, Operation::Add { weight } if self.add(address, weight));
        };
        match operation {
            Operation::Add { weight } => self.add(address, weight),
            Operation::Remove => self.remove(address),
            Operation::State(state) => {
                // An operator's order overrides the outcomes of exchanges.
                let is_released =
                    state == OperatorState::Ready && self.ejections.release(record.slot);
                let was = std::mem::replace(&mut record.operator, state);
                if was == OperatorState::Maint && state != OperatorState::Maint {
                    // It was not probed in maintenance: its last results are old.
                    (record.live, record.ready) = unprobed(&self.config);
                }
                was != state || is_released
            }
            Operation::Weight(weight) => {
                std::mem::replace(&mut record.weight_override, weight) != weight
            }
        }
    }

    fn add(&mut self, address: SocketAddr, weight: u32) -> bool {
        if let Some(at) = self.taken_out.iter().position(|out| *out == address) {
            self.taken_out.swap_remove(at);
            let is_reported =
                |found: &Vec<Found>| found.iter().any(|found| found.address == address);
            if self.reported.values().any(is_reported) {
                return true;
            }
        }
        let found = Found { address, weight, priority: 0 };
        self.reported.entry(Source::Operator).or_default().push(found);
        true
    }

    fn remove(&mut self, address: SocketAddr) -> bool {
        let mut is_told_elsewhere = false;
        for (source, found) in &mut self.reported {
            match source {
                Source::Operator => found.retain(|found| found.address != address),
                _ => is_told_elsewhere |= found.iter().any(|found| found.address == address),
            }
        }
        if is_told_elsewhere && !self.taken_out.contains(&address) {
            self.taken_out.push(address);
        }
        true
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => f.write_str(state.word()),
            Self::Weight(Some(weight)) => write!(f, "weight {weight}"),
            Self::Weight(None) => f.write_str("weight of its source"),
            Self::Add { weight } => write!(f, "add with weight {weight}"),
            Self::Remove => f.write_str("remove"),
        }
    }
}
