//! Listening sockets that come and go, and who has connected to one of them.

use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::mailbox::Stage;
use ringway::snapshot::Share;
use std::time::Duration;

/// Longer than a socket is accepted on whose listener is gone.
const LONG: Duration = Duration::from_secs(2);

fn scene() -> Scene {
    Scene::new(&[Share::Weight(1)], Timeouts::default())
}

fn is_served(scene: &mut Scene, client: i32) {
    scene.say(client, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (backend, _) = scene.connected();
    scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert!(scene.heard(client).ends_with("\r\n\r\ngood"));
}

#[test]
fn who_connects_to_a_socket_after_its_listener_got_another_one_is_served() {
    let mut scene = scene();
    scene.listen(true);
    scene.turns(3);
    assert_eq!(scene.doors(), 2, "a handshake may be under way on the old one");
    // Some of them reach the old socket.
    for _ in 0..8 {
        let client = scene.client();
        is_served(&mut scene, client);
    }
    scene.pass(LONG);
    assert_eq!(scene.doors(), 1);
}

#[test]
fn a_socket_of_a_snapshot_that_is_skipped_is_closed_and_who_came_there_is_served() {
    let mut scene = scene();
    scene.listen(false);
    scene.turns(3);
    scene.pass(LONG);
    assert_eq!(scene.doors(), 0);
    scene.listen(true);
    let client = scene.client();
    scene.listen(false);
    is_served(&mut scene, client);
    scene.pass(LONG);
    assert_eq!(scene.doors(), 0);
    // Replaced, twice in a turn.
    (0..3).for_each(|_| scene.listen(true));
    let client = scene.client();
    is_served(&mut scene, client);
    scene.pass(LONG);
    assert_eq!(scene.doors(), 1);
}

#[test]
fn a_socket_that_is_published_just_before_the_way_out_is_closed_too() {
    for skipped in 0..2 {
        let mut scene = scene();
        (0..=skipped).for_each(|_| scene.listen(true));
        scene.order(Stage::Draining);
        scene.turns(4);
        assert_eq!(scene.doors(), 0);
        assert!(scene.is_over());
    }
}

#[test]
fn a_socket_of_a_shard_that_panicked_goes_on_or_is_closed_as_the_newest_snapshot_has_it() {
    for goes_on in [true, false] {
        let mut scene = scene();
        scene.panics();
        assert_eq!(scene.doors(), 1);
        if !goes_on {
            scene.listen(false);
        }
        let client = scene.client();
        scene.begin_again();
        scene.turns(2);
        is_served(&mut scene, client);
        scene.pass(LONG);
        assert_eq!(scene.doors(), usize::from(goes_on));
    }
}

#[test]
fn so_does_a_socket_of_one_that_panicked_when_it_had_taken_half_of_that_snapshot() {
    type Change = fn(&mut Scene);
    let changes: [Change; 2] = [Scene::rename_listener, |scene| scene.listen(true)];
    for change in changes {
        let mut scene = scene();
        change(&mut scene);
        scene.panics_in_the_newest_world();
        assert_eq!(scene.doors(), 1, "what the next shard accepts on, and nothing else");
        let client = scene.client();
        scene.begin_again();
        scene.turns(2);
        is_served(&mut scene, client);
        scene.pass(LONG);
        assert_eq!(scene.doors(), 1);
    }
}

#[test]
fn a_socket_of_a_snapshot_that_is_skipped_is_closed_if_the_shard_panics_before_the_next_one() {
    let mut scene = scene();
    (0..3).for_each(|_| scene.listen(true));
    scene.turns(1);
    scene.rename_listener();
    scene.panics_in_the_newest_world();
    assert_eq!(scene.doors(), 1);
    scene.begin_again();
    scene.turns(2);
    let client = scene.client();
    is_served(&mut scene, client);
}
