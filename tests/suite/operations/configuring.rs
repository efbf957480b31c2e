//! The configuration over the admin interface, in both of its formats.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, await_that, body, status};
use crate::loopback::load::{Operated, field, signed};
use serde_json::Value;

const AS_JSON: &str = "Content-Type: Application/JSON; charset=utf-8";

fn json(answer: &str) -> Value {
    serde_json::from_slice(body(answer.as_bytes())).unwrap_or_else(|_| panic!("{answer}"))
}

#[test]
fn a_configuration_is_read_planned_and_put_in_json() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    let shown = operated.asked_with("GET /config", &["Accept: text/html, application/json"], "");
    assert_eq!(field(&shown, "content-type"), Some("application/json"));
    let mut given = json(&shown);
    assert_eq!(given["pool"]["app"]["backend"][0]["address"], origin.address.to_string());
    let plan = json(&operated.asked_with("POST /plan", &[AS_JSON], &given.to_string()));
    assert!(plan["changes"].as_array().is_some_and(Vec::is_empty), "it is what runs: {plan}");

    given["timeouts"]["idle"] = "7s".into();
    let answer = operated.asked_with("PUT /config", &[AS_JSON], &given.to_string());
    assert_eq!(json(&answer)["changes"][0]["how"], "idle \"1m\" -> \"7s\"", "{answer}");
    let toml = operated.asked_with("GET /config", &["Accept: */*"], "");
    assert_eq!(field(&toml, "content-type"), Some("application/toml"));
    assert!(toml.contains("idle = \"7s\""), "{toml}");
    assert_eq!(operated.ringway.status_of("/"), 200);
}

#[test]
fn what_cannot_be_a_configuration_is_refused_with_its_place_or_format() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    let toml = operated.asked("GET /config", "");
    let toml = std::str::from_utf8(body(toml.as_bytes())).expect("text");
    for (line, fields, body, expected, part) in [
        ("PUT /config", &[AS_JSON][..], "{\n \"pol\": 1\n}", 422, "configuration:2:2: unknown key"),
        ("POST /plan", &[AS_JSON], toml, 422, "configuration:1:2: not JSON"),
        ("PUT /config", &["Content-Type: text/csv"], toml, 415, "not text/csv"),
        ("POST /plan", &["Content-Type: text/csv"], toml, 415, "application/json"),
        ("PUT /config", &[AS_JSON], "", 400, "POST /reload"),
        ("PUT /config", &[], "{\"pool\": {}}", 422, "`Content-Type: application/json`"),
        ("PUT /config", &[], "[\0r\0]\0\n\0", 400, "it is UTF-16: save it as UTF-8"),
        ("PUT /pools/app/backends/10.0.0.1:80", &[], "", 400, "the body is empty; write it like"),
        ("PUT /pools/app/backends/10.0.0.1:80", &[], " \n", 400, "{\\\"state\\\": \\\"drain\\\"}"),
        ("POST /pools/app/backends", &[], "", 400, "{\\\"address\\\": \\\"10.0.0.11:8080\\\""),
        ("POST /pools/app/backends", &[], "{\"weight\": 1}", 400, "missing field `address`"),
        ("POST /plan", &[AS_JSON], "\u{feff}{\"pool\": {}}", 422, "no listener is defined"),
        ("POST /plan", &["Content-Type: application/toml"], toml, 200, "changes"),
        ("POST /plan", &[], toml, 200, "changes"),
        ("POST /plan", &["Content-Type: text/csv"], "", 200, "changes"),
    ] {
        let answer = operated.asked_with(line, fields, body);
        assert_eq!(status(answer.as_bytes()), expected, "{line} {fields:?}: {answer}");
        assert!(answer.contains(part), "{line} {fields:?}: {answer}");
    }
}

#[test]
fn what_is_said_and_kept_of_a_wrong_text_does_not_grow_with_it() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    let wrong = vec![r#"{"name":"a","adress":"1.2.3.4:5"}"#; 2000].join(",");
    let answer =
        operated.asked_with("PUT /config", &[AS_JSON], &format!("{{\"listener\":[{wrong}]}}"));
    assert_eq!(status(answer.as_bytes()), 422);
    assert!(answer.len() < 100_000, "{} bytes", answer.len());
    let error = json(&answer)["error"].as_str().expect("text").to_owned();
    assert!(
        error.starts_with("6000 errors in the configuration\n\nconfiguration:1:1: "),
        "{error}"
    );
    assert!(error.contains("… and 5900 more problems"), "{error}");

    let long = "x = 1\n[pool.app]\n".to_owned() + &"[nowhere]\n".repeat(500);
    operated.rewrite(&long);
    operated.ringway.signal("-HUP");
    let reasons = || {
        let events = json(&operated.asked("GET /events", ""));
        let events = events["events"].as_array().cloned().unwrap_or_default();
        let refused = events.into_iter().filter(|event| event["event"] == "reload_refused");
        refused.filter_map(|event| Some(event["reason"].as_str()?.to_owned())).collect::<Vec<_>>()
    };
    await_that("both are told", || reasons().len() == 2);
    for (reason, count) in reasons().iter().zip(["6000 errors", "499 errors"]) {
        assert!(reason.starts_with(count) && reason.contains("^^^"), "{reason}");
        assert!(reason.len() < 2200 && reason.ends_with("\n… (the rest is left out)"), "{reason}");
    }
}

#[test]
fn run_and_each_reload_tell_the_warnings_that_check_tells() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let slow = |ms: u32| format!("[pool.app.health]\ninterval = \"1s\"\ntimeout = \"{ms}ms\"\n");
    let text = |ms| config(&[origin.address], "", &slow(ms));
    let operated = Operated::start(&text(2001));
    let warned = |ms: u32| {
        let part = format!("pool.app.health.timeout: 2s{ms}ms is longer than `interval`");
        let log = operated.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&part)).collect();
        assert!(lines.iter().all(|line| line.contains(" WARN ")), "{log}");
        lines.len()
    };
    await_that("the start warns", || warned(1) == 1);

    operated.rewrite(&text(2002));
    operated.ringway.signal("-HUP");
    await_that("the signal warns", || warned(2) == 1);
    operated.rewrite(&text(2003));
    let plan = json(&operated.asked("POST /plan", ""));
    assert!(plan["warnings"][0].as_str().is_some_and(|text| text.contains("2s3ms")), "{plan}");
    assert_eq!(warned(3), 0, "a plan changes nothing, and logs nothing");
    let said = operated.done(&["reload"]);
    assert!(said.contains("warning: pool.app.health.timeout: 2s3ms is longer"), "{said}");
    await_that("the command warns", || warned(3) == 1);
    let answer = operated.asked("PUT /config", &text(2004).replace("LISTEN", "127.0.0.1:0"));
    let warnings = json(&answer)["warnings"].clone();
    assert!(warnings[0].as_str().is_some_and(|text| text.contains("2s4ms")), "{answer}");
    await_that("the request warns", || warned(4) == 1);
    let right = json(&operated.asked("PUT /config", &text(999).replace("LISTEN", "127.0.0.1:0")));
    assert_eq!(right["warnings"], serde_json::json!([]), "{right}");
}
