//! What an authority refuses: the reason is told, and it is asked later, and ever less often.

use super::*;

fn refuse(scene: &Scene, at: &'static str, status: u16, kind: &'static str, after: Option<u64>) {
    let refusal = Refusal { at, status, kind, retry_after_s: after };
    scene.server.conduct(|conduct| conduct.refusals.push(refusal));
}

#[test]
fn a_name_that_is_not_validated_is_told_and_the_pause_outlives_the_process() {
    let mut scene = Scene::begin(ACCEPTED, SHOP, |_| {});
    let nobody = refusing();
    scene.server.conduct(|conduct| conduct.validates_at = Some([nobody.1; 2]));
    await_that("it fails", || scene.state() == "failing");
    let status = scene.certificate();
    let error = status["acme"]["last_error"].as_str().expect("a reason").to_owned();
    assert!(error.contains("shop.test was not validated"), "{error}");
    assert!(error.contains("(unauthorized)"), "{error}");
    let events = scene.events();
    assert!(events.contains("CANNOT BE FETCHED") && events.contains("ERROR"), "{events}");
    assert_eq!(scene.operated.metric("ringway_acme_failures"), 1);
    let shown = scene.operated.done(&["status"]);
    assert!(shown.contains("AWAITED") && shown.contains("was not validated"), "{shown}");
    let next = status["acme"]["next_attempt_ms"].clone();
    let tried = scene.folder().join("tried.json");
    await_that("it is kept", || {
        std::fs::read_to_string(&tried).is_ok_and(|text| text.contains("was not validated"))
    });
    // It is let validate now, but nobody asks before it is time, whoever starts anew.
    let asked = scene.server.asked("POST");
    scene.restart();
    assert_eq!(scene.state(), "failing");
    assert_eq!(scene.certificate()["acme"]["next_attempt_ms"], next);
    scene.operated.done(&["reload"]);
    assert_eq!(scene.certificate()["acme"]["next_attempt_ms"], next);
    assert_eq!(scene.server.asked("POST"), asked);
    // The operator has mended it, and says so.
    let (status, said) = scene.operated.verb(&["renew", "other.test"]);
    assert!(status == 1 && said.contains("it can be shop.test"), "{said}");
    let said = scene.operated.done(&["renew", "Shop.test"]);
    assert!(said.contains("shop.test.pem for shop.test: is fetched now"), "{said}");
    scene.await_valid();
    let before = scene.shown("shop.test").expect("it is served");
    scene.operated.done(&["renew", "shop.test"]);
    await_that("another one", || scene.shown("shop.test").is_ok_and(|now| now != before));
}

#[test]
fn a_nonce_that_is_refused_is_replaced_at_once() {
    let scene = Scene::begin(ACCEPTED, SHOP, |_| {});
    refuse(&scene, "POST /finalize/", 400, "badNonce", None);
    scene.let_validate();
    scene.await_valid();
    assert_eq!(scene.server.asked("POST /finalize/"), 2);
}

#[test]
fn an_authority_that_limits_its_clients_is_asked_when_it_says() {
    let server = AcmeServer::start();
    let kind = "rateLimited";
    let limited = Refusal { at: "/new-order", status: 429, kind, retry_after_s: Some(1) };
    server.conduct(|conduct| conduct.refusals.push(limited));
    let scene = Scene::with(server, ACCEPTED, SHOP, |_| {});
    scene.let_validate();
    scene.await_valid();
    let events = scene.events();
    assert!(events.contains("(rateLimited)"), "{events}");
    assert_eq!(scene.server.asked("POST /new-order"), 2);
}

#[test]
fn an_account_that_the_authority_has_forgotten_is_opened_again() {
    let server = AcmeServer::start();
    let kind = "accountDoesNotExist";
    let forgotten = Refusal { at: "/new-order", status: 400, kind, retry_after_s: Some(1) };
    server.conduct(|conduct| conduct.refusals.push(forgotten));
    let scene = Scene::with(server, ACCEPTED, SHOP, |_| {});
    scene.let_validate();
    scene.await_valid();
    assert_eq!(scene.server.asked("POST /new-account"), 2);
}
