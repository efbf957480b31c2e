//! How it goes with the sources whose answers change by themselves: what they told last holds
//! whatever becomes of them, so operators must see how old that is.

use super::{Fleet, PoolRecord, Source};
use crate::base::Instant;
use crate::coordinator::events::Event;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct SourceState {
    /// When it last told all that it knows.
    pub told_at: Option<Instant>,
    /// Since when it has not been able to; none while it is.
    pub failing: Option<Failing>,
}

/// A source that fails.
#[derive(Clone, Debug)]
pub struct Failing {
    /// The first time.
    pub since: Instant,
    /// Why, the last time.
    pub reason: String,
    /// A configuration was put in force since: it may have mended that, and if not, somebody wants
    /// to hear it again.
    is_doubted: bool,
}

impl Fleet {
    /// Takes note that a source has nothing to tell for now, or not all; what it told before still
    /// holds. The first failure of a series is an event; of a file, each of another kind.
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

    /// Takes note that a source has told all that it knows.
    pub(super) fn source_told(&mut self, pool: &str, source: &Source, now: Instant) {
        let Some(record) = self.pools.get_mut(pool) else { return };
        if !record.has_source(source) {
            return;
        }
        let state = record.source_states.entry(source.clone()).or_default();
        state.told_at = Some(now);
        if let Some(Failing { since, .. }) = state.failing.take() {
            let (pool, source) = (pool.to_owned(), source.to_string());
            let failed_ms = now.since(since).as_millis() as u64;
            self.events.push(Event::SourceRecovered { pool, source, failed_ms });
        }
    }
}

impl PoolRecord {
    /// Forgets the sources that are not configured any more; the others are to be told of anew.
    pub(super) fn doubt_sources(&mut self) {
        let mut states = std::mem::take(&mut self.source_states);
        states.retain(|source, _| self.has_source(source));
        let failing = states.values_mut().filter_map(|state| state.failing.as_mut());
        failing.for_each(|failing| failing.is_doubted = true);
        self.source_states = states;
    }

    /// The sources whose answers change by themselves, and how it goes with them.
    pub fn source_states(&self) -> impl Iterator<Item = (Source, SourceState)> {
        let state = |source: &Source| self.source_states.get(source).cloned().unwrap_or_default();
        self.changing_sources().map(move |source| (source.clone(), state(&source)))
    }
}
