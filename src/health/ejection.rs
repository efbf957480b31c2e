//! Passive ejection (outlier detection): failed exchanges with clients eject a backend for a time,
//! and one request, the half-open probe, brings it back. Only what the caller passes as a failure
//! counts; an application's own 500 does not.

use super::EjectionRules;
use crate::base::{BackendSlot, Instant};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

/// How long a half-open probe may be without an outcome before another one is sent. Longer than
/// the default timeouts by which an exchange ends.
const HALF_OPEN_MAX: Duration = Duration::from_secs(120);

/// The state of a backend by its exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlier {
    /// Not ejected.
    In,
    /// Ejected for a time.
    Ejected,
    /// The ejection is over; the outcome of one request decides.
    HalfOpen,
}

/// Why a backend is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EjectionCause {
    /// This many exchanges in a row failed.
    InARow(u32),
    /// The success rate within the window, percent.
    SuccessRate(u64),
    /// Its half-open probe failed.
    HalfOpen,
}

impl fmt::Display for EjectionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InARow(count) => write!(f, "{count} exchanges in a row failed"),
            Self::SuccessRate(percent) => {
                write!(f, "only {percent} % of its exchanges within the window succeeded")
            }
            Self::HalfOpen => f.write_str("its half-open probe failed"),
        }
    }
}

/// Sums of a backend's exchanges at a moment.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    successes: u64,
    failures: u64,
}

/// The record of a backend.
struct Track {
    state: Outlier,
    /// Failures in a row, as of the last failure.
    in_a_row: u32,
    /// The sum of its successes then: once it differs, the failures are no longer in a row.
    successes: u64,
    samples: VecDeque<Sample>,
    /// Multiplier of the length of the present or last ejection.
    times: u32,
    /// Why it was last ejected.
    cause: Option<EjectionCause>,
    /// When the present ejection ends.
    until: Instant,
    /// When it last returned to traffic.
    returned: Instant,
    /// The number of its half-open round; each round is offered to another shard.
    round: u32,
    /// When the half-open probe was sent; none while no shard has had a request to send.
    half_open_begun: Option<Instant>,
}

impl Track {
    /// Not ejected. Its rounds continue from `round`.
    fn new(round: u32) -> Self {
        Self {
            state: Outlier::In,
            in_a_row: 0,
            successes: 0,
            samples: VecDeque::new(),
            times: 0,
            cause: None,
            until: Instant::default(),
            returned: Instant::default(),
            round,
            half_open_begun: None,
        }
    }

    fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.half_open_begun = None;
    }

    fn eject(&mut self, rules: &EjectionRules, cause: EjectionCause, now: Instant) {
        // Each ejection-free span of `base` length makes the next ejection shorter by one step.
        let base_ns = rules.base.as_nanos().max(1);
        let quiet = now.since(self.returned).as_nanos() / base_ns;
        if self.state == Outlier::In && self.times > 0 {
            self.times = self.times.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX));
        }
        self.times = self.times.saturating_add(1);
        self.until = now + rules.base.saturating_mul(self.times).min(rules.longest);
        self.state = Outlier::Ejected;
        self.cause = Some(cause);
        self.in_a_row = 0;
        self.samples.clear();
    }

    fn take_back(&mut self, now: Instant) {
        self.state = Outlier::In;
        self.in_a_row = 0;
        self.samples.clear();
        self.returned = now;
    }

    /// The success rate within the window, percent; none if there were too few exchanges.
    fn success_percent(&self, rules: &EjectionRules) -> Option<u64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let successes = last.successes.saturating_sub(first.successes);
        let failures = last.failures.saturating_sub(first.failures);
        let all = successes + failures;
        (all > 0 && all >= u64::from(rules.exchanges_min)).then(|| successes * 100 / all)
    }

    /// True if the newest sample has more failures than the one before it.
    fn is_failing(&self) -> bool {
        let mut newest = self.samples.iter().rev().map(|sample| sample.failures);
        matches!((newest.next(), newest.next()), (Some(last), Some(before)) if last > before)
    }

    /// Ends a run of failures if the sum of successes has changed since.
    fn note_successes(&mut self, successes: u64) {
        if self.successes != successes {
            self.in_a_row = 0;
        }
    }

    /// Why it is to be ejected now; none if it is within the rules. A low success rate ejects only
    /// while there are new failures.
    fn fault(&self, rules: &EjectionRules) -> Option<EjectionCause> {
        let limit = rules.consecutive_failures;
        if limit > 0 && self.in_a_row >= limit {
            return Some(EjectionCause::InARow(self.in_a_row));
        }
        let percent = self.success_percent(rules)?;
        let is_low = percent < u64::from(rules.success_rate_min_percent);
        (is_low && self.is_failing()).then_some(EjectionCause::SuccessRate(percent))
    }

    /// True if it may have to be ejected.
    fn is_suspect(&self, rules: &EjectionRules) -> bool {
        self.state == Outlier::In && self.fault(rules).is_some()
    }
}

impl EjectionCause {
    /// Severity: the larger, the worse.
    fn badness(self) -> u64 {
        match self {
            Self::InARow(count) => 1_000 + u64::from(count),
            Self::SuccessRate(percent) => 100 - percent,
            Self::HalfOpen => 0,
        }
    }
}

/// The backends of one pool.
#[derive(Default)]
pub struct Ejections {
    tracks: HashMap<BackendSlot, Track>,
    /// The highest round of the dropped records: a late outcome of one of their rounds does not
    /// count for a later record.
    last_round: u32,
}

impl Ejections {
    fn track(&mut self, slot: BackendSlot) -> &mut Track {
        self.tracks.entry(slot).or_insert_with(|| Track::new(self.last_round))
    }

    /// The record of a backend, if it is half-open in this round.
    fn half_open(&mut self, slot: BackendSlot, round: u32) -> Option<&mut Track> {
        let track = self.tracks.get_mut(&slot)?;
        (track.state == Outlier::HalfOpen && track.round == round).then_some(track)
    }

    /// Counts failures of a backend. `successes` is the sum of its successes until now: if it has
    /// changed since the failure before, the run of failures begins anew.
    pub fn note_failures(&mut self, slot: BackendSlot, failures: u32, successes: u64) {
        let track = self.track(slot);
        track.note_successes(successes);
        track.in_a_row = track.in_a_row.saturating_add(failures);
        track.successes = successes;
    }

    /// Adds a sample of a backend's sums as of `now`; sums never go down.
    pub fn note_window(
        &mut self,
        slot: BackendSlot,
        successes: u64,
        failures: u64,
        window: Duration,
        now: Instant,
    ) {
        let track = self.track(slot);
        track.samples.push_back(Sample { at: now, successes, failures });
        // Two samples are kept whatever their age: a window shorter than the sampling interval
        // would otherwise never have a rate.
        while track.samples.len() > 2
            && track.samples.front().is_some_and(|first| now.since(first.at) > window)
        {
            track.samples.pop_front();
        }
    }

    /// True if [`Ejections::judge`] may eject a backend. Cheap while there is none.
    pub fn has_suspects(&self, rules: &EjectionRules) -> bool {
        self.tracks.values().any(|track| track.is_suspect(rules))
    }

    /// Ejects backends by the rules, the worst first, and returns them. `fit` are the backends that
    /// would get traffic without ejection: no more than the configured share of them is out at the
    /// same moment, but one may always be, and never the last. `successes` has the sum of a
    /// backend's successes until now: a backend beyond that share is judged again with them later.
    pub fn judge(
        &mut self,
        rules: &EjectionRules,
        fit: &[BackendSlot],
        successes: impl Fn(BackendSlot) -> u64,
        now: Instant,
    ) -> Vec<BackendSlot> {
        let is_out = |slot: &&BackendSlot| self.state(**slot) != Outlier::In;
        let out = fit.iter().filter(is_out).count();
        let share = fit.len() * rules.share_max_percent as usize / 100;
        let most = share.max(1).min(fit.len().saturating_sub(1));
        for slot in fit {
            if let Some(track) = self.tracks.get_mut(slot) {
                track.note_successes(successes(*slot));
            }
        }
        let bad = |slot: &BackendSlot| {
            let track = self.tracks.get(slot).filter(|track| track.state == Outlier::In)?;
            Some((track.fault(rules)?, *slot))
        };
        let mut bad: Vec<(EjectionCause, BackendSlot)> = fit.iter().filter_map(bad).collect();
        bad.sort_by(|a, b| b.0.badness().cmp(&a.0.badness()).then(a.1.cmp(&b.1)));
        bad.truncate(most.saturating_sub(out));
        for (cause, slot) in &bad {
            self.track(*slot).eject(rules, *cause, now);
        }
        bad.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Makes backends whose ejection is over half-open, and returns them.
    pub fn end_times(&mut self, now: Instant) -> Vec<BackendSlot> {
        let mut due = Vec::new();
        for (slot, track) in &mut self.tracks {
            if track.state == Outlier::Ejected && track.until <= now {
                track.state = Outlier::HalfOpen;
                track.begin_round();
                due.push(*slot);
            }
        }
        due
    }

    /// The half-open round of a backend.
    pub fn half_open_round(&self, slot: BackendSlot) -> u32 {
        self.tracks.get(&slot).map_or(0, |track| track.round)
    }

    /// Records that the half-open probe of this round was sent.
    pub fn note_half_open_begun(&mut self, slot: BackendSlot, round: u32, now: Instant) {
        if let Some(track) = self.half_open(slot, round) {
            track.half_open_begun = Some(now);
        }
    }

    /// Records that the half-open probe of this round ended without an outcome. The next round
    /// begins when rounds are renewed, and not at once: clients that abort must not set the pace.
    pub fn note_half_open_undecided(&mut self, slot: BackendSlot, round: u32) {
        if let Some(track) = self.half_open(slot, round) {
            track.half_open_begun = None;
        }
    }

    /// Begins another round where no shard has had a request to send, or the outcome is overdue:
    /// its shard may have panicked. True if there was one.
    pub fn renew_half_open(&mut self, now: Instant) -> bool {
        let mut has_renewed = false;
        for track in self.tracks.values_mut().filter(|track| track.state == Outlier::HalfOpen) {
            if track.half_open_begun.is_none_or(|begun| now.since(begun) > HALF_OPEN_MAX) {
                track.begin_round();
                has_renewed = true;
            }
        }
        has_renewed
    }

    /// Ends the ejection of a backend that is needed. The multiplier of the next one is kept.
    pub fn take_back(&mut self, slot: BackendSlot, now: Instant) {
        if let Some(track) = self.tracks.get_mut(&slot) {
            track.take_back(now);
        }
    }

    /// Applies the outcome of a half-open probe: back to traffic, or ejected again and for longer.
    /// False if it does not count: it is of another round, or the backend is in traffic again, as
    /// by an operator's order.
    pub fn note_half_open(
        &mut self,
        slot: BackendSlot,
        round: u32,
        passed: bool,
        rules: &EjectionRules,
        now: Instant,
    ) -> bool {
        let Some(track) = self.half_open(slot, round) else { return false };
        match passed {
            true => track.take_back(now),
            false => track.eject(rules, EjectionCause::HalfOpen, now),
        }
        true
    }

    /// Returns a backend to traffic by an operator's order, and drops its record. True if it was
    /// out.
    pub fn release(&mut self, slot: BackendSlot) -> bool {
        let Some(track) = self.tracks.remove(&slot) else { return false };
        self.last_round = self.last_round.max(track.round);
        track.state != Outlier::In
    }

    /// The state of a backend by its exchanges.
    pub fn state(&self, slot: BackendSlot) -> Outlier {
        self.tracks.get(&slot).map_or(Outlier::In, |track| track.state)
    }

    /// Why a backend is ejected, or was before it became half-open.
    pub fn cause(&self, slot: BackendSlot) -> Option<EjectionCause> {
        let track = self.tracks.get(&slot).filter(|track| track.state != Outlier::In)?;
        track.cause
    }

    /// Time left of the present ejection of a backend.
    pub fn ends_in(&self, slot: BackendSlot, now: Instant) -> Option<Duration> {
        let track = self.tracks.get(&slot)?;
        (track.state == Outlier::Ejected).then(|| track.until.since(now))
    }
}
