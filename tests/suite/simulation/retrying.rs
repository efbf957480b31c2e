//! A request whose backend dies, or is found dead, before it answers: one that may be repeated goes
//! to a second backend, within the pool's budget, and never to a third.

use super::scene::{Scene, address};
use ringway::config::Timeouts;
use ringway::engine::Failure;
use ringway::limits::{ATTEMPTS_MAX, RETRY_BACKOFF};
use ringway::mailbox::{BackendFault, Observation};
use ringway::snapshot::Share;
use ringway::stats::Counter;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
const PUT: &str = "PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
const POST: &str = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
const SERVES: Share = Share::Weight(1);

fn scene(backends: usize) -> Scene {
    Scene::new(&vec![SERVES; backends], Timeouts::default())
}

/// A client whose request is with the backend of the connection.
fn asking(scene: &mut Scene, request: &str) -> (i32, i32) {
    let client = scene.client();
    scene.say(client, request);
    let (backend, _) = scene.connected();
    assert!(scene.heard(backend).contains(" / HTTP/1.1\r\nHost: t\r\n"));
    (client, backend)
}

/// The backend that was connected to last has the whole request; its answer is the client's.
fn is_served(scene: &mut Scene, client: i32, request: &str) {
    let (backend, _) = scene.connected();
    let sent = scene.heard(backend);
    let (line, body) = (request.split("\r\n").next(), request.split("\r\n\r\n").nth(1));
    assert!(sent.starts_with(line.expect("a request")), "{sent}");
    assert!(sent.ends_with(&format!("\r\n\r\n{}", body.expect("a request"))), "{sent}");
    scene.say(backend, ANSWER);
    let answer = scene.heard(client);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("good"), "{answer}");
}

/// The backend that was connected to last is found dead by its probe.
fn found_dead(scene: &mut Scene, backends: usize) {
    let (_, dead) = scene.connected();
    let share = |slot| if address(slot) == dead { Share::Cut } else { SERVES };
    scene.publish(&(0..backends).map(share).collect::<Vec<_>>());
    scene.turns(8);
}

#[test]
fn a_request_whose_backend_dies_goes_to_another_one_if_it_may_be_repeated() {
    for request in [GET, PUT] {
        for resets in [true, false] {
            let mut scene = scene(2);
            let (client, backend) = asking(&mut scene, request);
            match resets {
                true => scene.reset(backend),
                false => scene.end(backend),
            }
            assert_eq!(scene.connects(), 2, "{request}");
            is_served(&mut scene, client, request);
            assert_eq!(scene.count(Counter::Retries), 1);
            let told = scene.told().into_iter().map(|(observation, _)| observation);
            let faults: Vec<_> = told.collect();
            assert!(
                matches!(faults[..], [Observation::Fault(_, BackendFault::Reset)]),
                "the first is charged with it: {faults:?}"
            );
        }
    }
}

#[test]
fn one_that_may_not_be_repeated_or_whose_answer_has_begun_is_answered_502() {
    let begun = "HTTP/1.1 200 OK\r\nContent-Le";
    for (request, said) in [(POST, ""), (GET, begun), (GET, "HTTP/1.1 103 Early Hints\r\n\r\n")] {
        for is_cut in [false, true] {
            let mut scene = scene(2);
            let (client, backend) = asking(&mut scene, request);
            if !said.is_empty() {
                scene.say(backend, said);
                scene.heard(client);
            }
            match is_cut {
                true => found_dead(&mut scene, 2),
                false => scene.reset(backend),
            }
            assert!(scene.heard(client).starts_with("HTTP/1.1 502 "), "{request}{said}");
            assert_eq!(scene.connects(), 1);
        }
    }
}

#[test]
fn a_request_that_kills_two_backends_gets_no_third_one() {
    let mut scene = scene(4);
    let (client, first) = asking(&mut scene, GET);
    scene.reset(first);
    let (second, _) = scene.connected();
    scene.reset(second);
    assert!(scene.heard(client).starts_with("HTTP/1.1 502 "));
    assert_eq!(scene.connects(), 2);
}

#[test]
fn nor_does_one_that_kills_them_over_connections_that_were_used_before() {
    let mut scene = scene(4);
    for _ in 0..4 {
        let (client, backend) = asking(&mut scene, GET);
        scene.say(backend, ANSWER);
        assert!(scene.heard(client).ends_with("good"));
    }
    let client = scene.client();
    scene.say(client, GET);
    assert_eq!(scene.connects(), 4, "an idle connection has it");
    let mut killed = 0;
    while scene.heard(client).is_empty() {
        let asked = scene.asked();
        assert_eq!(asked.len(), 1, "one backend at a time has the request");
        scene.reset(asked[0]);
        killed += 1;
        assert!(killed < 4, "it goes through the whole pool");
    }
    assert!(killed <= 3, "an idle connection does not show that its backend is dead");
}

#[test]
fn a_request_that_waits_for_a_backend_that_is_found_dead_goes_to_another_one() {
    for request in [GET, PUT] {
        let mut scene = scene(2);
        let (client, _) = asking(&mut scene, request);
        let (_, dead) = scene.connected();
        found_dead(&mut scene, 2);
        assert_ne!(scene.connected().1, dead);
        is_served(&mut scene, client, request);
        assert_eq!(scene.failures(0) + scene.failures(1), 0, "the probe has told of it");
    }
    let mut scene = scene(1);
    let (client, _) = asking(&mut scene, GET);
    found_dead(&mut scene, 1);
    assert!(scene.heard(client).starts_with("HTTP/1.1 502 "), "there is no other one");
}

#[test]
fn no_more_are_sent_again_than_the_budget_of_the_pool_allows() {
    for (percent, expected) in [(0, 0), (20, 3), (50, 5), (100, 10)] {
        let mut scene = Scene::with(&[SERVES, Share::Nothing], |config| {
            config.pools[0].retry_budget_percent = percent;
        });
        let clients: Vec<i32> = (0..10).map(|_| asking(&mut scene, GET).0).collect();
        scene.publish(&[Share::Cut, SERVES]);
        scene.turns(8);
        let is_refused = |client: &&i32| scene.heard(**client).starts_with("HTTP/1.1 502 ");
        let refused = clients.iter().filter(is_refused).count();
        assert_eq!((10 - refused, scene.connects()), (expected, 10 + expected), "{percent} %");
        let counts = [Counter::Retries, Counter::RetriesDenied].map(|count| scene.count(count));
        assert_eq!(counts, [expected as u64, refused as u64]);
    }
}

#[test]
fn a_request_that_is_old_is_not_sent_again() {
    let timeouts = Timeouts { between_bytes: Duration::from_secs(3_600), ..Timeouts::default() };
    for (waits, expected) in [(29, 2), (31, 1)] {
        let mut scene = Scene::new(&[SERVES; 2], timeouts);
        let (client, backend) = asking(&mut scene, GET);
        scene.pass(Duration::from_secs(waits));
        scene.reset(backend);
        assert_eq!(scene.connects(), expected, "after {waits} s");
        assert_eq!(scene.heard(client).starts_with("HTTP/1.1 502 "), expected == 1);
    }
}

#[test]
fn a_408_of_an_idle_connection_is_passed_on_if_the_request_is_old() {
    let late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let timeouts = Timeouts { between_bytes: Duration::from_secs(3_600), ..Timeouts::default() };
    for (waits, connects) in [(29, 2), (31, 1)] {
        let mut scene = Scene::new(&[SERVES], timeouts);
        let (client, backend) = asking(&mut scene, GET);
        scene.say(backend, ANSWER);
        assert!(scene.heard(client).ends_with("good"));
        scene.say(client, GET);
        scene.pass(Duration::from_secs(waits));
        scene.say(backend, late);
        assert_eq!(scene.connects(), connects, "after {waits} s");
        assert_eq!(scene.heard(client).starts_with("HTTP/1.1 408 "), connects == 1);
    }
}

#[test]
fn one_that_was_never_sent_gets_no_further_attempt_when_it_is_old_either() {
    let timeouts = Timeouts { connect: Duration::from_secs(3_600), ..Timeouts::default() };
    for (waits, connects) in [(29, 2), (31, 1)] {
        for leaves in [Share::Nothing, Share::Cut] {
            let mut scene = Scene::new(&[SERVES, Share::Nothing], timeouts);
            scene.accepts = false;
            let client = scene.client();
            scene.say(client, POST);
            scene.pass(Duration::from_secs(waits));
            scene.publish(&[leaves, SERVES]);
            assert_eq!(scene.connects(), connects, "{leaves:?} after {waits} s");
            let is_refused = scene.heard(client).starts_with("HTTP/1.1 503 ");
            assert_eq!(is_refused, connects == 1 && leaves == Share::Cut);
        }
    }
}

#[test]
fn there_are_four_attempts_at_most() {
    let mut scene = scene(6);
    let mut idle = Vec::new();
    for _ in 0..6 {
        let (client, backend) = asking(&mut scene, GET);
        scene.say(backend, ANSWER);
        assert!(scene.heard(client).ends_with("good"));
        idle.push(backend);
    }
    let client = scene.client();
    scene.say(client, GET);
    let asked = scene.asked();
    assert_eq!((scene.connects(), asked.len()), (6, 1), "an idle connection has it");
    scene.network.borrow_mut().refuses_all = Some(Failure::Refused);
    scene.reset(asked[0]);
    scene.pass(Duration::from_secs(1));
    assert!(scene.heard(client).starts_with("HTTP/1.1 503 "));
    assert_eq!(scene.connects(), 6 + ATTEMPTS_MAX - 1);
}

/// A client whose request two backends of three have refused, or are about to, `turns` later.
fn refused_twice(request: &str, turns: usize) -> (Scene, i32) {
    let mut scene = scene(3);
    scene.network.borrow_mut().refuses_all = Some(Failure::Refused);
    let client = scene.client();
    scene.add(client, request);
    while scene.connects() < 2 {
        scene.turns(1);
    }
    scene.turns(turns);
    scene.network.borrow_mut().refuses_all = None;
    (scene, client)
}

#[test]
fn the_second_retry_waits_a_moment_and_what_the_client_sends_meanwhile_is_not_lost() {
    let head = "PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n";
    let mut waited = 0; // turns
    for turns in 0..8 {
        let (mut scene, client) = refused_twice(head, turns);
        if scene.connects() > 2 {
            break;
        }
        waited += 1;
        scene.say(client, "hello");
        scene.pass(RETRY_BACKOFF);
        scene.say(client, "world");
        assert_eq!(scene.connects(), 3);
        let (backend, _) = scene.connected();
        let sent = scene.heard(backend);
        assert!(sent.starts_with("PUT / ") && sent.ends_with("\r\n\r\nhelloworld"), "{sent}");
        scene.say(backend, ANSWER);
        assert!(scene.heard(client).ends_with("good"));
    }
    assert!(waited > 2, "the third attempt does not wait");
}

#[test]
fn a_client_that_leaves_while_its_request_waits_for_an_attempt_leaves_nothing_behind() {
    for turns in 0..8 {
        let (mut scene, client) = refused_twice(GET, turns);
        let before = scene.connects();
        scene.reset(client);
        scene.pass(Duration::from_millis(500));
        assert_eq!(scene.held_buffers(), 0, "after {turns} turns");
        assert!(scene.is_closed(client) && scene.connects() <= before + 1);
    }
}
