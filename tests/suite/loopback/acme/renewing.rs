//! Certificates that come in the place of others.

use super::*;
use std::time::Duration;

/// Of a lifetime of half a minute, a third is left at once.
const SHORT: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(8)];

#[test]
fn it_is_renewed_before_it_ends_and_connections_go_on() {
    let server = AcmeServer::start();
    server.conduct(|conduct| conduct.lifetime = SHORT);
    let scene = Scene::with(server, ACCEPTED, SHOP, |_| {});
    scene.let_validate();
    scene.await_valid();
    let first = scene.shown("shop.test").expect("it is served");
    let long = [Duration::from_secs(3600), Duration::from_secs(90 * 24 * 3600)];
    scene.server.conduct(|conduct| conduct.lifetime = long);
    await_that("another one", || {
        scene.shown("shop.test").is_ok_and(|certificate| certificate != first)
    });
    assert_eq!((scene.server.issued(), scene.server.asked("POST /new-account")), (2, 1));
}

#[test]
fn an_authority_that_does_not_know_what_is_replaced_is_asked_without_that() {
    let server = AcmeServer::start();
    server.conduct(|conduct| {
        // Only one that suggests times is told what an order replaces.
        conduct.suggests = Some([3_000_000, 3_000_100]);
        conduct.refuses_replacements = true;
    });
    let scene = Scene::with(server, ACCEPTED, SHOP, |_| {});
    scene.let_validate();
    scene.await_valid();
    let first = scene.shown("shop.test").expect("it is served");
    scene.operated.done(&["renew", "shop.test"]);
    await_that("another one", || {
        scene.shown("shop.test").is_ok_and(|certificate| certificate != first)
    });
    assert!(!scene.events().contains("CANNOT BE FETCHED"), "{}", scene.events());
    assert_eq!((scene.server.asked("POST /new-order"), scene.server.issued()), (3, 2));
}

#[test]
fn one_that_lacks_a_name_is_not_taken_and_the_present_one_stays() {
    let server = AcmeServer::start();
    server.conduct(|conduct| conduct.lifetime = SHORT);
    let names = ["shop.test", "www.test"];
    let scene = Scene::with(server, ACCEPTED, &names, |_| {});
    scene.let_validate();
    scene.await_valid();
    let first = scene.shown("www.test").expect("it is served");
    scene.server.conduct(|conduct| conduct.forgets = Some("www.test".to_owned()));
    await_that("it fails", || scene.state() == "failing");
    let error = scene.certificate()["acme"]["last_error"].as_str().expect("a reason").to_owned();
    assert!(error.contains("a certificate without www.test"), "{error}");
    assert_eq!(scene.certificate()["fingerprint"].as_str().expect("text").len(), 64);
    let kept = std::fs::read_to_string(scene.folder().join("shop.test.pem")).expect("it is kept");
    assert!(!kept.is_empty() && scene.server.issued() == 2);
    let again = scene.caller.get(scene.address("web"), "www.test");
    // It may have ended meanwhile: then it is the client that refuses it.
    if let Ok(seen) = again {
        assert_eq!(seen.certificate, first);
    }
}

#[test]
fn the_time_that_the_authority_suggests_goes_before_a_third_of_the_lifetime() {
    let server = AcmeServer::start();
    server.conduct(|conduct| conduct.suggests = Some([3_000_000, 3_000_100]));
    let scene = Scene::with(server, ACCEPTED, SHOP, |_| {});
    scene.let_validate();
    scene.await_valid();
    let begun = scene.certificate()["begins_ms"].as_i64().expect("a time") + 3_600_000;
    await_that("it is asked", || {
        let next = scene.certificate()["acme"]["next_attempt_ms"].as_i64().unwrap_or(0);
        (next - begun) / 1_000 < 3_000_200
    });
    assert!(scene.server.asked("GET /renewal-info/") >= 1);
}
