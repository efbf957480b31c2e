//! The log of the process, as people and programs read it.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, await_that};
use crate::loopback::load::{Operated, signed};
use serde_json::Value;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A process whose only backend has gone down, and that has refused a reload.
fn troubled(prepare: impl FnOnce(&Path, &mut Command)) -> (Origin, Operated) {
    let is_well = Arc::new(AtomicBool::new(true));
    let seen = is_well.clone();
    let origin = Origin::http(move |_, _| match seen.load(Ordering::SeqCst) {
        true => signed("one", b"x"),
        false => b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let text = config(&[origin.address], "", &format!("{QUICK}path = \"/\"\n"));
    let operated = Operated::start_with(&text, prepare);
    is_well.store(false, Ordering::SeqCst);
    operated.await_standing(origin.address, "down");
    operated.rewrite("nonsense = 1\n[[listener]]\nnme = \"web\"\n");
    operated.ringway.signal("-HUP");
    await_that("it refuses", || operated.log().contains("by signal HUP"));
    (origin, operated)
}

#[test]
fn the_log_is_sentences_with_date_and_level() {
    let (_origin, operated) = troubled(|_, _| {});
    let log = operated.log();
    let line = |part: &str| {
        let found = log.lines().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("no {part} in {log}"))
    };
    let down = line(": down (was serving): ");
    assert!(down.contains("Z WARN  backend app 127.0.0.1:"), "{down}");
    let date = down.split('T').next().expect("a date");
    assert_eq!(date.chars().filter(|c| *c == '-').count(), 2, "{down}");
    assert!(line("configuration refused").contains("Z ERROR configuration refused, nothing"));
    assert!(line("pool app: its only backend is not healthy").contains("Z ERROR pool"));
    // As `check` prints it, over several lines; none of them looks like one of the log's own.
    assert!(line("ringway.toml:3:1: unknown key `nme`").starts_with("    "), "{log}");
    assert!(line("nme = \"web\"").starts_with("    "), "{log}");
    assert!(!log.contains("\\n") && !log.contains('{') && !log.contains('\u{1b}'), "{log}");
    let events = operated.done(&["events"]);
    assert!(events.contains("Z WARN  backend app"), "{events}");
    assert!(events.contains(&format!("  {date}T")), "{events}");
}

#[test]
fn for_programs_the_log_is_an_object_a_line() {
    let (_origin, operated) = troubled(|_, command| {
        command.args(["--log-format", "json"]);
    });
    let log = operated.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let find = |event: &str| {
        let found = lines.iter().find(|line| line["event"] == event);
        found.unwrap_or_else(|| panic!("no {event} in {log}"))
    };
    assert_eq!(find("reload_refused")["level"], "error");
    let down = lines.iter().find(|line| line["is"] == "down").expect("one is down");
    assert_eq!((&down["level"], &down["pool"]), (&"warn".into(), &"app".into()));
    assert!(lines.iter().all(|line| line["time"].is_string() && line["message"].is_string()));
}

#[test]
fn the_journal_gets_priorities_and_no_second_time() {
    let (_origin, operated) = troubled(|folder, command| {
        let log = std::fs::File::create(folder.join("log")).expect("a file");
        let log = log.metadata().expect("it is open");
        command.env("JOURNAL_STREAM", format!("{}:{}", log.dev(), log.ino()));
    });
    let log = operated.log();
    assert!(log.lines().any(|line| line.starts_with("<4>backend app ")), "{log}");
    assert!(log.lines().any(|line| line.starts_with("<3>configuration refused")), "{log}");
    assert!(log.lines().any(|line| line.starts_with("<3>    ")), "{log}");
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
}

#[test]
fn signals_with_another_meaning_elsewhere_are_ignored_and_told() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    for name in ["USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "XFSZ", "PIPE"] {
        operated.ringway.signal(&format!("-{name}"));
        if name != "PIPE" {
            let told = format!("signal {name} is ignored");
            await_that(&told, || operated.log().contains(&told));
        }
    }
    assert_eq!(operated.ringway.status_of("/"), 200);
}
