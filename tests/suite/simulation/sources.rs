//! The address that connections to backends come from.

use super::network::Fate;
use super::scene::Scene;
use ringway::config::PoolSource;
use ringway::engine::{Failure, Source};
use ringway::snapshot::Share;
use ringway::stats::Counter;

#[test]
fn with_the_clients_address_each_connection_comes_from_it_and_serves_that_client_alone() {
    let mut scene = Scene::with(&[Share::Weight(1)], |config| {
        config.pools[0].source = PoolSource::Client;
    });
    let client = scene.client();
    let ip = scene.network.borrow().streams[&client].peer.ip();
    for round in 1..=2 {
        scene.say(client, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        let (backend, _) = scene.connected();
        assert_eq!(scene.connects(), round, "it is not kept for another request");
        assert_eq!(scene.network.borrow().sources[&backend], Source::Foreign(ip));
        scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
        assert!(scene.heard(client).ends_with("good"));
        scene.turns(2);
        assert!(scene.is_closed(backend));
    }
}

#[test]
fn where_no_connection_can_come_from_it_another_backend_is_tried_and_none_is_charged() {
    let mut scene = Scene::with(&[Share::Weight(1), Share::Weight(1)], |_| {});
    scene.network.borrow_mut().next_fate = Some(Fate::Fails(0, Failure::NoSource));
    let client = scene.client();
    scene.say(client, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (backend, _) = scene.connected();
    scene.say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert!(scene.heard(client).ends_with("good"));
    assert_eq!((scene.failures(0), scene.failures(1)), (0, 0));
    assert_eq!(scene.count(Counter::UpstreamNoSource), 1);
}
