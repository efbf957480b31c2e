//! What a shard reports: counts in its tables, observations of backends for the coordinator,
//! records for the access log.

use crate::access_log::{Record, Sender};
use crate::base::{BackendSlot, Instant, ListenerId, RouteId, ShardId};
use crate::engine::Failure;
use crate::mailbox::{BackendCell, ListenerCell, Mailbox, Observation, Quota, TrialCourse};
use crate::stats::{Counter, Counters};
use std::sync::Arc;
use std::time::Duration;

/// The time between two warnings of malformed answers.
const WARNINGS_APART: Duration = Duration::from_secs(10);

/// See the module.
pub struct Reports {
    /// The shard's mailbox, with its tables.
    pub mailbox: Arc<Mailbox>,
    access_log: Option<Sender>,
    /// Before this time, malformed answers are only counted.
    next_warning: Instant,
    /// Malformed answers since the last warning.
    suppressed: u32,
}

impl Reports {
    /// Nothing has been reported.
    pub fn new(mailbox: Arc<Mailbox>, access_log: Option<Sender>) -> Self {
        Self { mailbox, access_log, next_warning: Instant::default(), suppressed: 0 }
    }

    /// The shard's counters.
    #[inline]
    pub fn counters(&self) -> &Counters {
        &self.mailbox.counters
    }

    /// Adds to a counter.
    #[inline]
    pub fn count(&self, counter: Counter, number: u64) {
        self.counters().add(counter, number);
    }

    /// Counts the status of an answer to a client.
    pub fn count_status(&self, status: u16) {
        let counter = match status {
            100..=199 => Counter::Responses1xx,
            200..=299 => Counter::Responses2xx,
            300..=399 => Counter::Responses3xx,
            400..=499 => Counter::Responses4xx,
            _ => Counter::Responses5xx,
        };
        self.count(counter, 1);
    }

    /// Counts a receive that ended for want of a buffer.
    pub fn count_if_starved(&self, failure: Option<Failure>) {
        if failure == Some(Failure::NoBuffers) {
            self.count(Counter::ReceiveRingEmpty, 1);
        }
    }

    /// Counts a request that was routed.
    pub fn count_request(&self, listener: ListenerId, route: RouteId) {
        self.listener_cell(listener).requests.add(1);
        self.mailbox.tables.route(route).requests.add(1);
    }

    /// Counts a connection that was routed, and whose bytes are forwarded unread.
    pub fn count_connection(&self, route: RouteId) {
        self.mailbox.tables.route(route).connections.add(1);
    }

    /// The shard's counts of a listener.
    #[inline]
    pub fn listener_cell(&self, listener: ListenerId) -> &ListenerCell {
        self.mailbox.tables.listener(listener)
    }

    /// Counts a datagram of a listener that was dropped, and the reason.
    pub fn count_dropped(&self, listener: ListenerId, reason: Counter) {
        self.count(reason, 1);
        self.listener_cell(listener).datagrams_dropped.add(1);
    }

    /// The sessions of a listener, as this shard has them.
    pub fn sessions(&self, listener: ListenerId) -> Quota<'_> {
        self.mailbox.shared.ledger.sessions(self.mailbox.shard(), listener)
    }

    /// A session of a listener has ended: a shard that waits for that is woken.
    pub fn session_ended(&self, listener: ListenerId) {
        if let Some(waiting) = self.sessions(listener).put_back() {
            self.mailbox.shared.wake(waiting);
        }
    }

    /// The shard's counts of a backend.
    #[inline]
    pub fn backend_cell(&self, slot: BackendSlot) -> &BackendCell {
        self.mailbox.tables.backend(slot)
    }

    /// A connection to a backend has closed, or was not opened.
    pub fn connection_ended(&self, slot: BackendSlot) {
        let (shard, ledger) = (self.mailbox.shard(), &self.mailbox.shared.ledger);
        ledger.connections(shard, slot).put_back();
    }

    /// Tells a shard that an idle connection of it was claimed. If it cannot be told, the place
    /// that was taken for that is given back, and false returned.
    pub fn claim_idle(&self, holder: ShardId, slot: BackendSlot) -> bool {
        let is_told = self.mailbox.shared.tell_of_claim(holder, slot);
        if !is_told {
            self.connection_ended(slot);
        }
        is_told
    }

    /// Reports an observation to the coordinator.
    pub fn observe(&self, observation: Observation) {
        self.mailbox.shared.observations.push(observation);
    }

    /// Reports the progress of a round of half-open probes of a backend.
    pub fn report_half_open(&self, slot: BackendSlot, round: u32, course: TrialCourse) {
        self.observe(Observation::Trial(slot, round, course));
    }

    /// True if there is an access log.
    pub fn has_access_log(&self) -> bool {
        self.access_log.is_some()
    }

    /// Gives a record to the access log; it is counted if there is no room for it.
    pub fn record(&self, record: Record) {
        if self.access_log.as_ref().is_some_and(|log| !log.push(record)) {
            self.count(Counter::AccessLogDropped, 1);
        }
    }

    /// Whether a malformed answer is warned of: the number of those that were not since the last
    /// warning, or none if that was a moment ago.
    pub fn may_warn(&mut self, now: Instant) -> Option<u32> {
        if now < self.next_warning {
            self.suppressed += 1;
            return None;
        }
        self.next_warning = now + WARNINGS_APART;
        Some(std::mem::take(&mut self.suppressed))
    }
}
