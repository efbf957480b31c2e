//! How long a tunnel stays open: for as long as either side sends something within its timeout.

use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::snapshot::Share;
use std::time::Duration;

const UPGRADE: &str =
    "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const IDLE: Duration = Duration::from_secs(30);

#[test]
fn a_tunnel_is_not_idle_while_either_side_sends_something() {
    for (client_sends, backend_sends) in [(true, false), (false, true), (true, true)] {
        let timeouts = Timeouts { tunnel: IDLE, ..Timeouts::default() };
        let mut scene = Scene::new(&[Share::Weight(1)], timeouts);
        let client = scene.client();
        scene.say(client, UPGRADE);
        let (backend, _) = scene.connected();
        assert!(scene.heard(backend).starts_with("GET / "));
        let probed = |scene: &Scene| scene.network.borrow().kept_alive.contains_key(&backend);
        assert!(!probed(&scene), "requests have other timeouts");
        scene.say(backend, SWITCHING);
        assert!(probed(&scene));
        assert!(scene.heard(client).starts_with("HTTP/1.1 101 "));
        for _ in 0..6 {
            scene.pass(IDLE * 9 / 10);
            if client_sends {
                scene.say(client, "ping");
                assert_eq!(scene.heard(backend), "ping");
            }
            if backend_sends {
                scene.say(backend, "pong");
                assert_eq!(scene.heard(client), "pong");
            }
        }
        assert!(!scene.is_closed(client) && !scene.is_closed(backend));
        scene.pass(IDLE * 11 / 10);
        assert!(scene.is_closed(client) && scene.is_closed(backend));
    }
}
