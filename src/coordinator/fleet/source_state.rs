//! The state of sources whose answers change by themselves: their last report holds even if they
//! fail, so operators must see how old it is.

use super::{Fleet, PoolRecord, Source};
use crate::base::Instant;
use crate::coordinator::events::Event;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct SourceState {
    /// When it last reported completely.
    pub reported_at: Option<Instant>,
    /// Since when it has failed; none while it does not.
    pub failing: Option<Failing>,
}

/// A source that fails.
#[derive(Clone, Debug)]
pub struct Failing {
    /// The time of the first failure.
    pub since: Instant,
    /// The reason of the last failure.
    pub reason: String,
    /// A configuration was put in force since: it may have mended the source, and if not, another
    /// event is due.
    is_doubted: bool,
}

impl Fleet {
    /// Records that a source failed, wholly or in part; its last report still holds. The first
    /// failure of a series is an event; of a file, each of another kind.
    pub fn source_failed(&mut self, pool: &str, source: &Source, reason: String, now: Instant) {
        let Some(record) = self.pools.get_mut(pool) else { return };
        record.awaited.retain(|awaited| awaited != source);
        if !record.has_source(source) {
            return;
        }
        let state = record.source_states.entry(source.clone()).or_default();
        let before = state.failing.take();
        let is_other = |before: &Failing| {
            before.is_doubted || (*source == Source::File && before.reason != reason)
        };
        let is_news = before.as_ref().is_none_or(is_other);
        let since = before.map_or(now, |before| before.since);
        state.failing = Some(Failing { since, reason: reason.clone(), is_doubted: false });
        if is_news {
            let (pool, source) = (pool.to_owned(), source.to_string());
            self.events.push(Event::SourceFailed { pool, source, reason });
        }
    }

    /// Records that a source has reported completely.
    pub(super) fn source_answered(&mut self, pool: &str, source: &Source, now: Instant) {
        let Some(record) = self.pools.get_mut(pool) else { return };
        if !record.has_source(source) {
            return;
        }
        let state = record.source_states.entry(source.clone()).or_default();
        state.reported_at = Some(now);
        if let Some(Failing { since, .. }) = state.failing.take() {
            let (pool, source) = (pool.to_owned(), source.to_string());
            let failed_ms = now.since(since).as_millis() as u64;
            self.events.push(Event::SourceRecovered { pool, source, failed_ms });
        }
    }
}

impl PoolRecord {
    /// Drops sources that are not configured any more; the next failure of the others is an event
    /// again.
    pub(super) fn doubt_sources(&mut self) {
        let mut states = std::mem::take(&mut self.source_states);
        states.retain(|source, _| self.has_source(source));
        let failing = states.values_mut().filter_map(|state| state.failing.as_mut());
        failing.for_each(|failing| failing.is_doubted = true);
        self.source_states = states;
    }

    /// The sources whose answers change by themselves, with their states.
    pub fn source_states(&self) -> impl Iterator<Item = (Source, SourceState)> {
        let state = |source: &Source| self.source_states.get(source).cloned().unwrap_or_default();
        self.changing_sources().map(move |source| (source.clone(), state(&source)))
    }
}
