//! The access log: what is in it, and what becomes of it when its file does not take it or is
//! another one.

use super::harness::*;
use super::load::Operated;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A log with room for few records.
const FEW: &str = "[access_log]\npath = \"FOLDER/access.log\"\nqueue = 16\n\
    [runtime]\nshards = 1\n";

/// Requests whose records are more than everything on the way to a reader can hold.
const MANY: usize = 1_500;

fn start(prepare: impl FnOnce(&Path)) -> (Origin, Operated) {
    let origin = Origin::saying("hello");
    let text = config(&[origin.address], FEW);
    let operated = Operated::start_with(&text, |folder, command| {
        prepare(&folder.join("access.log"));
        *command = with_stderr(command, &folder.join("stderr"));
    });
    (origin, operated)
}

/// The same command with its standard error in a file.
fn with_stderr(command: &Command, file: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.env_clear().args(["-c", "exec \"$0\" \"$@\" 2>\"$STDERR\""]).env("STDERR", file);
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

/// Asks for `/FROM`, and so on, each on the same connection.
fn ask(operated: &Operated, numbers: std::ops::Range<usize>) {
    let mut stream = operated.ringway.connect();
    for number in numbers {
        let request = format!("GET /{number} HTTP/1.1\r\nHost: t\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        read_until(&mut stream, b"hello");
    }
}

fn dropped(operated: &Operated) -> usize {
    let text = operated.asked("GET /metrics", "");
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with("ringway_access_log_dropped_total{"));
    let value = line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
    value.unwrap_or_else(|| panic!("no counter: {text}"))
}

/// The targets of some lines, each of which must be whole and there once.
fn targets(lines: &[String]) -> HashSet<String> {
    let mut targets = HashSet::new();
    for line in lines {
        let record: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        let target = record["target"].as_str().expect("a target").to_owned();
        assert!(targets.insert(target), "twice: {line}");
    }
    targets
}

/// The whole lines of a file; what has no end yet is still being written.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let end = text.rfind('\n').unwrap_or(0);
    text[..end].lines().map(str::to_owned).collect()
}

#[test]
fn records_that_nobody_takes_are_dropped_and_counted_and_the_others_arrive() {
    let mut reader = None;
    let (_origin, operated) = start(|path| {
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.expect("mkfifo is installed").success());
        // Somebody has it open, and reads nothing for now.
        let mut options = File::options();
        let open = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
        reader = Some(open.expect("it opens"));
    });
    ask(&operated, 0..MANY);
    await_that("a queue of 16 and a pipe cannot hold them", || dropped(&operated) > 0);
    assert_eq!(operated.ringway.status_of("/last"), 200, "clients do not notice");
    let (mut reader, mut arrived) = (reader.expect("opened"), Vec::new());
    await_that("each record has arrived or is counted", || {
        // It ends with an error while nothing is there.
        let _ = reader.read_to_end(&mut arrived);
        let count = arrived.iter().filter(|byte| **byte == b'\n').count();
        count + dropped(&operated) == MANY + 1
    });
    let text = String::from_utf8(arrived).expect("text");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(targets(&lines).contains("/0"), "the first ones are kept");
}

#[test]
fn a_full_disk_costs_records_that_are_counted_and_is_tried_again() {
    let (_origin, operated) =
        start(|path| symlink("/dev/full", path).expect("a link to a full disk"));
    let folder = operated.file.parent().expect("a folder").to_owned();
    let (path, room) = (folder.join("access.log"), folder.join("with-room.log"));
    let mut asked = 0;
    await_that("records are lost and counted", || {
        ask(&operated, asked..asked + 50);
        asked += 50;
        dropped(&operated) > 0
    });
    // The disk gets room: the same path now leads to a file that takes lines.
    std::fs::remove_file(&path).expect("it was there");
    symlink(&room, &path).expect("a link to a file");
    await_that("what was kept is written", || lines(&room).len() + dropped(&operated) == asked);
    let before = lines(&room).len();
    ask(&operated, asked..asked + 5);
    await_that("and what comes after", || lines(&room).len() == before + 5);
    assert_eq!(targets(&lines(&room)).len(), before + 5);
    let said = std::fs::read_to_string(folder.join("stderr")).expect("text");
    assert_eq!(said.matches("the access log cannot be written").count(), 1, "{said}");
    assert_eq!(said.matches("the access log is written again").count(), 1, "{said}");
}

#[test]
fn after_a_rotation_and_sigusr1_lines_go_to_a_new_file_and_none_is_lost() {
    let (_origin, operated) = start(|_| {});
    let folder = operated.file.parent().expect("a folder").to_owned();
    let (path, rotated) = (folder.join("access.log"), folder.join("access.log.1"));
    ask(&operated, 0..10);
    await_that("they are written", || lines(&path).len() == 10);
    std::fs::rename(&path, &rotated).expect("rotated");
    ask(&operated, 10..15);
    await_that("the old file is still written to", || lines(&rotated).len() == 15);
    operated.ringway.signal("-USR1");
    await_that("there is a new file", || path.exists());
    ask(&operated, 15..25);
    await_that("it is written to", || lines(&path).len() == 10);
    assert_eq!(targets(&[lines(&rotated), lines(&path)].concat()).len(), 25);
    assert_eq!(dropped(&operated), 0);
}

#[test]
fn sigusr1_without_an_access_log_harms_nobody() {
    let origin = Origin::saying("hello");
    let mut ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    assert_eq!(ringway.status_of("/"), 200);
    ringway.signal("-USR1");
    // Signals are taken one after the other: once this one is followed, so was that one.
    ringway.signal("-INT");
    assert_eq!(ringway.wait(), Some(0));
}

#[test]
fn the_version_of_a_request_is_recorded_as_its_client_said_it() {
    let origin = Origin::saying("hello");
    for (format, expected) in [
        ("json", [r#""version":"HTTP/1.0""#, r#""version":"HTTP/1.1""#, r#""version":null"#]),
        ("common", ["\"GET /a HTTP/1.0\" 200 5", "\"GET /b HTTP/1.1\" 200 5", "\"-\" 400 "]),
        ("combined", ["/1.0\" 200 5 \"-\" \"-\"", "/1.1\" 200 5 \"/from\" \"me/1\"", "\"-\" 400 "]),
    ] {
        let more = format!("[access_log]\npath = \"FOLDER/access.log\"\nformat = \"{format}\"\n");
        let mut operated = Operated::start(&config(&[origin.address], &more));
        let path = operated.file.with_file_name("access.log");
        let new = "GET /b HTTP/1.1\r\nHost: t\r\nReferer: /from\r\nUser-Agent: me/1\r\n\
                   Connection: close\r\n\r\n";
        for request in ["GET /a HTTP/1.0\r\n\r\n", new, "\x16\x03\x01\r\n"] {
            operated.ringway.exchange(request.as_bytes());
        }
        operated.ringway.signal("-INT");
        assert_eq!(operated.ringway.wait(), Some(0));
        let text = std::fs::read_to_string(path).expect("written");
        for (line, expected) in text.lines().zip(expected) {
            assert!(line.contains(expected), "{expected} is not in {line}");
        }
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}

#[test]
fn a_request_that_was_sent_once_more_says_so() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        while read_request(&mut reader).is_some() {
            if count.fetch_add(1, Ordering::SeqCst) == 1 {
                return; // with the second request of its first connection unanswered
            }
            stream.write_all(&ok(b"hello")).expect("sent");
        }
    });
    let operated = Operated::start(&config(&[origin.address], FEW));
    ask(&operated, 0..3);
    let path = operated.file.with_file_name("access.log");
    await_that("they are written", || lines(&path).len() == 3);
    let retries = lines(&path).into_iter().map(|line| {
        serde_json::from_str::<serde_json::Value>(&line).expect("a whole line")["retries"].as_u64()
    });
    assert_eq!(retries.collect::<Vec<_>>(), [Some(0), Some(1), Some(0)]);
}

/// What is recorded of one request to a pool of such a backend.
fn record_of(request: &str, more: &str, origin: &Origin) -> serde_json::Value {
    let log = "[access_log]\npath = \"FOLDER/access.log\"\n";
    let text = config(&[origin.address], &format!("{more}\n{log}"));
    let operated = Operated::start(&text.replace("[[route]]", "[[route]]\nhost = \"t\""));
    operated.ringway.exchange(request.as_bytes());
    let path = operated.file.with_file_name("access.log");
    await_that("it is written", || !lines(&path).is_empty());
    serde_json::from_str(&lines(&path)[0]).expect("a whole line")
}

#[test]
fn what_is_refused_is_recorded_as_far_as_it_can_be_read_and_with_the_reason() {
    let good = Origin::saying("hello");
    let garbage = Origin::http(|_, _| b"HTTP/1.1 99 No\r\n\r\n".to_vec());
    let chunk = Origin::http(|_, _| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".to_vec()
    });
    let many: String = (0..101).map(|n| format!("x{n}: 1\r\n")).collect();
    let many = format!("GET /many HTTP/1.1\r\nHost: t\r\n{many}\r\n");
    let large = "PUT /big HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n";
    let chunks = "PUT /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
    let half = "PUT /h HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nh";
    let get = "GET /x HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    let bounded = "[http]\nrequest_body_max = \"8B\"\n";
    let hurried = "[timeouts]\nrequest_head = \"200ms\"\nbetween_bytes = \"200ms\"\n";
    for (request, more, origin, seen, status, failure, refusal) in [
        (
            "GET /%zz HTTP/1.1\r\nHost: t\r\n\r\n",
            "",
            &good,
            "GET t /%zz",
            400,
            "malformed_request",
            "target",
        ),
        (
            "GET /n HTTP/1.1\r\nHost: u\r\nConnection: close\r\n\r\n",
            "",
            &good,
            "GET u /n",
            404,
            "request_refused",
            "no route",
        ),
        (&*many, "", &good, "GET t /many", 431, "request_refused", "too many fields"),
        (large, bounded, &good, "PUT t /big", 413, "request_refused", "request_body_max"),
        (chunks, "", &good, "PUT t /c", 400, "malformed_request", "chunk"),
        (
            "GET /late HTTP/1.1\r\nHost: t\r\n",
            hurried,
            &good,
            "GET t /late",
            408,
            "head_timeout",
            "in time",
        ),
        (half, hurried, &good, "PUT t /h", 408, "body_timeout", "in time"),
        (get, "", &garbage, "GET t /x", 502, "backend_malformed", "status"),
        (get, "", &chunk, "GET t /x", 502, "backend_malformed", "chunk"),
    ] {
        let record = record_of(request, more, origin);
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let is_as_sent = [text("method"), text("host"), text("target")].join(" ") == seen;
        assert!(is_as_sent && text("refusal").contains(refusal), "{request:?}: {record}");
        assert_eq!(text("failure"), failure, "{request:?}: {record}");
        assert_eq!(record["status"], status, "{request:?}: {record}");
    }
}

#[test]
fn a_malformed_answer_is_told_in_the_log_of_the_process_and_not_each_time() {
    let garbage = Origin::http(|_, _| b"HTTP/1.1 99 No\r\n\r\n".to_vec());
    let text = config(&[garbage.address], FEW);
    let operated = Operated::start_with(&text, |folder, command| {
        *command = with_stderr(command, &folder.join("stderr"));
    });
    let told = operated.file.with_file_name("stderr");
    for _ in 0..20 {
        operated.ringway.status_of("/");
    }
    let line = format!("backend all {}: its answer is malformed", garbage.address);
    let count = || std::fs::read_to_string(&told).expect("text").matches(&line).count();
    await_that("it is told", || count() > 0);
    assert!(count() < 10, "{} times", count());
}

#[test]
fn a_pipe_that_nobody_reads_does_not_hold_the_start_up() {
    let (_origin, operated) = start(|path| {
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.expect("mkfifo is installed").success());
    });
    let folder = operated.file.parent().expect("a folder").to_owned();
    let said = || std::fs::read_to_string(folder.join("stderr")).expect("text");
    await_that("it is told", || said().contains("the pipe of the access log has no reader"));
    ask(&operated, 0..5);
    // Now somebody does.
    let mut options = File::options();
    let open = options.read(true).custom_flags(libc::O_NONBLOCK).open(folder.join("access.log"));
    let (mut reader, mut arrived) = (open.expect("it opens"), Vec::new());
    await_that("what waited arrives", || {
        // It ends with an error while nothing is there.
        let _ = reader.read_to_end(&mut arrived);
        arrived.iter().filter(|byte| **byte == b'\n').count() == 5
    });
}
