//! How many connections there may be, and when a further one has its turn.

use super::scene::Scene;
use ringway::config::Protocol;
use ringway::mailbox::Stage;
use ringway::snapshot::Share;
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
