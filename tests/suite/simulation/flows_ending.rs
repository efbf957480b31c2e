//! How flows end: by silence, by answers, with their listener, the process or the shard.

use super::datagrams::{DATAGRAM_BYTES_MAX, Mishaps};
use super::flow_scene::{ASKED, FlowScene, client, listens};
use super::scene::Scene;
use ringway::access_log::{Destination, Format};
use ringway::base::ListenerId;
use ringway::config::FlowRules;
use ringway::mailbox::Stage;
use ringway::snapshot::Share;
use ringway::stats::{CloseReason, Counter};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_flow_ends_when_nothing_came_for_so_long_from_either_side() {
    let rules = FlowRules { idle: 10 * SECOND, ..FlowRules::default() };
    let mut scene = FlowScene::new(1, rules);
    let (asked, _) = scene.asks(1, b"ask");
    let (other, _) = scene.asks(2, b"ask");
    for _ in 0..3 {
        scene.pass(6 * SECOND);
        assert!(scene.answer(&asked, b"still here").is_some());
    }
    assert_eq!((scene.flows(), scene.closes(CloseReason::FlowIdle)), (1, 1));
    assert_eq!(scene.answer(&other, b"late"), None);
    scene.pass(9 * SECOND);
    assert_eq!(scene.flows(), 1);
    scene.pass(2 * SECOND);
    scene.is_clean();
}

#[test]
fn a_flow_ends_when_its_requests_have_their_responses() {
    // Requests of a flow, responses to each, what happens (q: a request, r: a response), and the
    // flows that are open and bound to the client after each step.
    for (requests, responses, course, open) in [
        (0, Some(1), "qr", vec![1, 0]),
        (0, Some(1), "qqrr", vec![1, 1, 1, 0]),
        (0, Some(2), "qrr", vec![1, 1, 0]),
        (0, Some(0), "qq", vec![0, 0]),
        (2, Some(1), "qrqr", vec![1, 1, 1, 0]),
        (2, Some(1), "qqrr", vec![1, 1, 1, 0]),
        (1, None, "qrr", vec![1, 1, 1]),
        (0, None, "qrqr", vec![1, 1, 1, 1]),
        (3, Some(0), "qqq", vec![1, 1, 0]),
    ] {
        let rules = FlowRules { requests, responses, ..FlowRules::default() };
        let mut scene = FlowScene::new(1, rules);
        let mut last = None;
        let mut found = Vec::new();
        for step in course.chars() {
            match step {
                'q' => last = Some(scene.asks(1, b"ask").0),
                _ => {
                    let asked = last.clone().expect("asked before");
                    assert!(scene.answer(&asked, b"answer").is_some(), "{course}");
                }
            }
            found.push(scene.flows());
        }
        assert_eq!(found, open, "{requests} {responses:?} {course}");
        scene.turns(4);
        assert_eq!(scene.sockets(), scene.flows());
        scene.pass(61 * SECOND);
        scene.is_clean();
    }
}

#[test]
fn the_request_after_the_last_one_of_a_flow_begins_another_and_both_are_answered() {
    let rules = FlowRules { requests: 2, responses: Some(1), ..FlowRules::default() };
    let mut scene = FlowScene::new(1, rules);
    let asked: Vec<_> = (0..5).map(|_| scene.asks(1, b"ask").0).collect();
    let ports: Vec<_> = asked.iter().map(|packet| packet.from.port()).collect();
    assert!(ports[0] == ports[1] && ports[2] == ports[3], "{ports:?}");
    assert!(ports[1] != ports[2] && ports[3] != ports[4], "{ports:?}");
    assert_eq!(scene.flows(), 3);
    for packet in &asked {
        let answer = scene.answer(packet, b"answer").expect("the client gets it");
        assert_eq!((answer.from, answer.to), (ASKED(), client(1)));
    }
    assert_eq!((scene.flows(), scene.closes(CloseReason::FlowAnswered)), (1, 2));
    scene.pass(61 * SECOND);
    scene.is_clean();
}

#[test]
fn a_request_without_any_response_is_a_failure_of_the_backend_where_one_is_expected() {
    for (responses, answers, is_fault) in
        [(Some(1), 0, true), (Some(3), 0, true), (Some(3), 1, false), (None, 0, false)]
    {
        let rules = FlowRules { responses, ..FlowRules::default() };
        let mut scene = FlowScene::new(1, rules);
        let (asked, _) = scene.asks(1, b"ask");
        (0..answers).for_each(|_| assert!(scene.answer(&asked, b"answer").is_some()));
        scene.told();
        scene.pass(61 * SECOND);
        let told: Vec<_> = scene.told().into_iter().map(|(told, _)| told).collect();
        assert_eq!(told, vec![], "it counts for no ejection: {responses:?}");
        assert_eq!(scene.failures(0), u64::from(is_fault));
        assert_eq!(scene.closes(CloseReason::BackendTimeout), u64::from(is_fault));
        assert_eq!(scene.closes(CloseReason::FlowIdle), u64::from(!is_fault));
        scene.is_clean();
    }
}

#[test]
fn requests_that_no_backend_answers_take_none_out() {
    let rules = FlowRules { requests: 1, responses: Some(1), ..FlowRules::default() };
    let mut scene = FlowScene::new(1, rules);
    (1..=9).for_each(|number| drop(scene.asks(number, b"garbage")));
    scene.told();
    scene.pass(61 * SECOND);
    assert_eq!(scene.told(), []);
    assert_eq!((scene.failures(0), scene.closes(CloseReason::BackendTimeout)), (9, 9));
    scene.is_clean();
}

#[test]
fn a_request_that_did_not_reach_its_backend_is_not_its_failure() {
    let full = Mishaps { unsent_one_in: 1, ..Mishaps::NONE };
    let too_long = vec![0; DATAGRAM_BYTES_MAX + 1];
    for (mishaps, request) in [(full, &b"unsent"[..]), (Mishaps::NONE, &too_long)] {
        let rules = FlowRules { requests: 1, responses: Some(1), ..FlowRules::default() };
        let mut scene = FlowScene::new(1, rules);
        scene.network.borrow_mut().datagrams.mishaps = mishaps;
        assert_eq!(scene.ask(1, request), None);
        scene.told();
        scene.pass(61 * SECOND);
        assert_eq!((scene.told(), scene.failures(0)), (vec![], 0));
        assert_eq!(scene.closes(CloseReason::FlowIdle), 1);
        scene.is_clean();
    }
}

#[test]
fn a_listener_that_is_removed_leaves_its_port_and_answers_for_a_moment() {
    let mut scene = FlowScene::new(1, FlowRules::default());
    let (asked, _) = scene.asks(1, b"ask");
    scene.listen(false);
    scene.turns(2);
    assert_eq!(scene.ask(1, b"passes by"), None);
    assert_eq!(scene.network.borrow().datagrams.passed_by.len(), 1);
    assert!(scene.answer(&asked, b"answer").is_some());
    scene.pass(2 * SECOND);
    assert_eq!(scene.closes(CloseReason::ListenerRemoved), 1);
    scene.is_clean();
    assert_eq!(scene.network.borrow().datagrams.mouths.len(), 0);
}

#[test]
fn as_many_flows_as_end_at_once_take_the_listener_that_is_removed_along() {
    // Twice `ENDED_AT_ONCE_MAX` of `flow/ending`: the socket is let go of after the first half.
    const COUNT: u16 = 512;
    let mut scene = FlowScene::new(1, FlowRules::default());
    for number in 1..=COUNT {
        scene.asks(number, b"ask");
    }
    scene.listen(false);
    scene.turns(2);
    scene.pass(2 * SECOND);
    assert_eq!(scene.closes(CloseReason::ListenerRemoved), u64::from(COUNT));
    scene.is_clean();
    assert_eq!(scene.network.borrow().datagrams.mouths.len(), 0);
}

#[test]
fn a_listener_that_is_renamed_keeps_its_flows_and_they_count_for_it() {
    let rules = FlowRules { max_flows: 2, max_flows_per_client: 1, ..FlowRules::default() };
    let mut scene = FlowScene::new(1, rules);
    let (asked, _) = scene.asks(1, b"ask");
    scene.asks(2, b"ask");
    scene.rename_listener();
    scene.turns(4);
    let flows = |scene: &FlowScene, id| {
        let ledger = &scene.mailbox.shared.ledger;
        ledger.listeners(ListenerId(id)).map(|cell| cell.sessions()).sum::<u32>()
    };
    assert_eq!((flows(&scene, 0), flows(&scene, 1)), (0, 2));
    assert_eq!(scene.asks(1, b"ask").0.from, asked.from);
    assert!(scene.answer(&asked, b"answer").is_some());
    // The same address of a client, and one flow more than there may be.
    assert_eq!(scene.ask(201, b"ask"), None);
    assert_eq!(scene.count(Counter::FlowLimitRejections), 1);
    scene.asks(3, b"ask");
    assert_eq!((flows(&scene, 1), scene.closes(CloseReason::FlowEvicted)), (2, 1));
    scene.pass(61 * SECOND);
    scene.is_clean();
}

#[test]
fn a_process_that_drains_leaves_its_port_to_others_and_goes_on_answering() {
    let rules = FlowRules { responses: Some(1), ..FlowRules::default() };
    let mut scene = FlowScene::new(1, rules);
    let (asked, _) = scene.asks(1, b"ask");
    let (silent, _) = scene.asks(2, b"ask");
    scene.order(Stage::Draining);
    scene.turns(2);
    assert_eq!(scene.ask(3, b"passes by"), None);
    assert_eq!(scene.network.borrow().datagrams.passed_by.len(), 1);
    scene.pass(5 * SECOND);
    assert!(scene.answer(&asked, b"answer").is_some());
    assert!(!scene.is_over() && scene.flows() == 1);
    scene.order(Stage::Ending);
    scene.turns(6);
    assert!(scene.is_over());
    assert_eq!(scene.closes(CloseReason::Drained), 1);
    assert_eq!(scene.answer(&silent, b"late"), None);
    assert_eq!(scene.network.borrow().datagrams.mouths.len(), 0);
    scene.is_clean();
}

#[test]
fn what_waits_in_a_socket_when_the_process_begins_to_drain_is_served() {
    let mut scene = FlowScene::new(1, FlowRules::default());
    scene.network.borrow_mut().post(super::datagrams::Packet {
        from: client(1),
        to: ASKED(),
        bytes: b"just in time".to_vec(),
    });
    scene.network.borrow_mut().deliver();
    scene.order(Stage::Draining);
    scene.turns(4);
    let packet = scene.come().expect("a backend gets it");
    assert!(scene.answer(&packet, b"answer").is_some());
    scene.pass(61 * SECOND);
    assert!(scene.is_over());
    scene.is_clean();
}

#[test]
fn the_last_answer_is_sent_before_the_shard_is_over() {
    let rules = FlowRules { responses: Some(1), ..FlowRules::default() };
    let mut scene = FlowScene::new(1, rules);
    let (asked, _) = scene.asks(1, b"ask");
    scene.order(Stage::Draining);
    scene.pass(SECOND);
    scene.network.borrow_mut().post(super::datagrams::Packet {
        from: asked.to,
        to: asked.from,
        bytes: b"answer".to_vec(),
    });
    while !scene.is_over() {
        scene.turns(1);
    }
    assert_eq!(scene.shard.traffic().engine().held_count(), 0, "it is not sent yet");
}

#[test]
fn a_socket_that_another_process_has_too_is_not_taken_from_it() {
    let mut scene = FlowScene::new(1, FlowRules::default());
    scene.share_listener();
    scene.order(Stage::Draining);
    scene.turns(2);
    let is_away = |scene: &FlowScene| {
        scene.network.borrow().datagrams.mouths.values().any(|mouth| mouth.is_turned_away)
    };
    assert!(!is_away(&scene));
    scene.pass(SECOND);
    assert!(scene.is_over());
    scene.is_clean();
}

#[test]
fn a_shard_that_panics_leaves_its_socket_to_its_successor() {
    let rules = FlowRules { max_flows: 2, max_flows_per_client: 1, ..FlowRules::default() };
    let mut scene = FlowScene::new(1, rules);
    let (asked, _) = scene.asks(1, b"ask");
    scene.panics();
    assert_eq!(scene.network.borrow().datagrams.mouths.len(), 1, "the listener's is left");
    let shared = scene.mailbox.shared.clone();
    shared.ledger.reset(scene.mailbox.shard());
    scene.begin_again();
    let (again, _) = scene.asks(1, b"again");
    assert_ne!(again.from, asked.from);
    assert!(scene.answer(&again, b"answer").is_some());
    scene.pass(61 * SECOND);
    assert_eq!((scene.flows(), scene.sockets()), (0, 0));
    assert_eq!(scene.count(Counter::FlowLimitRejections), 0);
}

#[test]
fn each_flow_has_a_record() {
    let folder = crate::loopback::harness::TempFolder::new();
    let file = folder.0.join("access.log");
    let destination = Destination::File(file.clone());
    let (sender, writer) =
        ringway::access_log::start(&destination, Format::Json, 16).expect("a file");
    let rules = FlowRules { responses: Some(2), ..FlowRules::default() };
    let mut scene = FlowScene(Scene::recorded(&[Share::Weight(1)], Some(sender), listens(rules)));
    let (asked, _) = scene.asks(1, b"three");
    scene.pass(SECOND);
    assert!(scene.answer(&asked, b"four").is_some() && scene.answer(&asked, b"").is_some());
    scene.is_clean();
    drop(scene);
    drop(writer);
    let line = std::fs::read_to_string(file).expect("written");
    let value: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!((&value["protocol"], &value["failure"]), (&"udp".into(), &"flow_answered".into()));
    assert_eq!((&value["request_bytes"], &value["response_bytes"]), (&5.into(), &4.into()));
    let datagrams = [&value["request_datagrams"], &value["response_datagrams"]];
    assert_eq!(datagrams, [1, 2]);
    assert_eq!(value["client_port"], client(1).port());
    assert!(value["duration_us"].as_u64().is_some_and(|us| us >= 1_000_000), "{line}");
}
