//! Flows of datagrams: which go together, what comes of each, and what is dropped.

use super::datagrams::{DATAGRAM_BYTES_MAX, Mishaps, Packet};
use super::flow_scene::{ASKED, FlowScene, client, listens};
use super::scene::{Scene, address};
use ringway::config::{FlowRules, ProxyProtocol};
use ringway::engine::Failure;
use ringway::limits::{FLOWS_BEGUN_PER_TURN_MAX, FLOWS_WAITING_MAX};
use ringway::proxy_protocol;
use ringway::snapshot::Share;
use ringway::stats::{CloseReason, Counter};
use std::net::SocketAddr;
use std::time::Duration;

/// Ends all flows of a scene by waiting.
fn fall_silent(scene: &mut FlowScene) {
    scene.pass(Duration::from_secs(61));
    scene.is_clean();
}

#[test]
fn all_of_a_flow_go_to_one_backend_and_answers_leave_from_the_address_that_was_asked() {
    let mut scene = FlowScene::new(3, FlowRules::default());
    let (first, slot) = scene.asks(1, b"one");
    for round in 0..5 {
        let (next, same) = scene.asks(1, b"two");
        assert_eq!((next.from, same), (first.from, slot), "round {round}");
        let answer = scene.answer(&next, b"answer").expect("the client gets it");
        assert_eq!(answer, Packet { from: ASKED(), to: client(1), bytes: b"answer".to_vec() });
    }
    // Another port, another client, or another address of the host is another flow.
    let elsewhere = SocketAddr::from(([192, 0, 2, 4], 53));
    scene.send(client(1), elsewhere, b"elsewhere");
    let other = scene.come().expect("a backend gets it");
    assert_ne!(other.from, first.from);
    let answer = scene.answer(&other, b"from there").expect("the client gets it");
    assert_eq!((answer.from, answer.to), (elsewhere, client(1)));
    let (third, _) = scene.asks(2, b"another client");
    assert!(third.from != first.from && third.from != other.from);
    assert_eq!((scene.flows(), scene.sockets()), (3, 3));
    let counts = [
        Counter::FlowsOpened,
        Counter::ClientDatagramsReceived,
        Counter::UpstreamDatagramsSent,
        Counter::UpstreamDatagramsReceived,
        Counter::ClientDatagramsSent,
    ];
    assert_eq!(counts.map(|counter| scene.count(counter)), [3, 8, 8, 6, 6]);
    fall_silent(&mut scene);
    assert_eq!(scene.closes(CloseReason::FlowIdle), 3);
}

#[test]
fn datagrams_of_any_size_go_both_ways() {
    let mut scene = FlowScene::new(1, FlowRules::default());
    for size in [0, 1, 0, 0, 1_472, DATAGRAM_BYTES_MAX, 0] {
        let bytes = vec![size as u8; size];
        let (asked, _) = scene.asks(1, &bytes);
        let answer = scene.answer(&asked, &bytes).expect("the client gets it");
        assert!(answer.bytes == bytes, "{size} bytes");
    }
    assert_eq!(scene.flows(), 1);
    fall_silent(&mut scene);
}

#[test]
fn what_is_longer_than_a_buffer_is_dropped_and_counted() {
    let mut scene = FlowScene::new(1, FlowRules::default());
    let (asked, _) = scene.asks(1, b"whole");
    let cut = Mishaps { cut_one_in: 1, ..Mishaps::NONE };
    scene.network.borrow_mut().datagrams.mishaps = cut;
    assert_eq!(scene.ask(1, b"too long"), None);
    assert_eq!(scene.ask(2, b"too long"), None);
    assert_eq!(scene.answer(&asked, b"too long"), None);
    assert_eq!((scene.count(Counter::DatagramsTruncated), scene.flows()), (3, 1));
    fall_silent(&mut scene);
}

#[test]
fn a_kernel_without_room_loses_a_datagram_and_not_its_flow() {
    let mut scene = FlowScene::new(1, FlowRules::default());
    let (asked, _) = scene.asks(1, b"sent");
    let full = Mishaps { unsent_one_in: 1, ..Mishaps::NONE };
    scene.network.borrow_mut().datagrams.mishaps = full;
    assert_eq!(scene.ask(1, b"unsent"), None);
    assert_eq!(scene.answer(&asked, b"unsent"), None);
    scene.network.borrow_mut().datagrams.mishaps = Mishaps::NONE;
    assert_eq!(scene.count(Counter::DatagramsUnsent), 2);
    assert_eq!(scene.asks(1, b"sent").0.from, asked.from);
    fall_silent(&mut scene);
}

#[test]
fn nothing_is_lost_when_buffers_run_out_for_a_while() {
    let mut scene = FlowScene::new(1, FlowRules::default());
    scene.network.borrow_mut().datagrams.mishaps.buffers = 2;
    for number in 0..40 {
        let bytes = vec![number as u8];
        let packet = Packet { from: client(number % 4), to: ASKED(), bytes };
        scene.network.borrow_mut().post(packet);
    }
    scene.turns(200);
    let came: Vec<u8> = std::iter::from_fn(|| scene.come()).map(|packet| packet.bytes[0]).collect();
    assert_eq!(came, (0..40).collect::<Vec<u8>>());
    assert!(scene.count(Counter::ReceiveRingEmpty) > 0);
    fall_silent(&mut scene);
}

#[test]
fn a_backend_that_asks_for_it_reads_who_the_client_is_in_front_of_each_datagram() {
    let config = |config: &mut ringway::config::Config| {
        listens(FlowRules::default())(config);
        config.pools[0].proxy_protocol = ProxyProtocol::V2;
    };
    let mut scene = FlowScene(Scene::with(&[Share::Weight(1)], config));
    let mut answered = None;
    for bytes in [&b"first"[..], b"", b"second"] {
        let packet = scene.ask(1, bytes).expect("a backend gets it");
        let header = proxy_protocol::read(&packet.bytes).expect("a header").expect("a whole one");
        let addresses = header.addresses.expect("of a client");
        assert_eq!((addresses.source, addresses.destination), (client(1), ASKED()));
        assert_eq!((packet.bytes[13], &packet.bytes[header.length..]), (0x12, bytes));
        answered = scene.answer(&packet, b"plain");
    }
    assert_eq!(answered.expect("the client gets it").bytes, b"plain");
    // With the header it is longer than a datagram can be.
    assert_eq!(scene.ask(1, &[1; DATAGRAM_BYTES_MAX - 27]), None);
    assert_eq!(scene.count(Counter::DatagramsTooLong), 1);
    assert!(scene.ask(1, &[1; DATAGRAM_BYTES_MAX - 28]).is_some());
    fall_silent(&mut scene);
}

#[test]
fn without_a_backend_datagrams_are_dropped_and_counted() {
    let mut scene = FlowScene::new(1, FlowRules::default());
    scene.publish(&[Share::Nothing]);
    assert_eq!(scene.ask(1, b"nobody"), None);
    assert_eq!(scene.count(Counter::DatagramsUnserved), 1);
    scene.publish(&[Share::Weight(1)]);
    for failure in [Failure::OutOfDescriptors, Failure::NoLocalPort] {
        scene.network.borrow_mut().datagrams.refuses = Some(failure);
        assert_eq!(scene.ask(1, b"no socket"), None);
        assert_eq!((scene.flows(), scene.failures(0)), (0, 0), "no fault of the backend");
    }
    assert_eq!(scene.count(Counter::DatagramsUnserved), 3);
    scene.network.borrow_mut().datagrams.refuses = None;
    scene.asks(1, b"again");
    fall_silent(&mut scene);
}

#[test]
fn the_flow_that_is_idle_for_longest_makes_place_for_a_new_one() {
    let rules = FlowRules { max_flows: 3, ..FlowRules::default() };
    let mut scene = FlowScene::new(1, rules);
    let first: Vec<Packet> = (1..=3).map(|number| scene.asks(number, b"ask").0).collect();
    // The second one is idle for longest then: an answer counts like a question.
    scene.asks(1, b"more");
    assert!(scene.answer(&first[2], b"answer").is_some());
    let (fourth, _) = scene.asks(4, b"one more");
    assert_eq!((scene.flows(), scene.closes(CloseReason::FlowEvicted)), (3, 1));
    assert_eq!(scene.answer(&first[1], b"late"), None, "its socket is closed");
    for (number, known) in [(1, &first[0]), (3, &first[2]), (4, &fourth)] {
        assert_eq!(scene.asks(number, b"on").0.from, known.from, "client {number} goes on");
    }
    assert_ne!(scene.asks(2, b"anew").0.from, first[1].from);
    fall_silent(&mut scene);
}

#[test]
fn a_limit_that_a_reload_lowers_ends_a_part_of_the_flows_with_each_datagram() {
    let mut scene = FlowScene::new(1, FlowRules::default());
    (0..600).for_each(|number| drop(scene.asks(number, b"ask")));
    scene.config.listeners[0].flows.max_flows = 10;
    scene.relisten();
    scene.turns(4);
    assert_eq!(scene.flows(), 600, "a limit by itself ends none");
    let mut left = Vec::new();
    while scene.ask(1_000, b"ask").is_none() {
        left.push(scene.flows());
    }
    assert_eq!((left, scene.flows()), (vec![344, 88], 10));
    assert_eq!(scene.count(Counter::FlowLimitRejections), 2);
    fall_silent(&mut scene);
}

#[test]
fn it_does_so_too_when_no_descriptor_or_local_port_is_left() {
    for failure in [Failure::OutOfDescriptors, Failure::NoLocalPort] {
        let mut scene = FlowScene::new(1, FlowRules::default());
        let known: Vec<Packet> = (1..=3).map(|number| scene.asks(number, b"ask").0).collect();
        scene.network.borrow_mut().datagrams.refuses = Some(failure);
        assert_eq!(scene.ask(4, b"no socket"), None);
        scene.network.borrow_mut().datagrams.refuses = None;
        assert_eq!((scene.sockets(), scene.closes(CloseReason::FlowEvicted)), (2, 1));
        assert!(scene.ask(4, b"once more").is_some());
        assert_eq!(scene.asks(3, b"on").0.from, known[2].from);
        assert_ne!(scene.asks(1, b"anew").0.from, known[0].from);
        fall_silent(&mut scene);
    }
}

#[test]
fn a_backend_gets_no_more_flows_than_it_may_have_connections() {
    let config = |config: &mut ringway::config::Config| {
        listens(FlowRules::default())(config);
        config.pools[0].max_connections_per_backend = 2;
    };
    let mut scene = FlowScene(Scene::with(&[Share::Weight(1); 2], config));
    let slots: Vec<usize> = (1..=4).map(|number| scene.asks(number, b"ask").1).collect();
    assert_eq!(slots.iter().filter(|slot| **slot == 0).count(), 2, "{slots:?}");
    assert_eq!(scene.ask(5, b"one too many"), None);
    assert_eq!(scene.count(Counter::DatagramsUnserved), 1);
    scene.pass(Duration::from_secs(61));
    scene.asks(5, b"again");
    fall_silent(&mut scene);
}

#[test]
fn a_client_has_no_more_flows_than_it_may() {
    let rules = FlowRules { max_flows_per_client: 2, ..FlowRules::default() };
    let mut scene = FlowScene::new(1, rules);
    let from = |port| SocketAddr::from(([198, 51, 100, 1], port));
    let sent = |scene: &mut FlowScene, port| {
        scene.send(from(port), ASKED(), b"ask");
        scene.come().is_some()
    };
    let served: Vec<bool> = (1..=4).map(|port| sent(&mut scene, port)).collect();
    assert_eq!(served, [true, true, false, false]);
    assert!(sent(&mut scene, 1), "a flow that there is goes on");
    assert!(scene.ask(7, b"another client").is_some());
    assert_eq!(scene.count(Counter::FlowLimitRejections), 2);
    scene.pass(Duration::from_secs(61));
    assert!(sent(&mut scene, 3), "its place is free again");
    fall_silent(&mut scene);
}

#[test]
fn a_listener_on_one_address_answers_from_there() {
    let config = |config: &mut ringway::config::Config| {
        listens(FlowRules::default())(config);
        config.listeners[0].address = ASKED();
    };
    let mut scene = FlowScene(Scene::with(&[Share::Weight(1)], config));
    let (asked, _) = scene.asks(1, b"ask");
    let answer = scene.answer(&asked, b"answer").expect("the client gets it");
    assert_eq!((answer.from, answer.to, asked.to), (ASKED(), client(1), address(0)));
    fall_silent(&mut scene);
}

#[test]
fn a_flood_of_new_flows_begins_a_part_in_each_turn_and_holds_up_nobody() {
    const FLOOD: u16 = 700;
    let mut scene = FlowScene::new(1, FlowRules::default());
    let (known, _) = scene.asks(1_000, b"known");
    let post = |scene: &mut FlowScene, from: SocketAddr, bytes: &[u8]| {
        scene.network.borrow_mut().post(Packet { from, to: ASKED(), bytes: bytes.to_vec() });
    };
    (0..FLOOD).for_each(|number| post(&mut scene, client(number), b"flood"));
    post(&mut scene, client(1_000), b"on");
    let mut before = 1;
    let mut has_come = false;
    for _ in 0..12 {
        scene.turns(1);
        let flows = scene.flows();
        assert!(flows - before <= FLOWS_BEGUN_PER_TURN_MAX, "{before} to {flows}");
        before = flows;
        while let Some(packet) = scene.come() {
            has_come |= packet.from == known.from && packet.bytes == b"on";
        }
        let is_begun = flows > FLOWS_BEGUN_PER_TURN_MAX + FLOWS_WAITING_MAX;
        assert!(has_come || !is_begun, "who is known does not wait for them");
    }
    let dropped = scene.count(Counter::DatagramsCrowdedOut);
    assert!(dropped > 0 && has_come);
    assert_eq!(before as u64 - 1 + dropped, u64::from(FLOOD), "each began or is counted");
    fall_silent(&mut scene);
}

#[test]
fn no_flow_makes_place_for_one_that_finds_no_backend() {
    let rules = FlowRules { max_flows: 2, ..FlowRules::default() };
    let mut scene = FlowScene::new(1, rules);
    let (first, _) = scene.asks(1, b"ask");
    scene.asks(2, b"ask");
    scene.publish(&[Share::Nothing]);
    assert_eq!(scene.ask(3, b"ask"), None);
    assert_eq!((scene.flows(), scene.closes(CloseReason::FlowEvicted)), (2, 0));
    assert!(scene.answer(&first, b"answer").is_some());
    fall_silent(&mut scene);
}
