//! Who comes while a shard is on its way out.

use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::limits::LINGER_IDLE;
use ringway::mailbox::Stage;
use ringway::snapshot::Share;
use std::time::Duration;

#[test]
fn who_comes_when_everything_is_being_cut_is_cut_too() {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    scene.order(Stage::Ending);
    scene.turns(1);
    let late = scene.client();
    scene.turns(3);
    assert!(scene.is_closed(late));
    assert!(scene.is_over());
}

#[test]
fn an_idle_client_that_takes_no_notice_of_the_end_does_not_hold_it_up_for_long() {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    let client = scene.client();
    scene.say(client, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (backend, _) = scene.connected();
    scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    scene.order(Stage::Draining);
    scene.turns(3);
    assert!(scene.has_ended(client) && !scene.is_closed(client), "a request may be on its way");
    scene.pass(LINGER_IDLE + Duration::from_secs(1));
    assert!(scene.is_closed(client) && scene.is_over());
}

#[test]
fn who_comes_while_the_listener_closes_is_served() {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    scene.order(Stage::Draining);
    scene.turns(1);
    let late = scene.client();
    scene.say(late, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (backend, _) = scene.connected();
    scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert!(scene.heard(late).ends_with("Connection: close\r\n\r\ngood"));
}

#[test]
fn a_listener_that_is_back_and_could_not_begin_yet_is_closed_with_the_others() {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    scene.listen(false);
    scene.turns(1);
    // The old socket is still being accepted on when the listener is back, and when the way out
    // begins.
    scene.network.borrow_mut().meanness.hold_back_one_in = 1;
    for _ in 0..2 {
        scene.listen(true);
        scene.turns(2);
    }
    let late = scene.client();
    scene.order(Stage::Draining);
    scene.turns(1);
    scene.network.borrow_mut().meanness.hold_back_one_in = 0;
    scene.turns(2);
    assert_eq!(scene.doors(), 0);
    scene.say(late, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (backend, _) = scene.connected();
    scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert!(scene.heard(late).ends_with("Connection: close\r\n\r\ngood"));
}
