//! How backends return: by half-open probes, by the operator's orders, and after a restart.

use super::standing::{fail, order, round, scene, standing};
use super::{AT_ONCE, Scene, address, config};
use ringway::balance::Algorithm;
use ringway::config::Backend;
use ringway::coordinator::events::{Event, Noted};
use ringway::coordinator::fleet::{Fleet, Found, Operation, ProbeOf, Source};
use ringway::health::{OperatorState, SlowStart, Standing};
use ringway::mailbox::{BackendFault, Observation, TrialCourse};
use std::time::Duration;

/// A pool of two of which the first one is half-open.
fn half_open(shards: usize) -> Scene {
    let mut scene = scene(2, shards);
    fail(&mut scene, 0, 5);
    scene.advance(Duration::from_secs(31));
    scene.publish();
    assert_eq!(standing(&scene, 0), Standing::HalfOpen);
    scene
}

fn tell(scene: &mut Scene, course: TrialCourse) {
    let round = round(scene, 0);
    tell_of(scene, round, course);
}

fn tell_of(scene: &mut Scene, round: u32, course: TrialCourse) {
    let observation = Observation::Trial(scene.slot(0), round, course);
    scene.fleet.observe(observation, scene.now);
}

/// Outcomes of half-open probes in the events.
fn results(scene: &Scene) -> Vec<bool> {
    let result = |noted: &Noted| match noted.event {
        Event::HalfOpenProbe { passed, .. } => Some(passed),
        _ => None,
    };
    scene.fleet.events().since(0).filter_map(result).collect()
}

/// Requests that the first backend gets of so many.
fn requests(scene: &mut Scene, picks: usize) -> usize {
    let shards = scene.replicas.len();
    (0..picks).filter_map(|n| scene.pick(n % shards)).filter(|picked| *picked == 0).count()
}

#[test]
fn a_half_open_probe_under_way_is_the_only_one_however_long_it_takes() {
    for shards in [1, 2, 3] {
        let mut scene = half_open(shards);
        assert_eq!(requests(&mut scene, 30), 1);
        tell(&mut scene, TrialCourse::Begun);
        for _ in 0..12 {
            scene.advance(Duration::from_secs(1));
            scene.publish();
            assert_eq!(requests(&mut scene, 30), 0, "{shards} shards");
        }
    }
}

#[test]
fn a_half_open_probe_that_shows_nothing_is_followed_by_another_but_not_at_once() {
    for shards in [1, 2] {
        let mut scene = half_open(shards);
        for _ in 0..3 {
            assert_eq!(requests(&mut scene, 30), 1, "{shards} shards");
            tell(&mut scene, TrialCourse::Begun);
            tell(&mut scene, TrialCourse::Undecided);
            assert!(!scene.publish(), "clients that go away set no pace");
            assert_eq!(requests(&mut scene, 30), 0, "{shards} shards");
            scene.advance(Duration::from_secs(1));
            scene.publish();
        }
    }
}

#[test]
fn an_outcome_of_a_half_open_probe_counts_for_its_own_round_only() {
    let mut scene = half_open(2);
    let first = round(&scene, 0);
    scene.advance(Duration::from_secs(1));
    scene.publish();
    let second = round(&scene, 0);
    assert_ne!(first, second, "nobody had a request for it");
    for course in [TrialCourse::Passed, TrialCourse::Failed(BackendFault::Reset)] {
        tell_of(&mut scene, first, course);
        scene.publish();
        assert_eq!(standing(&scene, 0), Standing::HalfOpen, "{course:?} of the round before");
    }
    tell_of(&mut scene, second, TrialCourse::Begun);
    tell_of(&mut scene, first, TrialCourse::Undecided);
    scene.advance(Duration::from_secs(1));
    scene.publish();
    assert_eq!(round(&scene, 0), second, "its own is still under way");
    assert!(results(&scene).is_empty());
    tell_of(&mut scene, second, TrialCourse::Passed);
    scene.publish();
    assert_eq!(standing(&scene, 0), Standing::Serving);
    tell_of(&mut scene, second, TrialCourse::Failed(BackendFault::Reset));
    assert_eq!(results(&scene), [true], "a second result of the same round is none");
}

#[test]
fn an_outcome_of_a_half_open_probe_that_the_operator_ended_does_not_decide_the_next_one() {
    let mut scene = half_open(1);
    let first = round(&scene, 0);
    order(&mut scene, 0, Operation::State(OperatorState::Ready));
    fail(&mut scene, 0, 5);
    scene.advance(Duration::from_secs(31));
    scene.publish();
    assert_eq!(standing(&scene, 0), Standing::HalfOpen);
    tell_of(&mut scene, first, TrialCourse::Passed);
    scene.publish();
    assert_eq!(standing(&scene, 0), Standing::HalfOpen);
    assert!(results(&scene).is_empty());
}

#[test]
fn a_half_open_probe_whose_shard_is_gone_is_followed_by_another() {
    let mut scene = half_open(1);
    assert_eq!(requests(&mut scene, 30), 1);
    tell(&mut scene, TrialCourse::Begun);
    scene.advance(Duration::from_secs(121));
    scene.publish();
    assert_eq!(requests(&mut scene, 30), 1);
}

#[test]
fn who_is_out_by_ejection_comes_back_when_nobody_else_is_left() {
    for is_half_open in [false, true] {
        let mut scene = if is_half_open { half_open(1) } else { scene(2, 1) };
        fail(&mut scene, 0, 5);
        scene.set_live(1, false);
        scene.publish();
        assert_eq!(standing(&scene, 0), Standing::Serving, "it is alive, the other one is not");
        assert_eq!(scene.shares(20), [1.0, 0.0]);
    }
}

#[test]
fn what_was_not_probed_meanwhile_passes_a_probe_before_it_serves() {
    let mut scene = scene(2, 1);
    order(&mut scene, 0, Operation::State(OperatorState::Maint));
    order(&mut scene, 0, Operation::State(OperatorState::Ready));
    assert_eq!(standing(&scene, 0), Standing::Unchecked, "nobody knows what it has become");
    scene.probe(0, true);
    scene.publish();
    assert_eq!(standing(&scene, 0), Standing::Serving);
    order(&mut scene, 0, Operation::State(OperatorState::Drain));
    order(&mut scene, 0, Operation::State(OperatorState::Ready));
    assert_eq!(standing(&scene, 0), Standing::Serving, "it was probed all the time");
}

#[test]
fn what_was_removed_and_is_added_again_is_new() {
    let mut scene = scene(2, 1);
    let slot = scene.slot(0);
    scene.replicas[0].begin(slot);
    order(&mut scene, 0, Operation::State(OperatorState::Drain));
    order(&mut scene, 0, Operation::Weight(Some(3)));
    order(&mut scene, 0, Operation::Remove);
    order(&mut scene, 0, Operation::Add { weight: 1 });
    assert_eq!(standing(&scene, 0), Standing::Unchecked, "it passes its first probe first");
    scene.probe(0, true);
    scene.publish();
    assert_eq!(standing(&scene, 0), Standing::Serving);
    let record = scene.fleet.record("default", address(0)).expect("there");
    assert_eq!((record.weight(), record.slot), (1, slot));
}

#[test]
fn what_left_the_configuration_and_is_back_is_not_taken_out_any_more() {
    let mut scene = scene(2, 1);
    let all = config(&[1; 2], Algorithm::RoundRobin, AT_ONCE);
    order(&mut scene, 1, Operation::Remove);
    scene.fleet.configure(&all, scene.now);
    scene.publish();
    assert_eq!(standing(&scene, 1), Standing::Removed, "a reload does not undo the order");
    scene.fleet.configure(&config(&[1], Algorithm::RoundRobin, AT_ONCE), scene.now);
    scene.fleet.configure(&all, scene.now);
    scene.probe(1, true);
    scene.publish();
    assert_eq!(standing(&scene, 1), Standing::Serving);
}

#[test]
fn orders_for_what_a_source_tells_of_later_outlive_a_restart() {
    let mut config = config(&[1], Algorithm::RoundRobin, AT_ONCE);
    config.pools[0].backends_file = Some("/run/backends.json".into());
    let found = || vec![Found { address: address(5), weight: 1, priority: 0 }];
    let mut before = Scene::new(1, &config, 1);
    before.fleet.report("default", Source::File, found(), before.now);
    order(&mut before, 5, Operation::State(OperatorState::Drain));
    order(&mut before, 5, Operation::Weight(Some(7)));
    let saved = before.fleet.save();

    let mut after = Scene::new(1, &config, 1);
    after.fleet.restore(&saved, Duration::from_secs(3600), after.now);
    assert_eq!(after.fleet.save(), saved, "nothing is lost before the source has told");
    after.fleet.report("default", Source::File, found(), after.now);
    after.probe(5, true);
    after.publish();
    assert_eq!(standing(&after, 5), Standing::Draining);
    assert_eq!(after.fleet.record("default", address(5)).expect("there").weight(), 7);
}

/// A pool with a backend of its own, and more from a file.
fn with_file() -> Scene {
    let mut config = config(&[1], Algorithm::RoundRobin, AT_ONCE);
    config.pools[0].backends_file = Some("/run/backends.json".into());
    Scene::new(1, &config, 1)
}

fn tell_file(scene: &mut Scene, backends: &[usize]) {
    let one = |backend: &usize| Found { address: address(*backend), weight: 1, priority: 0 };
    let found = backends.iter().map(one).collect();
    scene.fleet.report("default", Source::File, found, scene.now);
}

#[test]
fn an_order_for_what_no_source_tells_of_is_forgotten_when_all_have_told() {
    let mut before = with_file();
    tell_file(&mut before, &[5, 6]);
    order(&mut before, 5, Operation::State(OperatorState::Drain));
    order(&mut before, 6, Operation::State(OperatorState::Drain));
    let saved = before.fleet.save();

    let mut after = with_file();
    after.fleet.restore(&saved, Duration::ZERO, after.now);
    let found = vec![Found { address: address(6), weight: 1, priority: 0 }];
    after.fleet.report_part("default", Source::File, found, after.now);
    after.fleet.source_failed("default", &Source::File, "it is not whole".to_owned(), after.now);
    assert_eq!(after.fleet.save()[0].backends.len(), 3, "it may still tell of the other one");
    tell_file(&mut after, &[6]);
    assert_eq!(after.fleet.save()[0].backends.len(), 2, "an order for nobody is not kept");
    tell_file(&mut after, &[5, 6]);
    (5..7).for_each(|backend| after.probe(backend, true));
    after.publish();
    assert_eq!(standing(&after, 5), Standing::Serving, "weeks later it is another one");
    assert_eq!(standing(&after, 6), Standing::Draining);
}

#[test]
fn health_that_is_remembered_gets_no_younger_by_a_restart() {
    let mut before = with_file();
    tell_file(&mut before, &[5]);
    before.probe(5, true);
    order(&mut before, 5, Operation::Weight(Some(7)));
    let mut between = with_file();
    between.fleet.restore(&before.fleet.save(), Duration::from_secs(3600), between.now);
    // It ends before its file could be read, and what it saved is young.
    let mut after = with_file();
    after.fleet.restore(&between.fleet.save(), Duration::ZERO, after.now);
    tell_file(&mut after, &[5]);
    after.publish();
    assert_eq!(standing(&after, 5), Standing::Unchecked, "nobody has probed it for an hour");
    assert_eq!(after.fleet.record("default", address(5)).expect("there").weight(), 7);
}

#[test]
fn what_a_source_did_not_tell_of_for_a_while_is_still_what_orders_were_for() {
    let mut scene = with_file();
    tell_file(&mut scene, &[5, 6]);
    (5..7).for_each(|backend| scene.probe(backend, true));
    scene.publish();
    order(&mut scene, 5, Operation::State(OperatorState::Drain));
    order(&mut scene, 5, Operation::Weight(Some(7)));
    fail(&mut scene, 6, 5);
    tell_file(&mut scene, &[]);
    scene.publish();
    assert_eq!(standing(&scene, 5), Standing::Removed);
    tell_file(&mut scene, &[5, 6]);
    scene.publish();
    assert_eq!(standing(&scene, 6), Standing::Unchecked, "nobody knows what it has become");
    (5..7).for_each(|backend| scene.probe(backend, true));
    scene.publish();
    assert_eq!(standing(&scene, 5), Standing::Draining);
    assert_eq!(scene.fleet.record("default", address(5)).expect("there").weight(), 7);
    assert_eq!(standing(&scene, 6), Standing::Ejected);
    tell_file(&mut scene, &[]);
    scene.publish();
    scene.fleet.reap(scene.generation, scene.generation, scene.now);
    tell_file(&mut scene, &[5]);
    scene.probe(5, true);
    scene.publish();
    assert_eq!(standing(&scene, 5), Standing::Serving, "it had finished and was forgotten");
}

#[test]
fn what_the_configuration_took_out_and_has_again_is_new() {
    let mut scene = scene(2, 1);
    order(&mut scene, 1, Operation::State(OperatorState::Drain));
    let all = config(&[1; 2], Algorithm::RoundRobin, AT_ONCE);
    scene.fleet.configure(&config(&[1], Algorithm::RoundRobin, AT_ONCE), scene.now);
    scene.publish();
    scene.fleet.configure(&all, scene.now);
    scene.probe(1, true);
    scene.publish();
    assert_eq!(standing(&scene, 1), Standing::Serving);
}

#[test]
fn the_start_does_not_wait_for_what_is_not_to_be_probed() {
    let mut before = scene(2, 1);
    order(&mut before, 1, Operation::State(OperatorState::Maint));
    let config = config(&[1; 2], Algorithm::RoundRobin, AT_ONCE);
    let mut fleet = Fleet::new(before.ledger.clone(), 1);
    fleet.configure(&config, before.now);
    fleet.restore(&before.fleet.save(), Duration::from_secs(3600), before.now);
    assert!(!fleet.was_all_probed(), "the other one is");
    let pool = fleet.pools()["default"].id;
    fleet.note_probe((pool, address(0)), ProbeOf::Health, None);
    assert!(fleet.was_all_probed());
}

#[test]
fn backends_that_found_no_slot_get_one_when_others_have_gone() {
    let mut config = config(&[1], Algorithm::RoundRobin, AT_ONCE);
    config.pools[0].backends_file = Some("/run/backends.json".into());
    let mut scene = Scene::new(1, &config, 1);
    let found = |from: usize| -> Vec<Found> {
        let one = |backend| Found { address: address(backend), weight: 1, priority: 0 };
        (from..from + 9_000).map(one).collect()
    };
    for from in [1, 20_000] {
        scene.fleet.report("default", Source::File, found(from), scene.now);
        scene.fleet.report("default", Source::File, found(from), scene.now);
        let is_no_room = |noted: &&Noted| matches!(noted.event, Event::NoRoom { .. });
        let said = scene.fleet.events().since(0).filter(is_no_room).count();
        assert_eq!(said, usize::from(from > 1), "once, not for each of them");
        scene.publish();
    }
    assert!(scene.fleet.record("default", address(28_999)).is_none(), "more than there is room");
    scene.fleet.reap(scene.generation, scene.generation, scene.now);
    scene.publish();
    assert!(scene.fleet.record("default", address(28_999)).is_some());
}

#[test]
fn a_reload_carries_over_ejections_ramps_and_what_is_in_flight() {
    const SPAN: Duration = Duration::from_secs(10);
    let slow = SlowStart { window: SPAN, aggression: 1.0 };
    let mut config = config(&[1; 4], Algorithm::RoundRobin, slow);
    let mut scene = Scene::new(1, &config, 3);
    fail(&mut scene, 0, 5);
    scene.set_live(1, false);
    scene.publish();
    scene.set_live(1, true);
    scene.publish();
    scene.advance(SPAN / 2);
    scene.publish();
    let busy = scene.slot(2);
    scene.replicas[0].begin(busy);
    let seen = |scene: &mut Scene| {
        let pool = &scene.fleet.pools()["default"];
        let ejection_ends = pool.ejections.ends_in(scene.slot(0), scene.now);
        let percents = scene.shares(5_000).iter().map(|share| (share * 100.0).round()).collect();
        let percents: Vec<f64> = percents;
        (standing(scene, 0), ejection_ends, percents)
    };
    let before = seen(&mut scene);
    assert_eq!(before.0, Standing::Ejected);
    assert_eq!(before.2, [0.0, 20.0, 40.0, 40.0], "half of its weight");

    config.timeouts.idle = SPAN;
    config.pools[0].min_ready = 2;
    config.pools[0].backends.push(Backend { address: address(4), weight: 1 });
    scene.fleet.configure(&config, scene.now);
    assert!(scene.publish());
    let mut after = seen(&mut scene);
    assert_eq!(after.2.pop(), Some(0.0), "the new one is not probed yet");
    assert_eq!(after, before);
    assert_eq!((scene.slot(2), scene.ledger.in_flight(busy)), (busy, 1));
    scene.replicas[0].end(busy);
    assert_eq!(scene.ledger.in_flight(busy), 0);
}
