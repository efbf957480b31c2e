//! Tables, and properties over random results.

use super::*;
use crate::base::{BackendSlot, Instant, Prng};
use std::time::Duration;

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

/// Nothing has gone well since.
fn none_since(_: BackendSlot) -> u64 {
    0
}

fn slots(count: u32) -> Vec<BackendSlot> {
    (0..count).map(BackendSlot).collect()
}

#[test]
fn a_state_changes_after_so_many_results_in_a_row_and_never_before() {
    let mut prng = Prng::new(11);
    for round in 0..2_000 {
        let rules = ProbeRules {
            rise: 1 + prng.below(4),
            fall: 1 + prng.below(4),
            ..ProbeRules::default()
        };
        let mut state = if round % 2 == 0 { ProbeState::new() } else { ProbeState::restored(true) };
        let mut results: Vec<bool> = Vec::new();
        for _ in 0..50 {
            let passed = prng.one_in(2);
            let was_up = state.is_up();
            let is_awaited = round % 2 == 0 && !results.contains(&true);
            results.push(passed);
            let change = state.note(passed, &rules);
            let needed = if passed { rules.rise } else { rules.fall } as usize;
            let in_a_row = results.iter().rev().take_while(|result| **result == passed).count();
            match change {
                None => {
                    assert_eq!(state.is_up(), was_up);
                    assert!(passed == was_up || in_a_row < needed, "{results:?}");
                }
                Some(change) => {
                    assert_eq!(change == Change::Up, passed);
                    assert_ne!(state.is_up(), was_up);
                    assert!(in_a_row >= needed || (is_awaited && passed), "{results:?}");
                }
            }
        }
    }
}

#[test]
fn one_pass_brings_up_what_never_was_and_rise_what_was_down() {
    let rules = ProbeRules::default();
    let mut new = ProbeState::new();
    assert_eq!(new.note(true, &rules), Some(Change::Up));
    let mut awaited = ProbeState::new();
    assert_eq!(awaited.note(false, &rules), None);
    assert_eq!((awaited.is_up(), awaited.was_probed()), (false, true));
    assert_eq!(awaited.note(true, &rules), Some(Change::Up));
    let mut lost = ProbeState::restored(false);
    assert_eq!(lost.note(true, &rules), None);
    assert_eq!(lost.note(true, &rules), Some(Change::Up));
}

#[test]
fn intervals_follow_the_state_and_stay_within_the_jitter() {
    let seconds = Duration::from_secs;
    let rules = ProbeRules {
        interval: seconds(10),
        fast_interval: seconds(1),
        down_interval: seconds(100),
        ..ProbeRules::default()
    };
    let mut prng = Prng::new(5);
    let mut changing = ProbeState::restored(true);
    changing.note(false, &rules);
    for (state, interval) in [
        (ProbeState::restored(true), seconds(10)),
        (ProbeState::restored(false), seconds(100)),
        (changing, seconds(1)),
    ] {
        let drawn: Vec<Duration> = (0..500).map(|_| state.next_in(&rules, &mut prng)).collect();
        let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        assert!(*least >= interval * 9 / 10 && *most <= interval * 11 / 10);
        assert!(*most - *least > interval / 8, "they do vary");
    }
    let offsets: Vec<Duration> = (0..4).map(|n| spread(n, 4, seconds(2))).collect();
    assert_eq!(offsets, [0, 500, 1000, 1500].map(Duration::from_millis));
    assert_eq!(spread(0, 0, seconds(2)), Duration::ZERO);
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
    let rules = EjectionRules::default();
    let fit = slots(3);
    let mut ejections = Ejections::default();
    let judge =
        |ejections: &mut Ejections, successes| ejections.judge(&rules, &fit, |_| successes, at(1));
    for successes in 1..=20 {
        ejections.note_failures(fit[0], 1, successes);
        assert!(judge(&mut ejections, successes).is_empty());
    }
    for _ in 0..3 {
        ejections.note_failures(fit[0], 1, 20);
    }
    assert!(judge(&mut ejections, 20).is_empty(), "four in a row");
    ejections.note_failures(fit[0], 1, 20);
    assert!(judge(&mut ejections, 21).is_empty(), "one went well before it was judged");
    assert!(!ejections.has_suspects(&rules), "what is over is not looked at again");
    (0..4).for_each(|_| ejections.note_failures(fit[0], 1, 21));
    assert!(judge(&mut ejections, 21).is_empty(), "four in a row since then");
    ejections.note_failures(fit[0], 1, 21);
    assert_eq!(judge(&mut ejections, 21), [fit[0]]);
    assert_eq!(ejections.state(fit[0]), Outlier::Ejected);
    assert_eq!(ejections.cause(fit[0]), Some(EjectionCause::InARow(5)));
}

#[test]
fn never_more_than_the_share_and_never_the_last() {
    for (count, percent, most) in [
        (1, 100, 0),
        (2, 10, 1),
        (2, 100, 1),
        (3, 0, 1),
        (10, 10, 1),
        (10, 50, 5),
        (10, 100, 9),
        (30, 10, 3),
    ] {
        let rules = EjectionRules { share_max_percent: percent, ..EjectionRules::default() };
        let fit = slots(count);
        let mut ejections = Ejections::default();
        fit.iter().for_each(|slot| ejections.note_failures(*slot, 9 + slot.0, 0));
        let ejected = ejections.judge(&rules, &fit, none_since, at(1));
        assert_eq!(ejected.len(), most, "{count} backends, {percent} %");
        assert!(
            ejections.judge(&rules, &fit, none_since, at(2)).is_empty(),
            "not more by asking again"
        );
        if most > 0 {
            assert_eq!(ejected[0], fit[count as usize - 1], "the worst first");
        }
    }
}

#[test]
fn ejections_grow_are_capped_and_are_forgiven() {
    let rules = EjectionRules::default();
    let fit = slots(2);
    let slot = fit[0];
    let mut ejections = Ejections::default();
    let mut now = at(1_000);
    let mut lengths = Vec::new();
    ejections.note_failures(slot, 5, 0);
    ejections.judge(&rules, &fit, none_since, now);
    for _ in 0..12 {
        let length = ejections.ends_in(slot, now).expect("it is out");
        lengths.push(length.as_secs());
        let before = now + (length - Duration::from_nanos(1));
        assert!(ejections.end_times(before).is_empty());
        now = now + length;
        assert_eq!(ejections.end_times(now), [slot]);
        assert_eq!(ejections.state(slot), Outlier::HalfOpen);
        let round = ejections.half_open_round(slot);
        assert!(ejections.note_half_open(slot, round, false, &rules, now));
    }
    assert_eq!(lengths, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
    now = now + rules.longest;
    ejections.end_times(now);
    let round = ejections.half_open_round(slot);
    assert!(ejections.note_half_open(slot, round, true, &rules, now));
    assert_eq!(ejections.state(slot), Outlier::In);
    now = now + rules.base * 100;
    ejections.note_failures(slot, 5, 0);
    ejections.judge(&rules, &fit, none_since, now);
    assert_eq!(ejections.ends_in(slot, now), Some(rules.base), "long ago is forgotten");
    ejections.release(slot);
    assert_eq!(ejections.state(slot), Outlier::In);
}

#[test]
fn a_low_share_of_good_exchanges_within_the_window_ejects() {
    let rules = EjectionRules { success_rate_min_percent: 80, ..EjectionRules::default() };
    let fit = slots(2);
    let mut ejections = Ejections::default();
    let note = |ejections: &mut Ejections, second, good, bad| {
        ejections.note_window(fit[0], good, bad, rules.window, at(second));
        ejections.judge(&rules, &fit, none_since, at(second))
    };
    assert!(note(&mut ejections, 0, 0, 0).is_empty());
    assert!(note(&mut ejections, 1, 20, 20).is_empty(), "too few exchanges");
    assert!(note(&mut ejections, 20, 1_000, 20).is_empty(), "the bad ones are too old");
    assert!(note(&mut ejections, 21, 1_081, 39).is_empty(), "81 %");
    assert_eq!(note(&mut ejections, 22, 1_150, 60), [fit[0]]);
    assert_eq!(ejections.cause(fit[0]), Some(EjectionCause::SuccessRate(78)));
}

#[test]
fn a_window_that_shows_only_what_is_over_ejects_nobody() {
    let rules = EjectionRules { success_rate_min_percent: 80, ..EjectionRules::default() };
    let fit = slots(3);
    let mut ejections = Ejections::default();
    let mut note = |second, good, bad| {
        for slot in &fit {
            ejections.note_window(*slot, good, bad, rules.window, at(second));
        }
        let ejected = ejections.judge(&rules, &fit, none_since, at(second));
        ejected.into_iter().for_each(|slot| ejections.take_back(slot, at(second)));
        ejections.state(fit[1])
    };
    note(0, 0, 0);
    // All fail; there is room for one of them, which is soon back. The others have recovered then.
    note(1, 0, 100);
    for second in 2..30 {
        assert_eq!(note(second, second * 10, 100), Outlier::In, "second {second}");
    }
}

#[test]
fn a_window_shorter_than_the_time_between_two_samples_ejects_too() {
    let window = Duration::from_millis(500);
    let rules = EjectionRules { success_rate_min_percent: 80, window, ..EjectionRules::default() };
    let fit = slots(2);
    let mut ejections = Ejections::default();
    for (second, good, bad, expected) in [(0, 0, 0, &[][..]), (1, 100, 100, &fit[..1])] {
        ejections.note_window(fit[0], good, bad, rules.window, at(second));
        assert_eq!(ejections.judge(&rules, &fit, none_since, at(second)), expected);
    }
}

#[test]
fn slow_start_rises_from_a_tenth_to_all() {
    let line = SlowStart { window: Duration::from_secs(10), aggression: 1.0 };
    let part = |slow: &SlowStart, ms| slow.factor(Duration::from_millis(ms));
    assert_eq!(
        [0, 500, 5_000, 10_000, 99_000].map(|ms| part(&line, ms)),
        [0.1, 0.1, 0.5, 1.0, 1.0]
    );
    let eager = SlowStart { aggression: 2.0, ..line };
    assert!(part(&eager, 2_500) == 0.5);
    let off = SlowStart { window: Duration::ZERO, aggression: 1.0 };
    assert_eq!(part(&off, 0), 1.0);
    let mut before = 0.0;
    for ms in 0..10_000 {
        assert!(part(&line, ms) >= before);
        before = part(&line, ms);
    }
    assert_eq!(
        [scaled_weight(0, 0.5), scaled_weight(1, 0.001), scaled_weight(3, 0.5)],
        [0, 1, 150]
    );
}

#[test]
fn the_operator_prevails_over_probes_and_they_over_exchanges() {
    let all = |operator, is_removed, is_live, is_ready, ejection| {
        Findings { operator, is_removed, is_checked: true, is_live, is_ready, ejection }.standing()
    };
    let (ready, drain, maint) = (OperatorState::Ready, OperatorState::Drain, OperatorState::Maint);
    for (standing, expected) in [
        (all(maint, true, false, false, Outlier::Ejected), Standing::Removed),
        (all(maint, false, false, false, Outlier::Ejected), Standing::Maint),
        (all(drain, false, false, false, Outlier::Ejected), Standing::Draining),
        (all(ready, false, false, false, Outlier::Ejected), Standing::Down),
        (all(ready, false, true, false, Outlier::Ejected), Standing::NotReady),
        (all(ready, false, true, true, Outlier::Ejected), Standing::Ejected),
        (all(ready, false, true, true, Outlier::HalfOpen), Standing::HalfOpen),
        (all(ready, false, true, true, Outlier::In), Standing::Serving),
    ] {
        assert_eq!(standing, expected);
    }
    let unchecked = |operator| Findings {
        operator,
        is_removed: false,
        is_checked: false,
        is_live: false,
        is_ready: false,
        ejection: Outlier::In,
    };
    assert_eq!(unchecked(ready).standing(), Standing::Unchecked);
    assert_eq!(unchecked(drain).standing(), Standing::Draining);
    for state in [ready, drain, maint] {
        assert_eq!(state.word().parse(), Ok(state));
    }
    assert!("Ready".parse::<OperatorState>().is_err());
}
