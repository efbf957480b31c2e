//! 408 of backends: on a connection that was idle it may be meant for nobody.

use super::scene::Scene;
use ringway::config::Timeouts;
use ringway::snapshot::Share;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
const LATE: &str = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\
                    Connection: close\r\n\r\nlate";

/// A client whose second request, of this method, is on a connection that was idle.
fn second_request(method: &str) -> (Scene, i32, i32) {
    let mut scene = Scene::new(&[Share::Weight(1)], Timeouts::default());
    let client = scene.client();
    scene.say(client, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (backend, _) = scene.connected();
    scene.say(backend, ANSWER);
    scene.heard(client);
    scene.heard(backend);
    scene.say(client, &format!("{method} /2 HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert!(scene.heard(backend).starts_with(&format!("{method} /2 ")));
    (scene, client, backend)
}

#[test]
fn a_get_that_meets_the_408_of_an_idle_connection_is_sent_on_a_fresh_one() {
    for head_bytes in [LATE.len(), 12] {
        let (mut scene, client, backend) = second_request("GET");
        let (one, two) = LATE.split_at(head_bytes);
        scene.say(backend, one);
        scene.say(backend, two);
        scene.end(backend);
        assert_eq!(scene.heard(client), "", "not the client's business");
        let (fresh, _) = scene.connected();
        assert!(fresh != backend && scene.heard(fresh).starts_with("GET /2 "));
        scene.say(fresh, LATE);
        assert!(scene.heard(client).ends_with("late"), "a second one is an answer");
    }
}

#[test]
fn what_may_not_be_sent_twice_gets_the_408_of_its_backend() {
    let (mut scene, client, backend) = second_request("POST");
    scene.say(backend, LATE);
    assert!(scene.heard(client).ends_with("late"));
    assert_eq!(scene.connects(), 1);
}
