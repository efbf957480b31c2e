//! Passive ejection: what exchanges with clients show takes a backend out for a while, and one
//! request brings it back. Only what the caller passes as a failure counts; an application's own
//! 500 is none.

use super::EjectionRules;
use crate::base::{BackendSlot, Instant};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

/// How long the result of a trial is waited for before there is another one. Longer than the
/// timeouts by which an exchange ends are by default.
const TRIAL_MAX: Duration = Duration::from_secs(120);

/// What exchanges say of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlier {
    /// Nothing against it.
    In,
    /// It is out for a while.
    Ejected,
    /// Its time out is over; one request will show.
    OnTrial,
}

/// Why a backend is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EjectionCause {
    /// So many exchanges failed, and none went well in between.
    InARow(u32),
    /// This percentage of exchanges within the window went well.
    SuccessRate(u64),
    /// The request of its trial failed.
    Trial,
}

impl fmt::Display for EjectionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InARow(count) => write!(f, "{count} exchanges in a row failed"),
            Self::SuccessRate(percent) => {
                write!(f, "only {percent} % of its exchanges within the window went well")
            }
            Self::Trial => f.write_str("the request of its trial failed"),
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

/// What is kept of a backend.
struct Track {
    state: Outlier,
    /// Failures without a success in between, as of the last one.
    in_a_row: u32,
    /// The sum of its successes then: once it is another, the failures are no longer in a row.
    successes: u64,
    samples: VecDeque<Sample>,
    /// Ejections that count for the length of the next one.
    times: u32,
    /// Why it was last ejected.
    cause: Option<EjectionCause>,
    /// When the present ejection ends.
    until: Instant,
    /// When it last came back.
    returned: Instant,
    /// Counts its trials, and the shards that had the chance of one.
    round: u32,
    /// When the trial's request was sent; none while no shard has had one to send.
    trial_begun: Option<Instant>,
}

impl Track {
    /// Nothing is known against it. Its rounds follow on `round`.
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
            trial_begun: None,
        }
    }

    fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.trial_begun = None;
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

    /// The share of good exchanges within the window, percent; none if there were too few.
    fn success_percent(&self, rules: &EjectionRules) -> Option<u64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let successes = last.successes.saturating_sub(first.successes);
        let failures = last.failures.saturating_sub(first.failures);
        let all = successes + failures;
        (all > 0 && all >= u64::from(rules.exchanges_min)).then(|| successes * 100 / all)
    }

    /// True if the newest sample has failures that the one before it has not.
    fn is_failing(&self) -> bool {
        let mut newest = self.samples.iter().rev().map(|sample| sample.failures);
        matches!((newest.next(), newest.next()), (Some(last), Some(before)) if last > before)
    }

    /// Ends a run of failures if the sum of its successes has moved since.
    fn note_successes(&mut self, successes: u64) {
        if self.successes != successes {
            self.in_a_row = 0;
        }
    }

    /// Why it is to be ejected now; none if it is not bad enough. What a window shows of failures
    /// that are over takes nobody out.
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
    /// The larger it is, the worse.
    fn badness(self) -> u64 {
        match self {
            Self::InARow(count) => 1_000 + u64::from(count),
            Self::SuccessRate(percent) => 100 - percent,
            Self::Trial => 0,
        }
    }
}

/// The backends of one pool.
#[derive(Default)]
pub struct Ejections {
    tracks: HashMap<BackendSlot, Track>,
    /// The last round of the backends that are forgotten: what comes late of their trials is not
    /// taken for news of those that follow.
    last_round: u32,
}

impl Ejections {
    fn track(&mut self, slot: BackendSlot) -> &mut Track {
        self.tracks.entry(slot).or_insert_with(|| Track::new(self.last_round))
    }

    /// What is kept of a backend, if this round of its trial goes on.
    fn on_trial(&mut self, slot: BackendSlot, round: u32) -> Option<&mut Track> {
        let track = self.tracks.get_mut(&slot)?;
        (track.state == Outlier::OnTrial && track.round == round).then_some(track)
    }

    /// Takes failures of a backend. `successes` is the sum of its successes until now: if it is
    /// another than at the failure before, the run of failures begins anew.
    pub fn note_failures(&mut self, slot: BackendSlot, failures: u32, successes: u64) {
        let track = self.track(slot);
        track.note_successes(successes);
        track.in_a_row = track.in_a_row.saturating_add(failures);
        track.successes = successes;
    }

    /// Takes the sums of a backend's exchanges as of `now`; they never go down.
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
        // Two are kept however old they are: a window shorter than the time from one to the next
        // would never show anything.
        while track.samples.len() > 2
            && track.samples.front().is_some_and(|first| now.since(first.at) > window)
        {
            track.samples.pop_front();
        }
    }

    /// True if there is a backend that [`Ejections::judge`] may eject. Cheap while there is none.
    pub fn has_suspects(&self, rules: &EjectionRules) -> bool {
        self.tracks.values().any(|track| track.is_suspect(rules))
    }

    /// Ejects who deserves it, the worst first, and returns them. `fit` are the backends that
    /// would get traffic if nothing was known of their exchanges: no more than the configured
    /// share of them is out at the same moment, but one may always be, and never the last.
    /// `successes` has the sum of a backend's successes until now: whoever found no room is judged
    /// again by what it has done since.
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

    /// Lets those whose time out is over have a trial, and returns them.
    pub fn end_times(&mut self, now: Instant) -> Vec<BackendSlot> {
        let mut due = Vec::new();
        for (slot, track) in &mut self.tracks {
            if track.state == Outlier::Ejected && track.until <= now {
                track.state = Outlier::OnTrial;
                track.begin_round();
                due.push(*slot);
            }
        }
        due
    }

    /// The round of a backend's trial.
    pub fn trial_round(&self, slot: BackendSlot) -> u32 {
        self.tracks.get(&slot).map_or(0, |track| track.round)
    }

    /// Takes note that the request of a trial is under way.
    pub fn note_trial_begun(&mut self, slot: BackendSlot, round: u32, now: Instant) {
        if let Some(track) = self.on_trial(slot, round) {
            track.trial_begun = Some(now);
        }
    }

    /// Takes note that a trial has shown nothing. The next round comes when rounds are renewed,
    /// and not at once: clients that go away must not set the pace.
    pub fn note_trial_undecided(&mut self, slot: BackendSlot, round: u32) {
        if let Some(track) = self.on_trial(slot, round) {
            track.trial_begun = None;
        }
    }

    /// Begins another round where no shard has found a request for the trial, or its result is
    /// overdue: its shard may be gone. True if there was one.
    pub fn renew_trials(&mut self, now: Instant) -> bool {
        let mut has_renewed = false;
        for track in self.tracks.values_mut().filter(|track| track.state == Outlier::OnTrial) {
            if track.trial_begun.is_none_or(|begun| now.since(begun) > TRIAL_MAX) {
                track.begin_round();
                has_renewed = true;
            }
        }
        has_renewed
    }

    /// Ends the ejection of a backend that is needed. How often it was out is not forgotten.
    pub fn take_back(&mut self, slot: BackendSlot, now: Instant) {
        if let Some(track) = self.tracks.get_mut(&slot) {
            track.take_back(now);
        }
    }

    /// Takes the result of a trial: back to traffic, or out again and for longer. False if it
    /// says nothing any more: it is of another round, or the backend is back already, as by the
    /// operator's word.
    pub fn note_trial(
        &mut self,
        slot: BackendSlot,
        round: u32,
        passed: bool,
        rules: &EjectionRules,
        now: Instant,
    ) -> bool {
        let Some(track) = self.on_trial(slot, round) else { return false };
        match passed {
            true => track.take_back(now),
            false => track.eject(rules, EjectionCause::Trial, now),
        }
        true
    }

    /// Takes a backend back, by the operator's word, and forgets what was against it. True if it
    /// was out.
    pub fn release(&mut self, slot: BackendSlot) -> bool {
        let Some(track) = self.tracks.remove(&slot) else { return false };
        self.last_round = self.last_round.max(track.round);
        track.state != Outlier::In
    }

    /// What exchanges say of a backend.
    pub fn state(&self, slot: BackendSlot) -> Outlier {
        self.tracks.get(&slot).map_or(Outlier::In, |track| track.state)
    }

    /// Why a backend is out, or was when its trial began.
    pub fn cause(&self, slot: BackendSlot) -> Option<EjectionCause> {
        let track = self.tracks.get(&slot).filter(|track| track.state != Outlier::In)?;
        track.cause
    }

    /// How long the present ejection of a backend still lasts.
    pub fn ends_in(&self, slot: BackendSlot, now: Instant) -> Option<Duration> {
        let track = self.tracks.get(&slot)?;
        (track.state == Outlier::Ejected).then(|| track.until.since(now))
    }
}
