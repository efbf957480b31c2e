//! Connections that are forwarded unread: what each side sees of the other, in every order.

use super::network::Fate;
use super::scene::{Scene, address};
use ringway::config::{Protocol, Timeouts};
use ringway::engine::{Close, Failure};
use ringway::snapshot::Share;
use ringway::stats::{CloseReason, Counter};
use std::time::Duration;

fn scene(shares: &[Share]) -> Scene {
    Scene::with(shares, |config| {
        config.timeouts = Timeouts::default();
        config.listeners[0].protocol = Protocol::Tcp;
    })
}

/// A client with its backend.
fn pair(scene: &mut Scene) -> (i32, i32) {
    let client = scene.client();
    scene.turns(8);
    (client, scene.connected().0)
}

fn closes(scene: &Scene, reason: CloseReason) -> u64 {
    scene.mailbox.counters.read_closes(reason)
}

/// Nothing of any connection is left.
fn is_clean(scene: &mut Scene) {
    scene.turns(20);
    assert_eq!(scene.held_buffers(), 0, "buffers are left");
    assert!(scene.shard.traffic().is_empty(), "connections are left");
    let ledger = &scene.mailbox.shared.ledger;
    let slots = [0, 1].map(ringway::base::BackendSlot);
    assert_eq!(slots.map(|slot| ledger.in_flight(slot)), [0, 0], "in flight is left");
}

#[test]
fn each_side_may_end_first_and_the_other_goes_on() {
    for backend_first in [false, true] {
        let mut scene = scene(&[Share::Weight(1)]);
        let (client, backend) = pair(&mut scene);
        let (first, second) = if backend_first { (backend, client) } else { (client, backend) };
        scene.say(first, "one");
        scene.end(first);
        assert_eq!(scene.heard(second), "one");
        assert!(scene.has_ended(second) && !scene.has_ended(first));
        scene.say(second, "two");
        assert_eq!(scene.heard(first), "two");
        scene.end(second);
        assert_eq!(closes(&scene, CloseReason::TunnelEnded), 1);
        is_clean(&mut scene);
    }
}

#[test]
fn what_a_client_says_before_its_backend_is_reached_goes_to_the_one_that_is() {
    let mut scene = scene(&[Share::Weight(1), Share::Weight(1)]);
    scene.network.borrow_mut().next_fate = Some(Fate::Fails(5, Failure::Refused));
    let client = scene.client();
    for part in ["a", "b", "c", "d"] {
        scene.say(client, part);
    }
    scene.turns(20);
    assert_eq!((scene.connects(), scene.mailbox.counters.read(Counter::Retries)), (2, 1));
    let (backend, _) = scene.connected();
    assert_eq!(scene.heard(backend), "abcd");
    scene.say(client, "e");
    assert_eq!(scene.heard(backend), "e", "it is received from again");
    scene.reset(client);
    is_clean(&mut scene);
}

#[test]
fn a_client_that_has_ended_before_its_backend_is_reached_is_served_all_the_same() {
    let mut scene = scene(&[Share::Weight(1)]);
    scene.network.borrow_mut().next_fate = Some(Fate::Connects(40));
    let client = scene.client();
    scene.say(client, "all");
    scene.end(client);
    scene.turns(60);
    let (backend, _) = scene.connected();
    assert_eq!(scene.heard(backend), "all");
    assert!(scene.has_ended(backend));
    scene.say(backend, "answer");
    scene.end(backend);
    assert_eq!(scene.heard(client), "answer");
    is_clean(&mut scene);
}

#[test]
fn a_client_that_leaves_while_its_backend_is_looked_for_leaves_nothing_behind() {
    for fate in [Fate::Connects(1_000), Fate::Fails(1, Failure::Refused)] {
        let mut scene = scene(&[Share::Weight(1), Share::Weight(1)]);
        scene.network.borrow_mut().next_fate = Some(fate);
        let client = scene.client();
        scene.add(client, "early");
        scene.reset(client);
        is_clean(&mut scene);
    }
}

#[test]
fn a_reset_of_either_side_is_a_reset_for_the_other_behind_what_came_before() {
    for backend_resets in [false, true] {
        let mut scene = scene(&[Share::Weight(1)]);
        let (client, backend) = pair(&mut scene);
        let (first, second) = if backend_resets { (backend, client) } else { (client, backend) };
        scene.say(first, "last words");
        scene.reset(first);
        scene.turns(20);
        assert_eq!(scene.heard(second), "last words");
        assert_eq!(scene.closed(second), Some(Close::Reset));
        is_clean(&mut scene);
    }
}

/// A pair of which one side has said something and reset its connection, before the other one has
/// acknowledged any of it.
fn last_words(scene: &mut Scene, backend_resets: bool) -> i32 {
    let (client, backend) = pair(scene);
    let (first, second) = if backend_resets { (backend, client) } else { (client, backend) };
    scene.network.borrow_mut().slow_to_acknowledge.insert(second);
    scene.say(first, "last words");
    scene.reset(first);
    scene.pass(Duration::from_secs(20));
    assert_eq!(scene.closed(second), None, "it has not got them");
    second
}

#[test]
fn a_reset_waits_until_what_came_before_was_delivered() {
    let ends = |scene: &mut Scene, second| scene.end(second);
    let talks = |scene: &mut Scene, second| scene.say(second, "to nobody");
    let waits = |_: &mut Scene, _| {};
    for does in [ends, talks, waits] as [fn(&mut Scene, i32); 3] {
        for backend_resets in [false, true] {
            let mut scene = scene(&[Share::Weight(1)]);
            let second = last_words(&mut scene, backend_resets);
            does(&mut scene, second);
            scene.pass(Duration::from_secs(5));
            assert_eq!(scene.heard(second), "last words");
            scene.pass(Duration::from_secs(2));
            assert_eq!(scene.closed(second), Some(Close::Reset));
            is_clean(&mut scene);
        }
    }
}

#[test]
fn a_reset_waits_for_no_peer_that_takes_nothing_or_is_gone() {
    for backend_resets in [false, true] {
        let mut scene = scene(&[Share::Weight(1)]);
        let second = last_words(&mut scene, backend_resets);
        scene.pass(Timeouts::default().between_bytes);
        assert_eq!(scene.closed(second), Some(Close::Reset));
        is_clean(&mut scene);
        let second = last_words(&mut scene, backend_resets);
        scene.reset(second);
        scene.pass(Duration::from_secs(2));
        is_clean(&mut scene);
    }
}

#[test]
fn what_a_client_said_before_it_ended_and_left_is_delivered_to_a_backend_that_still_talks() {
    for is_slow in [false, true] {
        let mut scene = scene(&[Share::Weight(1)]);
        let (client, backend) = pair(&mut scene);
        if is_slow {
            scene.network.borrow_mut().slow_to_acknowledge.insert(backend);
        }
        scene.say(client, "last words");
        scene.end(client);
        // The shard hears of the reset when it passes the first byte on, and reads no further.
        scene.network.borrow_mut().meanness.receive_bytes_max = 1;
        scene.reset(client);
        scene.say(backend, "to nobody any more");
        scene.pass(Duration::from_secs(2));
        assert_eq!(scene.heard(backend), "last words");
        assert!(scene.has_ended(backend));
        scene.pass(Duration::from_secs(2));
        assert_eq!(closes(&scene, CloseReason::ClientReset), 1);
        is_clean(&mut scene);
    }
}

#[test]
fn without_a_backend_the_client_is_reset_and_that_is_counted() {
    let mut scene = scene(&[Share::Weight(1)]);
    scene.network.borrow_mut().next_fate = Some(Fate::Fails(1, Failure::Refused));
    let client = scene.client();
    scene.turns(20);
    assert_eq!(scene.closed(client), Some(Close::Reset));
    assert_eq!(closes(&scene, CloseReason::NoBackend), 1);
    is_clean(&mut scene);
}

#[test]
fn a_backend_that_is_removed_keeps_its_connections_and_loses_them_when_it_is_cut() {
    for (share, reason) in
        [(Share::Cut, CloseReason::BackendGone), (Share::Down, CloseReason::BackendDown)]
    {
        is_removed_and_cut(share, reason);
    }
}

fn is_removed_and_cut(cut: Share, reason: CloseReason) {
    let mut scene = scene(&[Share::Weight(1), Share::Weight(1)]);
    let (client, backend) = pair(&mut scene);
    let slot = (0..2).find(|slot| address(*slot) == scene.connected().1).expect("one of them");
    let shares = |share| {
        let mut shares = [Share::Weight(1); 2];
        shares[slot] = share;
        shares
    };
    scene.publish(&shares(Share::Nothing));
    scene.say(client, "goes on");
    assert_eq!(scene.heard(backend), "goes on");
    scene.publish(&shares(cut));
    scene.turns(8);
    assert_eq!(scene.closed(client), Some(Close::Reset));
    assert_eq!(closes(&scene, reason), 1);
    is_clean(&mut scene);
}

#[test]
fn one_that_is_connecting_moves_away_from_a_backend_that_is_removed() {
    let mut scene = scene(&[Share::Weight(1), Share::Weight(1)]);
    scene.network.borrow_mut().next_fate = Some(Fate::Connects(1_000));
    let client = scene.client();
    scene.say(client, "early");
    let slot = (0..2).find(|slot| address(*slot) == scene.connected().1).expect("one of them");
    let mut shares = [Share::Weight(1); 2];
    shares[slot] = Share::Nothing;
    scene.publish(&shares);
    scene.turns(20);
    let (backend, other) = scene.connected();
    assert_ne!(other, address(slot));
    assert_eq!(scene.heard(backend), "early");
    scene.reset(client);
    is_clean(&mut scene);
}

#[test]
fn silence_ends_a_connection_and_ends_it_sooner_when_one_side_has_ended() {
    for ended in [false, true] {
        let mut scene = scene(&[Share::Weight(1)]);
        let (client, backend) = pair(&mut scene);
        scene.say(client, "hello");
        assert_eq!(scene.heard(backend), "hello");
        let timeouts = Timeouts::default();
        if ended {
            scene.end(client);
        }
        let span = if ended { timeouts.half_closed } else { timeouts.tunnel };
        scene.pass(span - Duration::from_secs(1));
        assert_eq!(closes(&scene, CloseReason::TunnelIdle), 0, "not yet");
        scene.pass(Duration::from_secs(2));
        assert_eq!(closes(&scene, CloseReason::TunnelIdle), 1);
        is_clean(&mut scene);
    }
}

#[test]
fn an_answer_that_has_ended_is_no_reset_for_a_client_that_is_silent_behind_it() {
    let mut scene = scene(&[Share::Weight(1)]);
    let (client, backend) = pair(&mut scene);
    scene.say(backend, "all of it");
    scene.end(backend);
    scene.pass(Timeouts::default().half_closed + Duration::from_secs(1));
    assert_eq!(scene.heard(client), "all of it");
    assert!(scene.has_ended(client));
    scene.pass(Duration::from_secs(60));
    assert_eq!(closes(&scene, CloseReason::TunnelIdle), 1);
    assert_eq!(scene.closed(client), Some(Close::Graceful));
    assert_eq!(scene.closed(backend), Some(Close::Reset), "its client has not ended");
    is_clean(&mut scene);
}

#[test]
fn the_kernel_probes_a_backend_as_its_pool_says_and_none_if_it_says_never() {
    for idle in [Duration::from_secs(7), Duration::ZERO] {
        let mut scene = Scene::with(&[Share::Weight(1)], |config| {
            config.listeners[0].protocol = Protocol::Tcp;
            config.pools[0].keepalive = idle;
        });
        let (_, backend) = pair(&mut scene);
        let probed = scene.network.borrow().kept_alive.get(&backend).copied();
        assert_eq!(probed, Some(idle).filter(|idle| !idle.is_zero()));
    }
}
