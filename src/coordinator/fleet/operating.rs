//! The operator's orders for single backends.

use super::pool::unprobed;
use super::{Fleet, Found, PoolRecord, Source};
use crate::base::Instant;
use crate::coordinator::events::Event;
use crate::health::OperatorState;
use crate::limits::WEIGHT_MAX;
use std::fmt;
use std::net::SocketAddr;

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Traffic, no new traffic, or neither traffic nor probes.
    State(OperatorState),
    /// Another weight; none: that of its source.
    Weight(Option<u32>),
    /// There is one more backend.
    Add {
        /// Its weight.
        weight: u32,
    },
    /// There is one backend less.
    Remove,
}

/// Why an order is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationError {
    /// There is no such pool; these there are.
    NoPool(Vec<String>),
    /// There is no such backend; these there are.
    NoBackend(Vec<SocketAddr>),
    /// It is there already.
    Exists,
    /// No more backends fit.
    Full,
    /// Weights go from 0 to this.
    Weight(u32),
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[String]| items.join(", ");
        match self {
            Self::NoPool(known) => write!(f, "there is no such pool; it can be {}", list(known)),
            Self::NoBackend(known) => {
                let known: Vec<String> = known.iter().map(ToString::to_string).collect();
                write!(f, "there is no such backend in this pool; it can be {}", list(&known))
            }
            Self::Exists => f.write_str("this backend is in the pool already"),
            Self::Full => f.write_str("there are as many backends as there can be"),
            Self::Weight(most) => write!(f, "a weight goes from 0 to {most}"),
        }
    }
}

impl std::error::Error for OperationError {}

impl Fleet {
    /// Follows an order. True if it changed something.
    ///
    /// # Errors
    /// If it names what is not there, or cannot be followed; nothing has changed then.
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

    /// Whether an order can be followed, without following it.
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
            return Err(OperationError::NoPool(self.pools.keys().cloned().collect()));
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
                Err(OperationError::NoBackend(known.map(|(address, _)| *address).collect()))
            }
        }
    }

    /// Follows an order that was checked. True if it changed something.
    fn operate(&mut self, address: SocketAddr, operation: Operation) -> bool {
        let Some(record) = self.backends.get_mut(&address) else {
            return matches!(operation, Operation::Add { weight } if self.add(address, weight));
        };
        match operation {
            Operation::Add { weight } => self.add(address, weight),
            Operation::Remove => self.remove(address),
            Operation::State(state) => {
                // Whoever says that it is well knows more than what exchanges showed.
                let is_released =
                    state == OperatorState::Ready && self.ejections.release(record.slot);
                let was = std::mem::replace(&mut record.operator, state);
                if was == OperatorState::Maint && state != OperatorState::Maint {
                    // It was not probed meanwhile: what was known of it is old.
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
            let is_told = |found: &Vec<Found>| found.iter().any(|found| found.address == address);
            if self.told.values().any(is_told) {
                return true;
            }
        }
        let found = Found { address, weight, priority: 0 };
        self.told.entry(Source::Operator).or_default().push(found);
        true
    }

    fn remove(&mut self, address: SocketAddr) -> bool {
        let mut is_told_elsewhere = false;
        for (source, found) in &mut self.told {
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
