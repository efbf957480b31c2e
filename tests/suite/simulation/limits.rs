//! How many connections there may be, and when a further one has its turn.

use super::scene::{Scene, address};
use ringway::base::BackendSlot;
use ringway::config::Protocol;
use ringway::engine::Close;
use ringway::mailbox::Stage;
use ringway::snapshot::Share;
use ringway::stats::{CloseReason, Counter};
use std::time::Duration;

/// Two connections of bytes may be open on the listener.
fn scene() -> Scene {
    Scene::with(&[Share::Weight(1)], |config| {
        config.listeners[0].protocol = Protocol::Tcp;
        config.listeners[0].max_connections = 2;
    })
}

/// Connections that the shard serves.
fn served(scene: &mut Scene) -> usize {
    scene.shard.traffic().clients().len()
}

fn sessions(scene: &Scene) -> u32 {
    scene.mailbox.shared.ledger.sessions(scene.mailbox.shard(), ringway::base::ListenerId(0)).own()
}

#[test]
fn a_further_connection_waits_and_has_its_turn_as_soon_as_one_ends() {
    let mut scene = scene();
    let clients = [(); 5].map(|()| scene.client());
    scene.turns(40);
    assert_eq!(served(&mut scene), 2);
    for (ended, client) in clients.into_iter().enumerate() {
        let before = scene.network.borrow().now;
        scene.reset(client);
        let left = clients.len() - 1 - ended;
        assert_eq!(served(&mut scene), left.min(2));
        let took = scene.network.borrow().now.since(before);
        assert!(took < Duration::from_millis(100), "{took:?}: before it would look by itself");
    }
    assert_eq!(sessions(&scene), 0);
}

#[test]
fn a_higher_limit_lets_those_in_who_wait_and_a_lower_one_cuts_nobody() {
    let mut scene = scene();
    let clients = [(); 8].map(|()| scene.client());
    scene.turns(40);
    for (most, expected) in [(5, 5), (1, 5), (0, 8)] {
        scene.config.listeners[0].max_connections = most;
        scene.relisten();
        scene.pass(Duration::from_millis(500));
        assert_eq!(served(&mut scene), expected, "{most} may be");
    }
    clients.into_iter().for_each(|client| scene.reset(client));
    assert_eq!(sessions(&scene), 0);
}

#[test]
fn a_drain_serves_all_that_were_accepted_and_a_panic_gives_their_places_back() {
    let mut scene = scene();
    let clients = [(); 4].map(|()| scene.client());
    scene.turns(8);
    scene.order(Stage::Draining);
    scene.turns(8);
    assert_eq!((served(&mut scene), sessions(&scene)), (4, 4));
    clients.into_iter().for_each(|client| scene.reset(client));
    assert_eq!(sessions(&scene), 0);

    let mut scene = self::scene();
    let _held = [(); 2].map(|()| scene.client());
    scene.turns(8);
    scene.panics();
    scene.mailbox.shared.ledger.reset(scene.mailbox.shard());
    scene.begin_again();
    let _more = [(); 3].map(|()| scene.client());
    scene.turns(8);
    assert_eq!((served(&mut scene), sessions(&scene)), (2, 2));
}

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

/// Backends that may have one connection each.
fn with_one_each(backends: usize, protocol: Protocol) -> Scene {
    Scene::with(&vec![Share::Weight(1); backends], |config| {
        config.listeners[0].protocol = protocol;
        config.pools[0].max_connections_per_backend = 1;
    })
}

fn connections(scene: &Scene) -> [u32; 2] {
    let (ledger, shard) = (&scene.mailbox.shared.ledger, scene.mailbox.shard());
    [0, 1].map(|slot| ledger.connections(shard, BackendSlot(slot)).own())
}

#[test]
fn a_backend_that_is_full_is_skipped_and_without_another_one_the_client_is_refused_at_once() {
    let mut scene = with_one_each(2, Protocol::Tcp);
    let clients = [(); 3].map(|()| scene.client());
    scene.turns(8);
    assert_eq!((scene.connects(), connections(&scene)), (2, [1, 1]));
    assert_eq!(scene.closed(clients[2]), Some(Close::Reset));
    assert_eq!(scene.mailbox.counters.read_closes(CloseReason::BackendsFull), 1);
    assert_eq!(scene.count(Counter::Retries), 0, "nothing was tried");
    assert!(scene.told().is_empty() && scene.failures(0) + scene.failures(1) == 0);
    scene.reset(clients[0]);
    let next = scene.client();
    scene.say(next, "in its place");
    assert_eq!((scene.connects(), connections(&scene)), (3, [1, 1]));
    [clients[1], next].into_iter().for_each(|client| scene.reset(client));
    assert_eq!(connections(&scene), [0, 0]);
}

#[test]
fn requests_wait_for_no_connection_and_use_the_idle_one_that_there_is() {
    let mut scene = with_one_each(1, Protocol::Http);
    let [first, second] = [(); 2].map(|()| scene.client());
    scene.say(first, GET);
    scene.say(second, GET);
    assert!(scene.heard(second).starts_with("HTTP/1.1 503 "));
    assert_eq!((scene.connects(), connections(&scene)[0]), (1, 1));
    let (backend, _) = scene.connected();
    scene.say(backend, ANSWER);
    assert!(scene.heard(first).ends_with("good"));
    scene.say(second, GET);
    scene.say(backend, ANSWER);
    assert!(scene.heard(second).ends_with("good"));
    assert_eq!((scene.connects(), scene.count(Counter::UpstreamReuses)), (1, 1));
}

#[test]
fn an_idle_connection_that_another_shard_claims_is_not_used_again_and_closes() {
    let mut scene = with_one_each(1, Protocol::Http);
    let client = scene.client();
    scene.say(client, GET);
    let (idle, _) = scene.connected();
    scene.say(idle, ANSWER);
    assert!(scene.heard(client).ends_with("good"));
    let (shared, shard) = (scene.mailbox.shared.clone(), scene.mailbox.shard());
    assert_eq!(shared.ledger.claim_idle(shard, BackendSlot(0)), Some(shard));
    assert_eq!(shared.ledger.claim_idle(shard, BackendSlot(0)), None, "it is claimed already");
    scene.say(client, GET);
    assert!(scene.heard(client).starts_with("HTTP/1.1 503 "));
    assert!(shared.tell_of_claim(shard, BackendSlot(0)));
    scene.turns(2);
    assert!(scene.is_closed(idle) && connections(&scene)[0] == 0);
    scene.say(client, GET);
    let (fresh, at) = scene.connected();
    assert!(fresh != idle && at == address(0));
    scene.say(fresh, ANSWER);
    assert!(scene.heard(client).ends_with("good"));
    assert_eq!(connections(&scene)[0], 1);
}

#[test]
fn a_limit_that_comes_later_counts_the_connections_that_are_open() {
    let mut scene = with_one_each(1, Protocol::Tcp);
    scene.config.pools[0].max_connections_per_backend = 0;
    scene.publish(&[Share::Weight(1)]);
    let clients = [(); 3].map(|()| scene.client());
    scene.turns(8);
    assert_eq!(connections(&scene)[0], 3);
    scene.config.pools[0].max_connections_per_backend = 3;
    scene.publish(&[Share::Weight(1)]);
    let further = scene.client();
    scene.turns(8);
    assert!(scene.is_closed(further) && connections(&scene)[0] == 3);
    scene.reset(clients[0]);
    let next = scene.client();
    scene.turns(8);
    assert!(!scene.is_closed(next) && connections(&scene)[0] == 3);
}
