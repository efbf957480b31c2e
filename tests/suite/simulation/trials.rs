//! Requests that are to show whether an ejected backend has recovered: whatever becomes of them,
//! the coordinator is told, and told before the backend's slot can be given away.

use super::network::Fate;
use super::scene::{Scene, address};
use ringway::base::BackendSlot;
use ringway::config::Timeouts;
use ringway::engine::Failure;
use ringway::mailbox::{BackendFault, Observation, TrialCourse};
use ringway::snapshot::Share;

const TRIED: BackendSlot = BackendSlot(0);
const ROUND: u32 = 7;
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

/// The first backend is out; the second one has served a client and has an idle connection.
fn one_is_out() -> (Scene, i32) {
    let mut scene = Scene::new(&[Share::Nothing, Share::Weight(1)], Timeouts::default());
    let client = scene.client();
    scene.say(client, REQUEST);
    let (idle, to) = scene.connected();
    assert_eq!(to, address(1));
    scene.say(idle, ANSWER);
    assert!(scene.heard(client).ends_with("good"));
    scene.heard(idle);
    (scene, idle)
}

fn try_first(scene: &mut Scene) {
    scene.publish(&[Share::Trial(ROUND), Share::Weight(1)]);
}

fn courses(scene: &Scene) -> Vec<Observation> {
    scene.told().into_iter().map(|(observation, _)| observation).collect()
}

fn trial(course: TrialCourse) -> Observation {
    Observation::Trial(TRIED, ROUND, course)
}

#[test]
fn a_trial_that_fails_for_a_shortage_of_ours_costs_its_client_nothing() {
    let shortages = [Failure::OutOfDescriptors, Failure::OutOfResources, Failure::NoBuffers];
    for (failure, is_begun) in shortages.map(|failure| [(failure, false), (failure, true)]).concat()
    {
        let (mut scene, idle) = one_is_out();
        try_first(&mut scene);
        scene.accepts = false;
        let mut network = scene.network.borrow_mut();
        match is_begun {
            true => network.next_fate = Some(Fate::Fails(1, failure)),
            false => network.next_fate = Some(Fate::Fails(0, failure)),
        }
        drop(network);
        let client = scene.client();
        scene.say(client, REQUEST);
        assert_eq!(scene.heard(client), "", "no 503 for {failure:?}");
        assert!(scene.heard(idle).starts_with("GET / "), "the idle connection has it");
        scene.say(idle, ANSWER);
        assert!(scene.heard(client).ends_with("good"));
        let expected = [trial(TrialCourse::Begun), trial(TrialCourse::Undecided)];
        assert_eq!(courses(&scene), expected, "{failure:?}");
        assert_eq!(scene.failures(0), 0, "not the backend's fault");
    }
}

#[test]
fn without_a_trial_a_shortage_of_ours_is_an_answer_and_not_a_search() {
    for failure in [Failure::OutOfDescriptors, Failure::OutOfResources, Failure::NoBuffers] {
        let mut scene = Scene::new(&[Share::Weight(1), Share::Weight(1)], Timeouts::default());
        scene.network.borrow_mut().next_fate = Some(Fate::Fails(0, failure));
        let client = scene.client();
        scene.say(client, REQUEST);
        assert!(scene.heard(client).starts_with("HTTP/1.1 503 "));
        assert_eq!((scene.connects(), courses(&scene)), (0, Vec::new()), "{failure:?}");
        assert_eq!(scene.failures(0) + scene.failures(1), 0, "no backend's fault: {failure:?}");
    }
}

#[test]
fn a_trial_whose_backend_leaves_before_it_is_connected_is_undecided() {
    let (mut scene, idle) = one_is_out();
    try_first(&mut scene);
    scene.accepts = false;
    let client = scene.client();
    scene.say(client, REQUEST);
    assert_eq!(scene.connected().1, address(0));
    scene.publish(&[Share::Nothing, Share::Weight(1)]);
    scene.turns(4);
    assert!(scene.heard(idle).starts_with("GET / "), "another backend has the request");
    scene.say(idle, ANSWER);
    assert!(scene.heard(client).ends_with("good"));
    assert_eq!(courses(&scene), [trial(TrialCourse::Begun), trial(TrialCourse::Undecided)]);
}

#[test]
fn a_request_that_another_backend_left_unanswered_is_no_trial() {
    let shares = [Share::Nothing, Share::Weight(1), Share::Weight(1)];
    let mut scene = Scene::new(&shares, Timeouts::default());
    let client = scene.client();
    scene.say(client, REQUEST);
    let (asked, first) = scene.connected();
    scene.publish(&[Share::Trial(ROUND), Share::Weight(1), Share::Weight(1)]);
    scene.told();
    scene.reset(asked);
    let (second, to) = scene.connected();
    assert!(to != first && to != address(0), "{to}");
    assert!(!courses(&scene).iter().any(|told| matches!(told, Observation::Trial(..))));
    scene.say(second, ANSWER);
    assert!(scene.heard(client).ends_with("good"));
}

#[test]
fn one_that_could_stay_with_a_backend_that_is_drained_is_no_trial_either() {
    let mut scene = Scene::new(&[Share::Nothing, Share::Weight(1)], Timeouts::default());
    scene.network.borrow_mut().next_fate = Some(Fate::Connects(20));
    let client = scene.client();
    scene.say(client, REQUEST);
    scene.publish(&[Share::Trial(ROUND), Share::Nothing]);
    scene.turns(20);
    assert_eq!((scene.connects(), courses(&scene)), (1, Vec::new()));
    let (asked, _) = scene.connected();
    scene.say(asked, ANSWER);
    assert!(scene.heard(client).ends_with("good"));
}

#[test]
fn a_trial_for_whose_request_no_buffer_is_left_is_undecided() {
    let mut scene = Scene::new(&[Share::Trial(ROUND), Share::Weight(1)], Timeouts::default());
    let first = scene.client();
    scene.say(first, REQUEST);
    let (idle, to) = scene.connected();
    assert_eq!(to, address(0));
    scene.say(idle, ANSWER);
    assert!(scene.heard(first).ends_with("good"));
    // A head that no small buffer holds waits aside for its connection.
    scene.network.borrow_mut().next_fate = Some(Fate::Connects(50));
    let client = scene.client();
    let cookie = "x".repeat(7_000);
    scene.say(client, &format!("GET / HTTP/1.1\r\nHost: t\r\nCookie: {cookie}\r\n\r\n"));
    assert_eq!(scene.connected().1, address(1));
    scene.told();
    drop(scene.hoard());
    scene.publish(&[Share::Trial(ROUND + 1), Share::Cut]);
    let trial = |course| Observation::Trial(TRIED, ROUND + 1, course);
    let expected = [trial(TrialCourse::Begun), trial(TrialCourse::Undecided)];
    assert_eq!(courses(&scene), expected);
    assert!(scene.has_ended(client) && scene.heard(client).is_empty());
}

#[test]
fn what_is_told_of_a_backend_is_told_while_it_is_still_counted() {
    let (mut scene, _) = one_is_out();
    scene.publish(&[Share::Weight(1), Share::Nothing]);
    // A connect that is refused, an answer that is cut short, one that is none, one that is late.
    let mut client = scene.client();
    scene.network.borrow_mut().next_fate = Some(Fate::Fails(1, Failure::Refused));
    scene.accepts = false;
    scene.say(client, REQUEST);
    scene.accepts = true;
    scene.pass(std::time::Duration::from_secs(2));
    for (answer, is_cut) in
        [("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", true), ("what?\r\n\r\n", false)]
    {
        client = scene.client();
        scene.say(client, REQUEST);
        let (backend, _) = scene.connected();
        scene.say(backend, answer);
        if is_cut {
            scene.reset(backend);
        }
    }
    client = scene.client();
    scene.say(client, REQUEST);
    scene.pass(std::time::Duration::from_secs(40));
    assert!(scene.heard(client).starts_with("HTTP/1.1 504 "));
    let fault = |fault| (Observation::Fault(TRIED, fault), 1);
    let expected = [
        fault(BackendFault::Connect),
        fault(BackendFault::Reset),
        fault(BackendFault::Malformed),
        fault(BackendFault::Timeout),
    ];
    assert_eq!(scene.told(), expected);
}

#[test]
fn a_trial_is_told_to_be_undecided_while_it_is_still_counted() {
    let (mut scene, _) = one_is_out();
    try_first(&mut scene);
    let client = scene.client();
    scene.say(client, REQUEST);
    scene.told();
    scene.reset(client);
    assert_eq!(scene.told(), [(trial(TrialCourse::Undecided), 1)]);
}
