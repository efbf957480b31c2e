//! What is told of a wrong text is bounded, whatever the text.

use super::{GOOD, load, parse};
use crate::config::{Config, Diagnostics, TextFormat};

fn wrong_json(text: &str) -> Diagnostics {
    Config::parse_as(TextFormat::Json, text, "test.json", &load).expect_err("it is wrong")
}

#[test]
fn of_many_problems_the_first_are_told_and_the_others_counted() {
    let wrong = |n| format!("{{\"name\": \"n{n}\", \"adress\": \"10.0.0.1:80\"}}");
    let listeners: Vec<String> = (0..2000).map(wrong).collect();
    // Each lacks an address and has a key that is unknown, and there is no pool.
    let error = wrong_json(&format!("{{\"listener\": [{}]}}", listeners.join(", ")));
    assert_eq!((error.problems.len(), error.more), (100, 3901));
    assert_eq!(error.problems[0].message, "no pool is defined: no backend could answer");
    let places = error.problems.iter().map(|problem| (problem.line, problem.column));
    assert!(places.is_sorted(), "{error}");
    let text = error.to_string();
    assert!(text.ends_with("\n\n… and 3901 more problems\n"), "{text}");
    assert!(text.len() < 64 << 10, "{} bytes", text.len());
}

#[test]
fn of_a_long_line_the_part_is_shown_that_is_meant() {
    let networks = |count| vec!["'10.0.0.0/8'"; count].join(", ");
    let keys = format!("trusted_proxies = [{}, 'näh', {}]", networks(20), networks(20));
    let error = parse(&format!("{GOOD}[http]\n{keys}\n")).expect_err("näh is no network");
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let [place, source, caret, ..] = &lines[..] else { panic!("{text}") };
    assert!(place.starts_with("test.toml:7:300: "), "{text}");
    assert!(source.contains("| …8', '10.0.0.0/8'") && source.ends_with('…'), "{text}");
    assert!(source.chars().count() <= 170, "{text}");
    let from = caret.find('^').expect("a caret");
    let meant: String = source.chars().skip(from).take(caret.matches('^').count()).collect();
    assert_eq!(meant, "'näh'", "{text}");
}

#[test]
fn a_problem_that_is_longer_than_what_is_shown_is_cut() {
    let long = "ä".repeat(100_000);
    let error = parse(&format!("{GOOD}[http]\nvia = \"{long}\"\n")).expect_err("no pseudonym");
    assert_eq!(error.problems.len(), 1);
    let text = error.to_string();
    assert!(text.starts_with("test.toml:7:7: `ää") && text.len() < 4096, "{text}");
}

#[test]
fn a_name_that_cannot_be_is_not_repeated_in_full_for_each_key_below_it() {
    let name = "n".repeat(100_000);
    let keys: Vec<String> = (0..50).map(|n| format!("\"key{n}\": 1")).collect();
    let error = wrong_json(&format!("{{\"pool\": {{\"{name}\": {{{}}}}}}}", keys.join(", ")));
    let below = error.problems.iter().filter(|problem| problem.message.starts_with("unknown key"));
    assert!(below.clone().count() == 50 && below.clone().all(|p| p.message.ends_with("n]")));
    assert!(error.to_string().len() < 100_000);
}
