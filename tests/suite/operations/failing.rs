//! What somebody reads whose question or order is refused, or not answered.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, status};
use crate::loopback::load::{Operated, signed};
use serde_json::Value;

fn operated() -> (Origin, Operated) {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    (origin, operated)
}

#[test]
fn with_json_a_failure_is_json_too() {
    let (_origin, operated) = operated();
    let failure = |arguments: &[&str]| -> (i32, Value) {
        let (status, text) = operated.verb(arguments);
        let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
        (status, value)
    };
    let says = |value: &Value, part: &str| {
        let error = value["error"].as_str().unwrap_or_else(|| panic!("no error: {value}"));
        assert!(error.contains(part), "{part} is not in {error}");
    };
    for (arguments, part) in [
        (&["backend", "list", "nope", "--json"][..], "it can be app"),
        (&["plan", "/nope", "--json"], "/nope"),
        (&["backend", "drain", "app", "127.0.0.1:1", "--json"], "no such backend"),
        (&["explain", "GET", "http://t/", "--listener", "nope", "--json"], "it can be web"),
    ] {
        let (status, value) = failure(arguments);
        assert_eq!(status, 1, "{arguments:?}: {value}");
        says(&value, part);
    }
    let file = operated.file.with_file_name("wrong.toml");
    std::fs::write(&file, "[[listener]]\nnme = \"web\"\n").expect("written");
    let file = file.display().to_string();
    for arguments in [&["plan", &file, "--json"][..], &["reload", "--file", &file, "--json"]] {
        let (status, value) = failure(arguments);
        assert_eq!(status, 1, "{value}");
        says(&value, "wrong.toml:2:1");
        let mut problems = value["problems"].as_array().expect("a list").iter();
        assert!(problems.any(|problem| problem["line"] == 2), "{value}");
    }
    let nowhere = ["status", "--json", "--admin", "/nope/admin.sock"];
    let output = crate::loopback::harness::command().args(nowhere).output().expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    says(&serde_json::from_slice(&output.stdout).expect("JSON"), "/nope/admin.sock");
}

#[test]
fn what_is_asked_wrongly_says_how_it_is_asked_rightly() {
    let (_origin, operated) = operated();
    for (line, expected, part) in [
        ("GET /events?since=abc", 400, "since"),
        ("DELETE /status", 405, "allow: get, head"),
        ("GET /reload", 405, "allow: post"),
        ("GET /nothing", 404, ""),
    ] {
        let answer = operated.asked(line, "");
        assert_eq!(status(answer.as_bytes()), expected, "{line}: {answer}");
        assert!(answer.to_lowercase().contains(part), "{line}: {answer}");
    }
    let (status, text) = operated.verb(&["top"]);
    assert!(status == 1 && text.contains("--once") && text.contains("--json"), "{text}");
}

#[test]
fn explain_says_what_the_shards_would_answer() {
    let (_origin, operated) = operated();
    for (method, url, part) in
        [("GET", "http://t/", "app"), ("CONNECT", "t:443", "501"), ("GET", "https://t/", "421")]
    {
        let (status, text) = operated.verb(&["explain", method, url]);
        let expected = i32::from(part != "app");
        assert!(status == expected && text.contains(part), "{method} {url}: {text}");
    }
    let expecting = |pool| operated.verb(&["explain", "GET", "http://t/", "--expect-pool", pool]).0;
    assert_eq!((expecting("app"), expecting("other")), (0, 1));
    let (status, text) = operated.verb(&["explain", "get", "http://t/"]);
    assert!(status == 1 && text.contains("did you mean `GET`"), "{text}");
    let (status, text) = operated.verb(&["explain", "FOO BAR", "http://t/"]);
    assert!(status == 1 && text.contains("no method"), "{text}");
}

#[test]
fn the_line_of_an_order_says_what_was_asked() {
    let (origin, operated) = operated();
    let address = origin.address.to_string();
    operated.done(&["backend", "weight", "app", &address, "7"]);
    operated.verb(&["backend", "drain", "app", "127.0.0.1:1"]);
    operated.done(&["reload"]);
    let events = operated.done(&["events"]);
    let lines: Vec<&str> = events.lines().filter(|line| line.contains(" by uid ")).collect();
    for parts in
        [["weight", "7", "200"], ["drain", "127.0.0.1", "404"], ["reload", "0 changes", "200"]]
    {
        let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
        assert!(lines.iter().any(has_all), "{parts:?}: {lines:#?}");
    }
}
