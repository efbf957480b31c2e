//! Flows whose backend leaves service, or cannot be reached.

use super::datagrams::Packet;
use super::flow_scene::FlowScene;
use super::scene::address;
use ringway::base::{BackendSlot, PoolId};
use ringway::config::FlowRules;
use ringway::mailbox::{BackendFault, Observation, TrialCourse};
use ringway::snapshot::Share;
use ringway::stats::{CloseReason, Counter};
use std::time::Duration;

fn shares(slot: usize, share: Share) -> [Share; 2] {
    let mut shares = [Share::Weight(1); 2];
    shares[slot] = share;
    shares
}

fn fall_silent(scene: &mut FlowScene) {
    scene.pass(Duration::from_secs(61));
    scene.is_clean();
}

#[test]
fn a_flow_moves_with_the_next_datagram_when_its_backend_leaves_service() {
    for share in [Share::Nothing, Share::Weight(0), Share::Cut, Share::Down] {
        let mut scene = FlowScene::new(2, FlowRules::default());
        let (before, slot) = scene.asks(1, b"before");
        let others: Vec<(Packet, usize)> = (2..8).map(|number| scene.asks(number, b"x")).collect();
        scene.publish(&shares(slot, share));
        let answers = scene.answer(&before, b"until then").is_some();
        let is_cut = matches!(share, Share::Cut | Share::Down);
        assert_eq!(answers, !is_cut, "the old one still answers");
        let (after, other) = scene.asks(1, b"after");
        assert!(other != slot && after.from != before.from);
        assert!(scene.answer(&after, b"answer").is_some());
        assert_eq!(scene.answer(&before, b"late"), None);
        for (number, (known, at)) in (2..8).zip(&others) {
            let (next, now_at) = scene.asks(number, b"x");
            assert_eq!(*at != slot, next.from == known.from, "only those of it move");
            assert_ne!(now_at, slot);
        }
        let moved = 1 + others.iter().filter(|(_, at)| *at == slot).count() as u64;
        let reason = match share {
            Share::Cut => CloseReason::BackendGone,
            Share::Down => CloseReason::BackendDown,
            _ => CloseReason::FlowMoved,
        };
        assert_eq!(scene.closes(reason), moved);
        fall_silent(&mut scene);
    }
}

#[test]
fn without_another_backend_a_flow_stays_with_one_that_drains() {
    let mut scene = FlowScene::new(1, FlowRules { max_flows: 1, ..FlowRules::default() });
    let (before, _) = scene.asks(1, b"before");
    scene.publish(&[Share::Nothing]);
    assert_eq!(scene.asks(1, b"after").0.from, before.from);
    assert!(scene.answer(&before, b"answer").is_some());
    let unserved = |scene: &FlowScene| {
        let ledger = &scene.mailbox.shared.ledger;
        ledger.pools(PoolId(0)).map(|cell| cell.unserved.read()).sum::<u64>()
    };
    assert_eq!(unserved(&scene), 0, "it is served");
    assert_eq!(scene.ask(2, b"new"), None, "it gets no new ones");
    assert_eq!(unserved(&scene), 1);
    fall_silent(&mut scene);
}

#[test]
fn a_flow_that_moves_keeps_its_place() {
    let rules = FlowRules { max_flows: 1, max_flows_per_client: 1, ..FlowRules::default() };
    let mut scene = FlowScene::new(2, rules);
    for round in 0..6 {
        let (_, slot) = scene.asks(1, b"ask");
        scene.publish(&shares(slot, Share::Nothing));
        let (_, other) = scene.asks(1, b"ask");
        assert_ne!(other, slot, "round {round}");
        assert_eq!((scene.flows(), scene.sockets()), (1, 1));
    }
    assert_eq!(scene.closes(CloseReason::FlowEvicted), 0);
    fall_silent(&mut scene);
}

#[test]
fn flows_follow_the_route_of_their_listener_to_another_pool() {
    let mut scene = FlowScene::new(2, FlowRules::default());
    let (_, slot) = scene.asks(1, b"before");
    scene.replace_pool(1 - slot);
    assert_eq!(scene.asks(1, b"after").1, 1 - slot);
    fall_silent(&mut scene);
}

#[test]
fn an_unreachable_backend_ends_the_flow_and_only_that() {
    let mut scene = FlowScene::new(2, FlowRules::default());
    let (first, slot) = scene.asks(1, b"before");
    let beside = (2..9).map(|number| (number, scene.asks(number, b"x")));
    let beside: Vec<_> = beside.collect();
    let (number, (same, _)) = beside.iter().find(|(_, (_, at))| *at == slot).expect("one");
    scene.told();
    scene.network.borrow_mut().datagrams.dead.insert(address(slot));
    assert_eq!(scene.ask(1, b"lost"), None);
    scene.turns(4);
    assert_eq!(scene.closes(CloseReason::BackendUnreachable), 1);
    let told: Vec<_> = scene.told().into_iter().map(|(told, _)| told).collect();
    let fault = Observation::Fault(BackendSlot(slot as u32), BackendFault::Unreachable);
    assert_eq!((told, scene.failures(slot)), (vec![fault], 1));
    // The next datagram goes elsewhere; the other flow has noticed nothing.
    let (next, other) = scene.asks(1, b"next");
    assert!(other != slot && next.from != first.from);
    scene.network.borrow_mut().datagrams.dead.clear();
    assert_eq!(scene.asks(*number, b"x").0.from, same.from);
    fall_silent(&mut scene);
}

#[test]
fn a_datagram_too_long_for_a_link_on_the_way_ends_no_flow_and_is_no_failure() {
    let rules = FlowRules { responses: Some(1), ..FlowRules::default() };
    let mut scene = FlowScene::new(2, rules);
    let (first, slot) = scene.asks(1, b"short");
    scene.told();
    for _ in 0..2 {
        scene.network.borrow_mut().datagrams.path_mtu = Some(1_252);
        assert_eq!(scene.ask(1, &[0; 1_400]), None);
        let (next, same) = scene.asks(1, &[0; 1_400]);
        assert_eq!((next.from, same), (first.from, slot));
    }
    assert_eq!(scene.count(Counter::DatagramsTooLong), 2);
    assert_eq!((scene.told(), scene.failures(slot)), (vec![], 0));
    (0..3).for_each(|_| assert!(scene.answer(&first, b"answer").is_some()));
    assert_eq!(scene.closes(CloseReason::FlowAnswered), 1);
    scene.is_clean();
}

#[test]
fn a_datagram_that_meets_the_report_of_an_unreachable_backend_is_lost_with_its_flow() {
    let mut scene = FlowScene::new(2, FlowRules::default());
    let (_, slot) = scene.asks(1, b"before");
    scene.network.borrow_mut().datagrams.dead.insert(address(slot));
    // Both are sent before the shard has a turn in which it could be told.
    for _ in 0..3 {
        let (from, to) = (super::flow_scene::client(1), super::flow_scene::ASKED());
        scene.network.borrow_mut().post(Packet { from, to, bytes: b"lost".to_vec() });
    }
    scene.turns(8);
    while scene.come().is_some() {}
    assert_eq!(scene.closes(CloseReason::BackendUnreachable), 1);
    assert_ne!(scene.asks(1, b"next").1, slot);
    fall_silent(&mut scene);
}

#[test]
fn one_flow_is_the_probe_of_a_half_open_backend() {
    for (answers, dies, expected) in [
        (true, false, TrialCourse::Passed),
        (false, true, TrialCourse::Failed(BackendFault::Unreachable)),
        (false, false, TrialCourse::Passed),
    ] {
        let mut scene = FlowScene::new(2, FlowRules::default());
        scene.publish(&[Share::Weight(1), Share::Trial(1)]);
        scene.told();
        if dies {
            scene.network.borrow_mut().datagrams.dead.insert(address(1));
            assert_eq!(scene.ask(1, b"probe"), None);
            scene.turns(4);
        } else {
            let (asked, slot) = scene.asks(1, b"probe");
            assert_eq!(slot, 1);
            assert_eq!(scene.asks(2, b"other").1, 0, "one is enough");
            if answers {
                assert!(scene.answer(&asked, b"answer").is_some());
            }
        }
        scene.pass(Duration::from_secs(61));
        let told: Vec<_> = scene.told().into_iter().map(|(told, _)| told).collect();
        let trial = |course| Observation::Trial(BackendSlot(1), 1, course);
        assert_eq!(told, [trial(TrialCourse::Begun), trial(expected)]);
        scene.is_clean();
    }
}

#[test]
fn without_responses_a_half_open_backend_passes_if_no_icmp_message_has_come() {
    const SECOND: Duration = Duration::from_secs(1);
    // Requests that the flow takes, responses to each, and what is known after its first datagram,
    // a second later, after another datagram, and when it has been idle for long.
    let (none, passed) = (None, Some(TrialCourse::Passed));
    let undecided = Some(TrialCourse::Undecided);
    for (requests, responses, course) in [
        (0, None, [none, none, passed, passed]),
        (9, Some(0), [none, none, passed, passed]),
        (0, Some(1), [none, none, none, undecided]),
        (1, Some(0), [undecided; 4]),
    ] {
        let rules = FlowRules { requests, responses, ..FlowRules::default() };
        let mut scene = FlowScene::new(2, rules);
        scene.publish(&[Share::Weight(1), Share::Trial(1)]);
        scene.told();
        let mut last = None;
        let mut known = |scene: &mut FlowScene| {
            for (told, _) in scene.told() {
                last = match told {
                    Observation::Trial(_, 1, TrialCourse::Begun) => last,
                    Observation::Trial(_, 1, course) => Some(course),
                    other => panic!("{other:?}"),
                };
            }
            last
        };
        assert_eq!(scene.asks(1, b"first").1, 1);
        let mut found = vec![known(&mut scene)];
        scene.pass(SECOND);
        found.push(known(&mut scene));
        scene.asks(1, b"second");
        found.push(known(&mut scene));
        scene.pass(61 * SECOND);
        found.push(known(&mut scene));
        assert_eq!(found, course, "{requests} {responses:?}");
        scene.is_clean();
    }
}

#[test]
fn the_flows_of_a_backend_that_is_cut_end_over_several_turns_and_no_others() {
    const FLOWS: u16 = 600;
    let mut scene = FlowScene::new(2, FlowRules::default());
    let of_first = (0..FLOWS).filter(|number| scene.asks(*number, b"ask").1 == 0).count() as u64;
    scene.publish(&[Share::Cut, Share::Weight(1)]);
    let mut ended = vec![scene.closes(CloseReason::BackendGone)];
    while *ended.last().expect("one") < of_first {
        scene.turns(1);
        ended.push(scene.closes(CloseReason::BackendGone));
        assert!(ended.len() < 50, "{ended:?} of {of_first}");
    }
    assert!(ended.windows(2).all(|two| two[1] - two[0] <= 128), "{ended:?}");
    assert_eq!(scene.flows() as u64, u64::from(FLOWS) - of_first);
    fall_silent(&mut scene);
}
