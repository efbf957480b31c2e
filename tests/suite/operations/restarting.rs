//! What outlives the process.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, await_that, command};
use crate::loopback::load::{Operated, signed};
use std::net::SocketAddr;

#[test]
fn health_and_orders_are_taken_over_by_the_next_process() {
    let origins: Vec<Origin> = (0..2).map(|_| Origin::http(|_, _| signed("one", b"x"))).collect();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
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
fn it_takes_over_the_sockets_that_systemd_opened_and_says_when_it_is_ready() {
    use std::os::fd::AsRawFd;
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
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
    let mut shell = std::process::Command::new("bash");
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
fn a_passed_socket_that_no_listener_has_is_closed() {
    use std::os::fd::AsRawFd;
    let open = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let (web, other) = (open(), open());
    let address = web.local_addr().expect("bound");
    // Only the numbers that systemd would use may be open.
    let script = format!(
        "exec 103<&{0} 104<&{1} {0}<&- {1}<&-; exec 3<&103 4<&104 103<&- 104<&-; \
         exec env LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:other {2} \
         run --listen {address} --backend 127.0.0.1:9 --admin ''",
        web.as_raw_fd(),
        other.as_raw_fd(),
        env!("CARGO_BIN_EXE_ringway"),
    );
    for listener in [&web, &other] {
        socket2::SockRef::from(listener).set_cloexec(false).expect("allowed");
    }
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", &script]);
    let ringway = crate::loopback::harness::Ringway::spawn(shell, None);
    assert_eq!(ringway.address, address);
    let open_files = |process: &str| {
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).expect("it runs");
        let read = |file: std::io::Result<std::fs::DirEntry>| file.ok()?.path().read_link().ok();
        files.filter_map(read).collect::<Vec<_>>()
    };
    let file = |listener: &std::net::TcpListener| {
        let file = format!("/proc/self/fd/{}", listener.as_raw_fd());
        std::fs::read_link(file).expect("it is open")
    };
    let left = open_files(&ringway.pid().to_string());
    assert!(left.contains(&file(&web)), "{left:?}");
    assert!(!left.contains(&file(&other)), "nobody waits there in vain: {left:?}");
}
