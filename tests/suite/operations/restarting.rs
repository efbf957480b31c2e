//! What outlives the process.

use super::passed_sockets::pass;
use super::{QUICK, config};
use crate::loopback::harness::{
    Origin, TempFolder, await_that, command, connect, read_until, status as status_of,
};
use crate::loopback::load::{Operated, signed};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::sync::mpsc::channel;

#[test]
fn health_and_orders_are_taken_over_by_the_next_process() {
    let origins: Vec<Origin> = (0..2).map(|_| Origin::http(|_, _| signed("one", b"x"))).collect();
    let dead = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let dead = dead.expect("an address where nobody listens");
    let addresses = [origins[0].address, origins[1].address, dead];
    let state = std::env::temp_dir().join(format!("ringway-test-state-{}", std::process::id()));
    let more = format!(
        "[pool.app.health]\ninterval = \"1h\"\nfast_interval = \"20ms\"\ndown_interval = \"1h\"\n\
         [runtime]\nstate_file = \"{}\"\n",
        state.display()
    );
    let text = config(&addresses, "", &more);
    let first = Operated::start(&text);
    first.done(&["backend", "drain", "app", &addresses[0].to_string()]);
    first.done(&["backend", "weight", "app", &addresses[1].to_string(), "9"]);
    let added: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    first.done(&["backend", "add", "app", &added.to_string(), "--weight", "3"]);
    await_that("all is known", || first.backend(dead)["health"]["probed"] == true);
    let mut first = first;
    first.ringway.signal("-INT");
    assert_eq!(first.ringway.wait(), Some(0));

    let second = Operated::start(&text);
    assert_eq!(second.backend(addresses[0])["standing"], "draining");
    assert_eq!(second.backend(addresses[1])["standing"], "serving");
    assert_eq!(second.backend(addresses[1])["weight"], 9);
    assert_eq!(second.backend(dead)["standing"], "down");
    assert_eq!(second.backend(added)["source"], "operator");
    assert_eq!(second.backend(added)["weight"], 3);
    drop(second);

    std::fs::write(&state, "{\"something\": \"else\"}").expect("written");
    let third = Operated::start(&text);
    assert_eq!(third.backend(addresses[0])["standing"], "serving", "a foreign file is left out");
    let kept = std::path::PathBuf::from(format!("{}.bad", state.display()));
    let foreign = std::fs::read_to_string(&kept).expect("it is not written over");
    assert!(foreign.contains("something"), "{foreign}");
    drop(third);
    let _ = [state, kept].map(std::fs::remove_file);
}

#[test]
fn a_state_directory_of_systemd_is_used_where_no_file_is_named() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let folder = TempFolder::new();
    let start = |more: &str| {
        let text = config(&[origin.address], "", &format!("{QUICK}{more}"));
        Operated::start_with(&text, |_, command| {
            command.env("STATE_DIRECTORY", format!("{}:/nowhere", folder.0.display()));
        })
    };
    let mut first = start("");
    first.done(&["backend", "drain", "app", &origin.address.to_string()]);
    let again = first.json(&["reload"]);
    assert_eq!(
        again["needs_restart"],
        serde_json::json!([]),
        "it is the same at a reload: {again}"
    );
    first.ringway.signal("-INT");
    assert_eq!(first.ringway.wait(), Some(0));
    assert!(folder.0.join("state.json").is_file());
    let second = start("");
    assert_eq!(second.backend(origin.address)["standing"], "draining");
    drop(second);
    let named = start("[runtime]\nstate_file = \"FOLDER/own.json\"\n");
    assert_eq!(named.backend(origin.address)["standing"], "serving", "another file was named");
    await_that("it is written", || named.file.with_file_name("own.json").is_file());
    drop(named);
    std::fs::remove_file(folder.0.join("state.json")).expect("the first two wrote it");
    let mut without = start("[runtime]\nstate_file = \"none\"\n");
    without.ringway.signal("-INT");
    assert_eq!(without.ringway.wait(), Some(0));
    assert!(!folder.0.join("state.json").exists(), "nothing is kept");
    assert!(!std::path::Path::new("none").exists(), "nor in a file of that name");
}

#[test]
fn it_takes_over_the_sockets_that_systemd_opened_and_says_when_it_is_ready() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let folder = crate::loopback::harness::TempFolder::new();
    let text = config(&[origin.address], "", QUICK).replace("LISTEN", &address.to_string());
    let file = folder.write("ringway.toml", &text);
    let notify = folder.0.join("notify");
    let told = std::os::unix::net::UnixDatagram::bind(&notify).expect("a socket");
    told.set_read_timeout(Some(crate::loopback::harness::PATIENCE)).expect("allowed");
    // As systemd does: the socket is number 3, and the process that gets it is named.
    let script = format!(
        "exec 3<&{fd}; exec env LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web NOTIFY_SOCKET={} {} \
         run --shards 2 --config {} --admin ''",
        notify.display(),
        env!("CARGO_BIN_EXE_ringway"),
        file.display(),
        fd = listener.as_raw_fd()
    );
    socket2::SockRef::from(&listener).set_cloexec(false).expect("allowed");
    drop(command());
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]);
    let ringway = crate::loopback::harness::Ringway::spawn(shell, Some(folder));
    let mut buffer = [0; 256];
    let mut said = String::new();
    while !said.contains("READY=1") {
        let length = told.recv(&mut buffer).expect("it says something");
        said += &String::from_utf8_lossy(&buffer[..length]);
    }
    drop(listener);
    assert_eq!(ringway.address, address);
    (0..20).for_each(|_| assert_eq!(ringway.status_of("/"), 200));
    for part in ["EXTEND_TIMEOUT_USEC=", "STOPPING=1"] {
        ringway.signal("-TERM");
        while !said.contains(part) {
            let length = told.recv(&mut buffer).expect("it says something");
            said += &String::from_utf8_lossy(&buffer[..length]);
        }
    }
}

#[test]
fn a_passed_socket_waits_for_the_listener_that_a_reload_brings() {
    let open = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let (web, other) = (open(), open());
    let addresses = [&web, &other].map(|socket| socket.local_addr().expect("bound"));
    let ((ask, asked), (answer, answered)) = (channel(), channel());
    let slowly = std::sync::Mutex::new((ask, answered));
    let origin = Origin::http(move |head, _| {
        if head.contains("/slow") {
            let (ask, answered) = &*slowly.lock().expect("no panic");
            ask.send(()).expect("heard");
            answered.recv().expect("it is told");
        }
        signed("one", b"x")
    });
    let one = config(&[origin.address], "", QUICK).replace("LISTEN", &addresses[0].to_string());
    let mut log = None;
    let operated = Operated::start_with(&one, |folder, command| {
        let sockets = [(web.as_fd(), "web"), (other.as_fd(), "other")];
        pass(command, &sockets, log.insert(folder.join("log")));
    });
    let warnings = || {
        let log = std::fs::read_to_string(log.as_ref().expect("it was prepared")).expect("text");
        log.matches("the socket \"other\"").count()
    };
    await_that("it is warned of", || warnings() == 1);
    let mut waiting = connect(addresses[1]);
    let get = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    waiting.write_all(get).expect("it goes to the backlog");
    let listener = |name: &str, address: &str| {
        format!("[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\n")
    };
    let both = one.clone() + &listener("another", &addresses[1].to_string());
    let twice = both.clone() + &listener("other", "127.0.0.2:0");
    for turn in 0..2 {
        operated.rewrite(&twice);
        let (status, text) = operated.verb(&["reload"]);
        assert_eq!(status, 1, "{text}");
        assert!(text.contains("\"other\" and \"another\""), "{text}");
        operated.rewrite(&both);
        operated.done(&["reload"]);
        assert_eq!(status_of(&read_until(&mut waiting, b"\r\n\r\nx")), 200, "turn {turn}");
        operated.rewrite(&one);
        operated.done(&["reload"]);
        await_that("it is warned of again", || warnings() == 2 + turn);
        waiting = connect(addresses[1]);
        waiting.write_all(get).expect("it goes to the backlog");
    }
    assert_eq!(operated.ringway.status_of("/"), 200);
    let mut slow = operated.ringway.connect();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    asked.recv().expect("its backend has it");
    operated.ringway.signal("-INT");
    let open_files = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", operated.ringway.pid()));
        let read = |file: std::io::Result<std::fs::DirEntry>| file.ok()?.path().read_link().ok();
        files.expect("it runs").filter_map(read).collect::<Vec<_>>()
    };
    let file = std::fs::read_link(format!("/proc/self/fd/{}", other.as_raw_fd())).expect("open");
    await_that("nobody waits in vain", || !open_files().contains(&file));
    answer.send(()).expect("it waits for it");
    assert_eq!(status_of(&read_until(&mut slow, b"\r\n\r\nx")), 200);
}
