//! The slow return of traffic, as an operator sees it: shares over time.

use super::standing::{fail, round, standing};
use super::{Scene, config};
use ringway::balance::Algorithm;
use ringway::config::Backend;
use ringway::coordinator::fleet::{Found, Operation, Source};
use ringway::health::{OperatorState, SlowStart, Standing};
use ringway::mailbox::{Observation, TrialCourse};
use std::time::Duration;

const TEN_SECONDS: SlowStart = SlowStart { window: Duration::from_secs(10), aggression: 1.0 };

/// The percentage of traffic that the third of three equal backends gets, each second after its
/// return. Exact values: 100 x f / (2 + f) with f = max(0.1, t / 10).
const GOLDEN: [i64; 12] = [5, 5, 9, 13, 17, 20, 23, 26, 29, 31, 33, 33];

fn assert_ramp(scene: &mut Scene, algorithm: Algorithm, what: &str) {
    for (second, golden) in GOLDEN.iter().enumerate() {
        scene.publish();
        let share = scene.shares(12_000)[2];
        let percent = (share * 100.0).round() as i64;
        assert!(
            (percent - golden).abs() <= 1,
            "{algorithm}, {what}, second {second}: {percent} % and not {golden} %"
        );
        for _ in 0..10 {
            scene.advance(Duration::from_millis(100));
            scene.publish();
        }
    }
}

#[test]
fn after_recovery_a_backend_gets_its_share_back_over_ten_seconds() {
    for algorithm in Algorithm::ALL {
        let mut scene = Scene::new(4, &config(&[1; 3], algorithm, TEN_SECONDS), 5);
        assert!((scene.shares(12_000)[2] - 1.0 / 3.0).abs() < 0.02, "no ramp at the start");
        scene.set_live(2, false);
        scene.publish();
        assert_eq!(scene.shares(2_000)[2], 0.0);
        scene.set_live(2, true);
        assert_ramp(&mut scene, algorithm, "recovered");
    }
}

#[test]
fn so_does_one_that_was_drained_or_added() {
    let mut scene = Scene::new(2, &config(&[1; 3], Algorithm::P2c, TEN_SECONDS), 9);
    let third = super::address(2);
    let now = scene.now;
    for state in [OperatorState::Drain, OperatorState::Ready] {
        let order = Operation::State(state);
        scene.fleet.operate("default", third, order, now).expect("it is there");
        scene.publish();
    }
    assert_ramp(&mut scene, Algorithm::P2c, "drained");

    let mut scene = Scene::new(2, &config(&[1; 2], Algorithm::RoundRobin, TEN_SECONDS), 9);
    let found = Found { address: third, weight: 1, priority: 0 };
    scene.fleet.report("default", Source::Operator, vec![found], scene.now);
    scene.publish();
    assert_eq!(scene.shares(1_000).get(2), Some(&0.0), "nothing before its first probe");
    scene.probe(2, true);
    assert_ramp(&mut scene, Algorithm::RoundRobin, "added");
}

#[test]
fn a_ramp_follows_the_weights() {
    let mut config = config(&[1, 1], Algorithm::Random, TEN_SECONDS);
    config.pools[0].backends.push(Backend { address: super::address(2), weight: 8 });
    let mut scene = Scene::new(2, &config, 1);
    scene.set_live(2, false);
    scene.publish();
    scene.set_live(2, true);
    scene.publish();
    let share = scene.shares(20_000)[2];
    assert!((share - 0.8 / 2.8).abs() < 0.02, "a tenth of eight: {share:.3}");
}

#[test]
fn so_does_one_that_was_ejected() {
    for algorithm in Algorithm::ALL {
        let mut scene = Scene::new(4, &config(&[1; 3], algorithm, TEN_SECONDS), 5);
        fail(&mut scene, 2, 5);
        assert_eq!(scene.shares(2_000)[2], 0.0);
        scene.advance(Duration::from_secs(31));
        scene.publish();
        assert_eq!(standing(&scene, 2), Standing::HalfOpen);
        let passed = Observation::Trial(scene.slot(2), round(&scene, 2), TrialCourse::Passed);
        scene.fleet.observe(passed, scene.now);
        assert_ramp(&mut scene, algorithm, "ejected");
    }
}
