//! What exchanges show takes a backend out only while it holds.

use super::standing::{fail, scene, standing};
use super::{AT_ONCE, Scene, config};
use ringway::balance::Algorithm;
use ringway::base::ShardId;
use ringway::coordinator::events::{Event, Noted};
use ringway::health::Standing;
use ringway::mailbox::{BackendFault, Observation, TrialCourse};
use std::collections::BTreeSet;
use std::time::Duration;

/// All backends succeed, again and again, and half-open probes pass. Returns the ejected ones.
fn recover(scene: &mut Scene, backends: usize, seconds: u64) -> BTreeSet<usize> {
    let mut ejected = BTreeSet::new();
    for _ in 0..seconds * 10 {
        for backend in 0..backends {
            let slot = scene.slot(backend);
            match standing(scene, backend) {
                Standing::Serving => scene.ledger.tables(ShardId(0)).backend(slot).successes.add(1),
                Standing::HalfOpen => {
                    let round = super::standing::round(scene, backend);
                    let passed = Observation::Trial(slot, round, TrialCourse::Passed);
                    scene.fleet.observe(passed, scene.now);
                }
                Standing::Ejected => drop(ejected.insert(backend)),
                other => panic!("{other:?}"),
            }
        }
        scene.advance(Duration::from_millis(100));
        scene.publish();
    }
    ejected
}

#[test]
fn failures_that_successes_have_overtaken_eject_nobody() {
    for (backends, rate_min) in [(2, 0), (4, 0), (10, 0), (4, 80)] {
        let mut config = config(&vec![1; backends], Algorithm::RoundRobin, AT_ONCE);
        config.pools[0].ejection.success_rate_min_percent = rate_min;
        config.pools[0].ejection.window = Duration::from_secs(300);
        let mut scene = Scene::new(1, &config, 11);
        scene.advance(Duration::from_secs(2));
        // All fail at the same time, as when the database behind them is away.
        for _ in 0..60 {
            for backend in 0..backends {
                let slot = scene.slot(backend);
                scene.ledger.tables(ShardId(0)).backend(slot).failures.add(1);
                let fault = Observation::Fault(slot, BackendFault::Status(503));
                scene.fleet.observe(fault, scene.now);
            }
        }
        scene.advance(Duration::from_secs(1));
        scene.publish();
        let is_out = |backend: &usize| standing(&scene, *backend) == Standing::Ejected;
        let out: BTreeSet<usize> = (0..backends).filter(is_out).collect();
        assert_eq!(out.len(), 1, "one may be out, while it lasts");
        assert_eq!(recover(&mut scene, backends, 200), out, "{backends} backends, {rate_min} %");
    }
}

#[test]
fn whoever_fails_on_is_ejected_when_there_is_room() {
    let mut scene = scene(4, 1);
    (0..2).for_each(|backend| fail(&mut scene, backend, 7));
    assert_eq!(
        [0, 1].map(|backend| standing(&scene, backend)),
        [Standing::Ejected, Standing::Serving]
    );
    scene.advance(Duration::from_secs(31));
    let round = super::standing::round(&scene, 0);
    let passed = Observation::Trial(scene.slot(0), round, TrialCourse::Passed);
    scene.fleet.observe(passed, scene.now);
    scene.advance(Duration::from_secs(1));
    scene.publish();
    assert_eq!(standing(&scene, 1), Standing::Ejected, "it has had no success since");
}

#[test]
fn an_ejection_and_its_half_open_probe_report_the_last_failure() {
    let mut scene = scene(3, 1);
    for fault in [BackendFault::Timeout; 4].into_iter().chain([BackendFault::Status(503)]) {
        scene.fleet.observe(Observation::Fault(scene.slot(1), fault), scene.now);
    }
    scene.advance(Duration::from_millis(100));
    scene.publish();
    scene.advance(Duration::from_secs(30));
    scene.publish();
    let round = super::standing::round(&scene, 1);
    let course = TrialCourse::Failed(BackendFault::Connect);
    scene.fleet.observe(Observation::Trial(scene.slot(1), round, course), scene.now);
    scene.publish();
    let reason = |noted: &Noted| match &noted.event {
        Event::Backend { was, reason, .. } if *was != "unchecked" => Some(reason.clone()),
        _ => None,
    };
    let told: Vec<String> = scene.fleet.events().since(0).filter_map(reason).collect();
    let row = "5 exchanges in a row failed; the last failure: it answered with status 503";
    assert_eq!(told[0], row);
    assert!(told[1].contains("one request") && told[1].ends_with(row), "{told:?}");
    assert!(
        told[2].contains("its half-open probe failed") && told[2].contains("could not be made")
    );
}
