//! The process: signals, draining, logs, limits, and what it says when it cannot start.

use super::harness::*;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc;

/// An origin that answers when it is told to.
fn patient_origin() -> (Origin, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let (answer, may_answer) = mpsc::channel::<()>();
    let (asked, was_asked) = mpsc::channel::<()>();
    let may_answer = std::sync::Mutex::new(may_answer);
    let origin = Origin::http(move |_, _| {
        let _ = asked.send(());
        let _ = may_answer.lock().expect("one at a time").recv();
        ok(b"at last")
    });
    (origin, answer, was_asked)
}

#[test]
fn sigterm_lets_exchanges_finish_and_closes_what_is_idle() {
    let (origin, answer, was_asked) = patient_origin();
    let mut ringway = Ringway::start(&[origin.address], &["--shards", "2"]);
    let mut idle = ringway.connect();
    answer.send(()).expect("it listens");
    idle.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    read_until(&mut idle, b"at last");
    was_asked.recv().expect("asked");

    let mut busy = ringway.connect();
    busy.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    was_asked.recv().expect("asked");
    ringway.signal("-TERM");
    assert_eq!(read_to_end(&mut idle), b"", "the idle connection is closed");
    answer.send(()).expect("it listens");
    let text = String::from_utf8(read_to_end(&mut busy)).expect("text");
    assert!(text.contains("Connection: close\r\n") && text.ends_with("at last"), "{text}");
    assert_eq!(ringway.wait(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once_and_so_does_the_drain_timeout() {
    for (more, second) in [("", true), ("[timeouts]\ndrain = \"100ms\"\n", false)] {
        let (origin, _answer, was_asked) = patient_origin();
        let mut ringway = Ringway::with_config(&config(&[origin.address], more));
        let mut busy = ringway.connect();
        busy.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
        was_asked.recv().expect("asked");
        ringway.signal("-INT");
        if second {
            // A listener that refuses shows that the first signal has been followed. Before that,
            // the kernel makes one of two signals of a kind.
            await_that("no new connections", || {
                std::net::TcpStream::connect(ringway.address).is_err()
            });
            ringway.signal("-INT");
        }
        assert_eq!(read_to_end(&mut busy), b"", "cut");
        assert_eq!(ringway.wait(), Some(0));
    }
}

#[test]
fn exchanges_are_recorded_as_json_lines() {
    let origin = Origin::saying("hello");
    let folder = TempFolder::new();
    let log = folder.0.join("access.log");
    let path = log.display().to_string();
    let mut ringway = Ringway::start(&[origin.address], &["--shards", "1", "--access-log", &path]);
    assert_eq!(ringway.status_of("/a\"c"), 400);
    assert_eq!(ringway.status_of("/a?b=c"), 200);
    ringway.signal("-TERM");
    assert_eq!(ringway.wait(), Some(0));
    let text = std::fs::read_to_string(log).expect("written");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(
        (&lines[0]["status"], &lines[0]["backend"]),
        (&400.into(), &serde_json::Value::Null)
    );
    let backend = origin.address.to_string();
    let line = &lines[1];
    assert_eq!((&line["status"], &line["target"]), (&200.into(), &"/a?b=c".into()), "{text}");
    assert_eq!((&line["backend"], &line["pool"]), (&backend.into(), &"default".into()), "{text}");
    assert_eq!((&line["response_bytes"], &line["client"]), (&5.into(), &"127.0.0.1".into()));
}

#[test]
fn connections_beyond_the_limits_wait_or_are_cut() {
    let origin = Origin::saying("hello");
    let text = config(
        &[origin.address],
        "[runtime]\nshards = 1\nmax_connections = 10\nmax_connections_per_client = 4\n",
    );
    let ringway = Ringway::with_config(&text);
    let mut few: Vec<_> = (0..4).map(|_| ringway.connect()).collect();
    for stream in &mut few {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
        read_until(stream, b"hello");
    }
    assert_eq!(ringway.exchange(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"), b"", "the fifth is cut");
    few.pop();
    await_that("a place is free", || ringway.status_of("/") == 200);

    let text = config(&[origin.address], "[runtime]\nshards = 1\nmax_connections = 3\n");
    let ringway = Ringway::with_config(&text);
    let mut served: Vec<_> = (0..3).map(|_| ringway.connect()).collect();
    for stream in &mut served {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
        read_until(stream, b"hello");
    }
    let mut waiting = ringway.connect();
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    waiting.set_nonblocking(true).expect("set");
    assert!(waiting.read(&mut [0]).is_err(), "it waits in the backlog");
    waiting.set_nonblocking(false).expect("set");
    served.pop();
    read_until(&mut waiting, b"hello");
}

#[test]
fn who_waits_for_a_place_costs_no_descriptor_and_is_served_in_turn() {
    const PLACES: usize = 10;
    let origin = Origin::saying("hello");
    let more = format!("[runtime]\nshards = 1\nmax_connections = {PLACES}\n");
    let ringway = Ringway::with_config(&config(&[origin.address], &more));
    let before = ringway.descriptors();
    let mut clients: VecDeque<_> = (0..300).map(|_| ringway.connect()).collect();
    for client in &mut clients {
        client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    }
    // Those that have a place, their connections to the backend, and what is on its way.
    let most = before + 2 * PLACES + 10;
    for served in 0..100 {
        read_until(&mut clients[0], b"hello");
        let open = ringway.descriptors();
        assert!(open <= most, "{open} are open when {served} have left, at most {most} should be");
        clients.pop_front();
    }
}

#[test]
fn what_cannot_start_says_why_and_how_to_mend_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let folder = TempFolder::new();
    let file = folder.write("bad.toml", "[[listener]]\nnme = \"web\"\naddress = \"127.0.0.1:1\"\n");
    let file = file.display().to_string();
    for (arguments, parts) in [
        (vec!["run", "--listen", &address, "--backend", "127.0.0.1:1"], vec![&*address, "in use"]),
        (vec!["run", "--config", &file], vec!["bad.toml:2:1", "did you mean `name`"]),
        (vec!["run", "--config", "/no/such/file"], vec!["/no/such/file"]),
        (vec!["run"], vec!["--listen"]),
    ] {
        let out = command().args(&arguments).output().expect("it runs");
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success(), "{arguments:?}");
        for part in parts {
            assert!(text.contains(part), "{arguments:?}: {part:?} is not in {text:?}");
        }
    }
    let out = command().args(["check", &file]).output().expect("it runs");
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn check_refuses_an_admin_socket_whose_path_is_taken_as_run_does() {
    let origin = Origin::saying("hello");
    let folder = TempFolder::new();
    let taken = folder.write("taken", "data");
    let admin = format!("[admin]\nsocket = \"{}\"", taken.display());
    let text = config(&[origin.address], &admin).replace("LISTEN", "127.0.0.1:0");
    let file = folder.write("ringway.toml", &text);
    for verb in ["check", "run"] {
        let out = command().arg(verb).arg(&file).output().expect("it runs");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(1) && said.contains("is no socket"), "{verb}: {said}");
    }
}

#[test]
fn addresses_of_the_environment_are_refused_with_a_file_and_check_reads_standard_input() {
    let origin = Origin::saying("hello");
    let folder = TempFolder::new();
    let text = config(&[origin.address], "").replace("LISTEN", "127.0.0.1:0");
    let file = folder.write("ringway.toml", &text);
    let mut run = command();
    let out = run.arg("run").arg(&file).env("RINGWAY_LISTEN", "127.0.0.1:1").output();
    let out = out.expect("it runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("RINGWAY_LISTEN cannot be used with the file"), "{said}");
    for (text, status, part) in [(&*text, 0, "ok, 1 listener"), ("a b\n", 1, "<stdin>:1:")] {
        let mut check = command();
        let piped = check.args(["check", "-"]).stdin(std::process::Stdio::piped());
        let piped = piped.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = piped.spawn().expect("it runs");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        let out = child.wait_with_output().expect("it ends");
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(out.status.code() == Some(status) && said.contains(part), "{said}");
    }
}

#[test]
fn with_few_descriptors_it_serves_or_says_what_is_missing_and_nothing_in_between() {
    let origin = Origin::saying("hello");
    let (mut refused, mut served) = (0, 0);
    for limit in (5..50).step_by(3) {
        let mut command = Command::new("sh");
        let run = format!(
            "ulimit -n {limit}; exec {} run --listen 127.0.0.1:0 --backend {} --shards 2",
            env!("CARGO_BIN_EXE_ringway"),
            origin.address
        );
        command.args(["-c", &run]);
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).expect("text");
        if let Some(address) = line.split(' ').nth(3) {
            let mut stream = connect(address.parse().expect("an address"));
            stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
            read_until(&mut stream, b"hello");
            served += 1;
            let _ = child.kill();
            let _ = child.wait();
            continue;
        }
        let ended = child.wait_with_output().expect("it ended");
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "with {limit}: {text}");
        let error = text.lines().last().unwrap_or_default();
        assert!(error.starts_with("error: ") && error.contains("RLIMIT_NOFILE"), "{limit}: {text}");
        refused += 1;
    }
    assert!(refused > 0 && served > 0, "{refused} refused, {served} served");
}

#[test]
fn it_runs_where_there_are_no_devices() {
    let origin = Origin::saying("hello");
    // As in a chroot that has only the binary.
    let script = "mount -t tmpfs none /dev && exec \"$0\" \"$@\"";
    let mut within = Command::new("unshare");
    within.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_ringway")]);
    within.args(["run", "--listen", "127.0.0.1:0", "--admin", "", "--backend"]);
    within.arg(origin.address.to_string());
    assert_eq!(Ringway::spawn(within, None).status_of("/"), 200);
}
