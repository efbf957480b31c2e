//! Variables of the environment: what `run` makes of them, and that `check` says the same.

use super::harness::*;
use super::load::Operated;
use std::os::unix::ffi::OsStrExt;
use std::process::Output;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// A file that is right, and is not on a port that somebody else may have.
fn right() -> (TempFolder, std::path::PathBuf) {
    let folder = TempFolder::new();
    let text = config(&["127.0.0.1:1".parse().expect("an address")], "");
    let file = folder.write("ringway.toml", &text.replace("LISTEN", "127.0.0.1:0"));
    (folder, file)
}

#[test]
fn check_refuses_the_variables_that_run_refuses_and_names_them() {
    let (folder, file) = right();
    let file = file.to_str().expect("text");
    let nowhere = folder.0.join("none/a.log").display().to_string();
    for (variable, value, status, part) in [
        ("RINGWAY_BUFFER_SIZE", "33", 2, "has no unit"),
        ("RINGWAY_SHARDS", "", 2, "does not say which shards"),
        ("RINGWAY_SHARDS", "8190-8191", 1, "names core 8190"),
        ("RINGWAY_LISTEN", "localhost:80", 2, "host names are not supported"),
        ("RINGWAY_LISTEN", "127.0.0.1:1", 2, "cannot be used with the file"),
        ("RINGWAY_BACKEND", "10.0.0.1:80*x", 2, "weight `x` is not a number"),
        ("RINGWAY_LOG_LEVEL", "loud", 2, "possible values"),
        ("RINGWAY_LOG_FORMAT", "xml", 2, "it can be"),
        ("RINGWAY_ACCESS_LOG", &nowhere, 1, "none/a.log"),
    ] {
        for (verb, status) in [("run", status), ("check", 1)] {
            let mut command = command();
            let out = command.args([verb, file]).env(variable, value).output().expect("it runs");
            let said = said(&out);
            assert_eq!(out.status.code(), Some(status), "{verb} {variable}={value}: {said}");
            assert!(said.contains(part), "{verb} {variable}={value}: {said}");
            // Where it is refused by its machine, `run` says what it could not do.
            let is_named = said.contains(variable) && !said.contains("for '--");
            assert!(is_named || (verb == "run" && status == 1), "{verb} {variable}: {said}");
        }
        let mut check = command();
        let check = check.args(["check", file, "--json"]).env(variable, value).output();
        let report: serde_json::Value =
            serde_json::from_slice(&check.expect("it runs").stdout).expect("JSON");
        assert_eq!(
            (&report["ok"], report["problems"][0]["message"].is_string()),
            (&false.into(), true)
        );
    }
    // A flag goes before the variable, and is what is named.
    let mut run = command();
    let run = run.args(["run", file, "--shards", "x"]).env("RINGWAY_SHARDS", "y").output();
    let run = said(&run.expect("it runs"));
    assert!(run.contains("'--shards <SHARDS>'") && !run.contains("RINGWAY_SHARDS"), "{run}");
    let wrong = std::ffi::OsStr::from_bytes(b"\xff");
    for (verb, status) in [("run", 2), ("check", 1)] {
        let mut command = command();
        let out = command.args([verb, file]).env("RINGWAY_SHARDS", wrong).output();
        let (out, mended) = (out.expect("it runs"), "RINGWAY_SHARDS is not UTF-8: write its");
        let is_named = said(&out).replace("RINGWAY_SHARDS: RING", "RING").contains(mended);
        assert!(out.status.code() == Some(status) && is_named, "{verb}: {}", said(&out));
    }
    let mut check = command();
    let out = check.args(["check", file]).env("RINGWAY_SHARDS", "1").output().expect("it runs");
    assert!(out.status.success() && out.stderr.is_empty(), "{}", said(&out));
}

#[test]
fn a_variable_that_nothing_reads_is_warned_of() {
    let (_folder, file) = right();
    // Not one word, or it would be taken for one that the tests read.
    let variable = ["RINGWAY", "SHRADS"].join("_");
    let mut check = command();
    let out = check.arg("check").arg(&file).env(&variable, "2").output().expect("it runs");
    let check = said(&out);
    assert!(out.status.success(), "{check}");
    assert!(
        check.contains("warning: ") && check.contains("did you mean RINGWAY_SHARDS?"),
        "{check}"
    );
    let mut check = command();
    let out = check.arg("check").args([&file; 3]).env(&variable, "2").output().expect("it runs");
    assert_eq!(said(&out).matches(&variable).count(), 1, "{}", said(&out));

    let text = config(&["127.0.0.1:1".parse().expect("an address")], "");
    let operated = Operated::start_with(&text, |_, run| {
        run.env(&variable, "2").env("RINGWAY_STATE_FILE", "/");
    });
    let state = "WARN  RINGWAY_STATE_FILE (runtime.state_file): `/` is there and is not a regular";
    let has_warned = |part: &str| operated.log().contains(part);
    await_that("it warns", || has_warned(&variable) && has_warned(state));
    let log = operated.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&variable)).collect();
    assert!(lines.len() == 1 && lines[0].contains(" WARN "), "{log}");
}
