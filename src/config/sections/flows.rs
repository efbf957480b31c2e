//! The keys of a `[[listener]]` of UDP: how long its flows live, and how many there may be.

use crate::config::keys::keys;
use crate::config::keys::kinds::{count, count_or_any, duration, limit};
use crate::config::values::parse_timeout;
use crate::limits::FLOWS_MAX;
use std::time::Duration;

/// Datagrams of a flow that can be counted.
const DATAGRAMS_MAX: u32 = 1_000_000;

/// Rules for the flows of a listener of UDP. A flow is what one address of a client and one address
/// of the listener send each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRules {
    /// A flow ends after so long without a datagram in either direction.
    pub idle: Duration,
    /// Flows of the listener over all shards; beyond that the one that is idle for longest ends. At
    /// least 1.
    pub max_flows: u32,
    /// Flows of one client's IP address on the listener, over all shards; 0: no limit.
    pub max_flows_per_client: u32,
    /// Datagrams of its client that a flow takes: the next one begins a new flow. 0: any number.
    pub requests: u32,
    /// Responses to each datagram of a client: a flow whose requests all have theirs ends. None:
    /// any number.
    pub responses: Option<u32>,
}

impl Default for FlowRules {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            max_flows: 65_536,
            max_flows_per_client: 0,
            requests: 0,
            responses: None,
        }
    }
}

keys! { FlowRules {
    flow_idle: idle => duration(parse_timeout),
    max_flows: max_flows => count(1..=FLOWS_MAX),
    max_flows_per_client: max_flows_per_client => limit(FLOWS_MAX),
    requests: requests => limit(DATAGRAMS_MAX),
    responses: responses => count_or_any(0..=DATAGRAMS_MAX),
} }
