//! Who comes while a shard is on its way out.

use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::mailbox::Stage;
use ringway::snapshot::Share;

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
