//! What takes a backend out of traffic, and brings it back.

use super::{AT_ONCE, Scene, address, config};
use ringway::balance::Algorithm;
use ringway::config::{Backend, BackendName, Lookup, NoHealthy};
use ringway::coordinator::events::{Event, Noted};
use ringway::coordinator::fleet::{Excused, Found, Operation, OperationError, Source};
use ringway::health::{OperatorState, Standing};
use ringway::mailbox::{BackendFault, Observation, TrialCourse};
use ringway::snapshot::{Cut, Leaving, Trial};
use std::time::Duration;

pub(super) fn scene(backends: usize, shards: usize) -> Scene {
    Scene::new(shards, &config(&vec![1; backends], Algorithm::RoundRobin, AT_ONCE), 11)
}

pub(super) fn standing(scene: &Scene, backend: usize) -> Standing {
    scene.fleet.record("default", address(backend)).expect("it is there").standing
}

pub(super) fn round(scene: &Scene, backend: usize) -> u32 {
    scene.fleet.pools()["default"].ejections.half_open_round(scene.slot(backend))
}

pub(super) fn fail(scene: &mut Scene, backend: usize, times: usize) {
    let observation = Observation::Fault(scene.slot(backend), BackendFault::Connect);
    (0..times).for_each(|_| scene.fleet.observe(observation, scene.now));
    scene.fleet.tick(scene.now);
    scene.publish();
}

pub(super) fn order(scene: &mut Scene, backend: usize, operation: Operation) {
    let now = scene.now;
    scene.fleet.operate("default", address(backend), operation, now).expect("it can be");
    scene.publish();
}

#[test]
fn failures_in_a_row_eject_and_one_request_of_one_shard_brings_back() {
    let mut scene = scene(3, 4);
    fail(&mut scene, 1, 5);
    assert_eq!(standing(&scene, 1), Standing::Ejected);
    assert_eq!(scene.shares(300)[1], 0.0);
    scene.advance(Duration::from_secs(31));
    scene.publish();
    assert_eq!(standing(&scene, 1), Standing::HalfOpen);
    let probes = |scene: &mut Scene| {
        let picks: Vec<_> = (0..400).filter_map(|n| scene.pick(n % 4)).collect();
        picks.iter().filter(|picked| **picked == 1).count()
    };
    assert_eq!(probes(&mut scene), 1, "one request, of all shards");
    assert_eq!(probes(&mut scene), 0, "and no second one before the first one's result");
    let passed = Observation::Trial(scene.slot(1), round(&scene, 1), TrialCourse::Passed);
    scene.fleet.observe(passed, scene.now);
    scene.publish();
    assert_eq!(standing(&scene, 1), Standing::Serving);
    assert!(scene.shares(300)[1] > 0.3);
}

#[test]
fn a_failed_half_open_probe_ejects_for_longer_and_the_operator_can_end_it() {
    let mut scene = scene(3, 1);
    fail(&mut scene, 0, 5);
    scene.advance(Duration::from_secs(31));
    scene.publish();
    let failed = TrialCourse::Failed(BackendFault::Reset);
    let failed = Observation::Trial(scene.slot(0), round(&scene, 0), failed);
    scene.fleet.observe(failed, scene.now);
    scene.advance(Duration::from_secs(59));
    scene.publish();
    assert_eq!(standing(&scene, 0), Standing::Ejected, "twice as long");
    order(&mut scene, 0, Operation::State(OperatorState::Ready));
    assert_eq!(standing(&scene, 0), Standing::Serving);
}

#[test]
fn a_half_open_probe_that_finds_no_request_goes_to_another_shard() {
    let mut scene = scene(2, 3);
    fail(&mut scene, 0, 5);
    scene.advance(Duration::from_secs(31));
    let mut shards = std::collections::BTreeSet::new();
    for _ in 0..6 {
        scene.advance(Duration::from_secs(1));
        scene.publish();
        let pools = scene.fleet.published();
        let [Trial { shard, .. }] = pools[0].trials[..] else { panic!("one trial") };
        shards.insert(shard);
    }
    assert_eq!(shards.len(), 3);
}

#[test]
fn never_the_last_whatever_fails() {
    let mut scene = scene(2, 1);
    fail(&mut scene, 0, 50);
    fail(&mut scene, 1, 50);
    assert_eq!(standing(&scene, 0), Standing::Ejected);
    assert_eq!(standing(&scene, 1), Standing::Serving);
    assert_eq!(scene.shares(10), [0.0, 1.0]);
}

#[test]
fn with_nobody_healthy_all_are_tried_or_none_as_configured() {
    for policy in [NoHealthy::RouteToAll, NoHealthy::Refuse] {
        let mut config = config(&[1; 3], Algorithm::Random, AT_ONCE);
        config.pools[0].no_healthy = policy;
        let mut scene = Scene::new(1, &config, 2);
        (0..3).for_each(|backend| scene.set_live(backend, false));
        order(&mut scene, 2, Operation::State(OperatorState::Drain));
        match policy {
            NoHealthy::RouteToAll => {
                let shares = scene.shares(1_000);
                assert!(shares[0] > 0.4 && shares[1] > 0.4, "{shares:?}");
                assert_eq!(shares[2], 0.0, "the operator's word holds");
            }
            NoHealthy::Refuse => assert_eq!(scene.pick(0), None),
        }
        scene.set_live(1, true);
        scene.publish();
        assert_eq!(scene.shares(100), [0.0, 1.0, 0.0]);
    }
}

/// What was told of the pool: true if nobody is healthy.
fn told(scene: &Scene) -> Vec<bool> {
    let of_pool = |noted: &Noted| match &noted.event {
        Event::PoolWithoutHealthy { .. } => Some(true),
        Event::PoolHealthy { .. } => Some(false),
        _ => None,
    };
    scene.fleet.events().since(0).filter_map(of_pool).collect()
}

#[test]
fn a_pool_without_anybody_healthy_is_told_of_once_something_is_known_of_it() {
    let mut scene = scene(2, 1);
    let mut all = config(&[1; 2], Algorithm::RoundRobin, AT_ONCE);
    all.pools[0].backends = (5..7).map(|at| Backend { address: address(at), weight: 1 }).collect();
    scene.fleet.configure(&all, scene.now);
    scene.publish();
    assert!(told(&scene).is_empty(), "nobody was probed yet");
    scene.probe(5, false);
    scene.publish();
    assert_eq!(told(&scene), [true]);
    scene.probe(6, true);
    scene.publish();
    assert_eq!(told(&scene), [true, false]);
    for backend in [5, 6] {
        order(&mut scene, backend, Operation::Remove);
    }
    assert_eq!(told(&scene), [true, false, true]);
    scene.fleet.reap(scene.generation, scene.generation, scene.now);
    scene.publish();
    assert_eq!(told(&scene), [true, false, true], "an empty pool is not healthy");
    order(&mut scene, 9, Operation::Add { weight: 1 });
    scene.probe(9, true);
    scene.publish();
    assert_eq!(told(&scene), [true, false, true, false]);
}

#[test]
fn probes_that_never_end_do_not_hide_that_nobody_is_healthy() {
    let mut scene = scene(2, 1);
    let mut all = config(&[1; 2], Algorithm::RoundRobin, AT_ONCE);
    all.pools[0].backends = vec![Backend { address: address(5), weight: 1 }];
    scene.fleet.configure(&all, scene.now);
    scene.publish();
    scene.advance(Duration::from_secs(4));
    scene.publish();
    assert!(told(&scene).is_empty());
    scene.advance(Duration::from_secs(1));
    scene.publish();
    assert_eq!(told(&scene), [true]);
}

#[test]
fn what_is_drained_is_cut_at_its_deadline_and_what_is_down_at_once() {
    let mut scene = scene(3, 1);
    let cut = |scene: &Scene| -> Vec<Option<Cut>> {
        let leaving = &scene.fleet.published()[0].leaving;
        leaving.iter().map(|Leaving { cut, .. }| *cut).collect()
    };
    order(&mut scene, 0, Operation::State(OperatorState::Drain));
    scene.advance(Duration::from_millis(29_900));
    scene.publish();
    assert_eq!(cut(&scene), [None]);
    scene.advance(Duration::from_millis(200));
    scene.publish();
    assert_eq!(cut(&scene), [Some(Cut::Ordered)]);
    order(&mut scene, 0, Operation::State(OperatorState::Ready));
    assert!(cut(&scene).is_empty());
    scene.set_live(1, false);
    scene.publish();
    assert_eq!(cut(&scene), [Some(Cut::Down)]);
}

#[test]
fn backends_come_and_go_and_their_slots_are_used_again() {
    let mut scene = scene(2, 2);
    for round in 0..20_000u32 {
        let backend = 10 + (round % 5_000) as usize;
        order(&mut scene, backend, Operation::Add { weight: 1 });
        order(&mut scene, backend, Operation::Remove);
        scene.fleet.reap(scene.generation, scene.generation, scene.now);
    }
    assert_eq!(scene.fleet.pools()["default"].backends.len(), 2);
    order(&mut scene, 9, Operation::Add { weight: 1 });
    assert!(scene.slot(9).0 < 10, "slots are not used up");
}

#[test]
fn a_backend_that_still_carries_something_is_not_forgotten() {
    let mut scene = scene(2, 1);
    let slot = scene.slot(1);
    scene.replicas[0].begin(slot);
    order(&mut scene, 1, Operation::Remove);
    scene.fleet.reap(scene.generation, scene.generation, scene.now);
    assert_eq!(standing(&scene, 1), Standing::Removed);
    assert_eq!(scene.ledger.in_flight(slot), 1);
    scene.replicas[0].end(slot);
    scene.fleet.reap(scene.generation, scene.generation, scene.now);
    assert!(scene.fleet.record("default", address(1)).is_none());
}

#[test]
fn orders_that_cannot_be_followed_say_what_could() {
    let mut scene = scene(2, 1);
    let now = scene.now;
    let mut operate = |pool, backend, operation| {
        scene.fleet.operate(pool, address(backend), operation, now).expect_err("it cannot be")
    };
    let drain = Operation::State(OperatorState::Drain);
    let said = operate("other", 0, drain).to_string();
    assert_eq!(said, "there is no pool `other`; it can be default");
    let said = operate("defualt", 0, drain).to_string();
    assert_eq!(said, "there is no pool `defualt`: did you mean `default`?");
    let said = operate("default", 7, drain).to_string();
    assert!(said.starts_with("there is no such backend in pool `default`"), "{said}");
    assert_eq!(operate("default", 1, Operation::Add { weight: 1 }), OperationError::Exists);
    let heavy = Operation::Weight(Some(1_001));
    assert_eq!(operate("default", 1, heavy), OperationError::Weight(1_000));
}

#[test]
fn lower_priorities_wait_until_no_higher_one_is_fit() {
    let mut config = config(&[1], Algorithm::RoundRobin, AT_ONCE);
    let lookup = Lookup::Service { name: "_http._tcp.test".to_owned() };
    config.pools[0].names = vec![BackendName { lookup: lookup.clone(), weight: 1 }];
    let mut scene = Scene::new(1, &config, 11);
    let found = |backend, priority| Found { address: address(backend), weight: 1, priority };
    let name = Source::Name(lookup.to_string());
    scene.fleet.report("default", name, vec![found(1, 10), found(2, 20)], scene.now);
    (1..3).for_each(|backend| scene.probe(backend, true));
    scene.publish();
    assert_eq!(scene.shares(90), [1.0, 0.0, 0.0]);
    scene.set_live(0, false);
    scene.publish();
    assert_eq!(scene.shares(90), [0.0, 1.0, 0.0]);
    scene.set_live(1, false);
    scene.publish();
    assert_eq!(scene.shares(90), [0.0, 0.0, 1.0]);
}

#[test]
fn what_was_not_probed_yet_is_not_told_of_as_down() {
    let mut scene = scene(2, 1);
    order(&mut scene, 2, Operation::Add { weight: 1 });
    assert_eq!(standing(&scene, 2), Standing::Unchecked);
    order(&mut scene, 3, Operation::Add { weight: 1 });
    scene.probe(2, true);
    scene.probe(3, false);
    scene.publish();
    let change = |noted: &Noted| match &noted.event {
        Event::Backend { backend, was, is, .. } => Some((*backend, *was, *is)),
        _ => None,
    };
    let told: Vec<_> = scene.fleet.events().since(0).filter_map(change).collect();
    let expected = [(0, "serving"), (1, "serving"), (2, "serving"), (3, "down")];
    let expected = expected.map(|(backend, is)| (address(backend), "unchecked", is));
    assert_eq!(told, expected);
}

#[test]
fn a_source_that_fails_is_told_of_once_and_seen_until_it_is_known_again() {
    let mut config = config(&[1], Algorithm::RoundRobin, AT_ONCE);
    config.pools[0].backends_file = Some("backends.json".into());
    let mut scene = Scene::new(1, &config, 11);
    let found = vec![Found { address: address(5), weight: 1, priority: 0 }];
    scene.fleet.report("default", Source::File, found.clone(), scene.now);
    let reported_at = scene.now;
    for reason in ["it is gone", "it is gone", "it has a line that is wrong"] {
        scene.now = scene.now + Duration::from_secs(1);
        scene.fleet.source_failed("default", &Source::File, reason.to_owned(), scene.now);
    }
    let state =
        |scene: &Scene| scene.fleet.pools()["default"].source_states().next().expect("one").1;
    let failing = state(&scene).failing.expect("it fails");
    assert_eq!(failing.since, reported_at + Duration::from_secs(1));
    assert_eq!(failing.reason, "it has a line that is wrong");
    assert_eq!(state(&scene).reported_at, Some(reported_at));
    scene.now = scene.now + Duration::from_secs(1);
    scene.fleet.report("default", Source::File, found, scene.now);
    assert!(state(&scene).failing.is_none());
    assert_eq!(state(&scene).reported_at, Some(scene.now), "the same answer is an answer, too");
    let is_told = |noted: &&Noted| {
        matches!(noted.event, Event::SourceFailed { .. } | Event::SourceRecovered { .. })
    };
    let told: Vec<_> = scene.fleet.events().since(0).filter(is_told).collect();
    assert_eq!(told.len(), 3);
    let ends = matches!(told[2].event, Event::SourceRecovered { failed_ms: 3_000, .. });
    assert!(ends, "{told:?}");
}

#[test]
fn timeouts_do_not_count_while_the_coordinator_is_late_itself() {
    let mut scene = scene(2, 1);
    let begun = scene.now;
    scene.fleet.keep_time(begun);
    let after = |ms| begun + Duration::from_millis(ms);
    let late = |scene: &Scene, ms| scene.fleet.lateness().until(after(ms));
    let timeout = Duration::from_secs(1);
    for ms in (100..=1_000).step_by(100) {
        scene.fleet.keep_time(after(ms));
    }
    let on_time = late(&scene, 1_000);
    assert!(!Excused::default().takes(timeout, on_time), "nobody was late");
    // For three seconds the coordinator gets no processor time: all probes run into their timeouts.
    let held_up = late(&scene, 4_000);
    for _ in 0..20 {
        assert!(Excused::default().takes(timeout, held_up));
        scene.fleet.hold_timeout(held_up, after(4_000));
    }
    scene.fleet.hold_timeout(held_up, after(15_000));
    assert_eq!(scene.fleet.lateness().held(), 21);
    let is_late = |noted: &Noted| match &noted.event {
        Event::CoordinatorLate { late_ms, held } => Some((*late_ms, *held)),
        _ => None,
    };
    let told: Vec<_> = scene.fleet.events().since(0).filter_map(is_late).collect();
    assert_eq!(told, [(2_900, 1), (2_900, 20)], "the first, and after a while the rest");
}
