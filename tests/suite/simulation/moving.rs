//! Requests whose backend leaves, refuses or cannot be reached before they are sent: where a
//! backend is left that could serve them, none of them is answered 503.

use super::network::Fate;
use super::scene::{Scene, address};
use ringway::config::ProxyProtocol;
use ringway::config::Timeouts;
use ringway::engine::Failure;
use ringway::snapshot::Share;
use ringway::stats::Counter;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

fn scene(shares: &[Share]) -> Scene {
    Scene::new(shares, Timeouts::default())
}

/// A client whose request is with a backend that has not accepted its connection yet.
fn connecting(scene: &mut Scene, request: &str) -> i32 {
    scene.network.borrow_mut().next_fate = Some(Fate::Connects(40));
    let client = scene.client();
    scene.say(client, request);
    assert_eq!(scene.heard(client), "");
    client
}

/// The backend that was connected to last has the request, answers it, and the client has that.
fn is_served(scene: &mut Scene, client: i32) {
    scene.turns(50);
    let (backend, _) = scene.connected();
    let request = scene.heard(backend);
    assert!(request.contains(" / HTTP/1.1\r\nHost: t\r\n"), "{request}");
    scene.say(backend, ANSWER);
    let answer = scene.heard(client);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("good"), "{answer}");
}

#[test]
fn a_request_that_is_connecting_goes_on_with_the_last_backend_when_that_is_drained() {
    for request in [GET, POST] {
        let mut scene = scene(&[Share::Weight(1)]);
        let client = connecting(&mut scene, request);
        scene.publish(&[Share::Nothing]);
        is_served(&mut scene, client);
        assert_eq!(scene.connects(), 1);
    }
}

#[test]
fn one_whose_backend_refused_others_a_moment_ago_goes_on_with_the_one_that_is_drained() {
    let mut scene = scene(&[Share::Weight(1), Share::Nothing]);
    scene.network.borrow_mut().next_fate = Some(Fate::Fails(1, Failure::Refused));
    let first = scene.client();
    scene.say(first, GET);
    assert!(scene.heard(first).starts_with("HTTP/1.1 503 "));
    scene.publish(&[Share::Weight(1), Share::Weight(1)]);
    let client = connecting(&mut scene, GET);
    assert_eq!(scene.connected().1, address(1), "the other one is left alone for a second");
    scene.publish(&[Share::Weight(1), Share::Nothing]);
    is_served(&mut scene, client);
    assert_eq!(scene.connected().1, address(1));
}

#[test]
fn a_request_that_is_connecting_goes_where_its_route_leads_when_its_pool_is_replaced() {
    for request in [GET, POST] {
        let mut scene = scene(&[Share::Weight(1)]);
        let client = connecting(&mut scene, request);
        scene.replace_pool(1);
        is_served(&mut scene, client);
        assert_eq!(scene.connected().1, address(1));
    }
}

#[test]
fn a_request_whose_connect_fails_after_its_pool_was_replaced_goes_where_its_route_leads() {
    let mut scene = scene(&[Share::Weight(1)]);
    scene.network.borrow_mut().next_fate = Some(Fate::Fails(40, Failure::Refused));
    let client = scene.client();
    scene.say(client, GET);
    scene.publish(&[Share::Nothing]);
    scene.replace_pool(1);
    is_served(&mut scene, client);
    assert_eq!(scene.connected().1, address(1));
}

#[test]
fn what_is_dead_is_not_waited_for() {
    let mut scene = scene(&[Share::Weight(1)]);
    let client = connecting(&mut scene, GET);
    scene.publish(&[Share::Cut]);
    scene.turns(4);
    assert!(scene.heard(client).starts_with("HTTP/1.1 503 "));
}

#[test]
fn the_only_backend_that_refused_is_tried_again_at_once() {
    for backends in 1..3 {
        let mut scene = scene(&vec![Share::Weight(1); backends]);
        let client = scene.client();
        for failure in [Failure::Refused, Failure::Reset] {
            scene.network.borrow_mut().refuses_all = Some(failure);
            scene.say(client, GET);
            assert!(scene.heard(client).starts_with("HTTP/1.1 503 "));
        }
        assert_eq!(scene.connects(), 2 * backends, "each once for each request");
        scene.network.borrow_mut().refuses_all = None;
        scene.say(client, GET);
        is_served(&mut scene, client);
    }
}

#[test]
fn a_backend_that_comes_back_is_not_held_to_what_it_refused_before() {
    let mut scene = scene(&[Share::Weight(1), Share::Nothing]);
    scene.network.borrow_mut().next_fate = Some(Fate::Fails(1, Failure::Refused));
    let client = scene.client();
    scene.say(client, GET);
    assert!(scene.heard(client).starts_with("HTTP/1.1 503 "));
    scene.publish(&[Share::Nothing, Share::Weight(1)]);
    scene.publish(&[Share::Weight(1), Share::Weight(1)]);
    let mut connected = Vec::new();
    for _ in 0..2 {
        let client = scene.client();
        scene.say(client, GET);
        connected.push(scene.connected().1);
    }
    connected.sort_unstable();
    assert_eq!(connected, [address(0), address(1)], "in turn, within the second");
}

#[test]
fn where_no_local_port_is_left_to_one_backend_another_one_has_the_request() {
    for steps in [0, 1] {
        let mut scene = scene(&[Share::Weight(1), Share::Weight(1)]);
        scene.network.borrow_mut().next_fate = Some(Fate::Fails(steps, Failure::NoLocalPort));
        let client = scene.client();
        scene.say(client, POST);
        is_served(&mut scene, client);
        assert_eq!(scene.count(Counter::UpstreamNoLocalPort), 1);
        assert_eq!((scene.told(), scene.failures(0) + scene.failures(1)), (Vec::new(), 0));
        // It is not left alone either.
        let mut connected = vec![scene.connected().1];
        scene.pass(Duration::from_millis(10));
        for _ in 0..3 {
            let client = scene.client();
            scene.say(client, GET);
            connected.push(scene.connected().1);
        }
        connected.sort_unstable();
        connected.dedup();
        assert_eq!(connected, [address(0), address(1)]);
    }
}

#[test]
fn each_backend_that_expects_a_proxy_header_gets_one_of_its_own_before_the_request() {
    let (none, v1) = (ProxyProtocol::None, ProxyProtocol::V1);
    let streaming = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9000\r\n\r\nhello";
    for request in [GET, POST, streaming] {
        for (first, second) in [(v1, v1), (v1, none), (none, v1)] {
            let mut scene = Scene::with(&[Share::Weight(1), Share::Weight(1)], |config| {
                config.pools[0].proxy_protocol = first;
            });
            scene.network.borrow_mut().next_fate = Some(Fate::Fails(20, Failure::Refused));
            let client = scene.client();
            scene.say(client, request);
            scene.config.pools[0].proxy_protocol = second;
            scene.publish(&[Share::Weight(1), Share::Weight(1)]);
            scene.turns(40);
            let (backend, _) = scene.connected();
            let heard = scene.heard(backend);
            let begun = if second == v1 { "PROXY TCP4 " } else { &request[..4] };
            assert!(heard.starts_with(begun), "{first:?}, {second:?}: {heard}");
            assert_eq!(heard.matches("PROXY").count(), usize::from(second == v1), "{heard}");
            assert_eq!(heard.matches(&request[..7]).count(), 1, "{heard}");
            assert_eq!(heard.ends_with("hello"), request.ends_with("hello"), "{heard}");
            scene.say(backend, ANSWER);
            assert!(scene.heard(client).ends_with("good"), "{request}");
        }
    }
}
