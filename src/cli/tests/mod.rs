//! The command line as people type it: what it starts, prints and refuses. Does not: start a shard.

mod checking;
mod files;

use super::*;
use ringway::config::{ProbeKind, Protocol};
use std::cell::RefCell;
use std::fs;
use std::path::Path;

thread_local! {
    static STARTED: RefCell<Option<Start>> = const { RefCell::new(None) };
}

const PARTS: Parts = Parts {
    serve: |start| {
        STARTED.with(|started| *started.borrow_mut() = Some(start));
        Ok(())
    },
    probe_uring: |_| Ok(()),
};

/// Runs a command line: its status, what it wrote on standard output, and on standard error.
fn run_line(line: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["ringway"].iter().chain(line).map(OsString::from);
    let status = run(arguments, &PARTS, &mut out, &mut err);
    (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn started() -> Start {
    STARTED.with(|started| started.borrow_mut().take()).expect("the balancer was started")
}

/// A folder of its own for a test, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringway-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const GOOD: &str = "[runtime]\nshards = 3\nring_entries = 128\n\
                    [[listener]]\nname = \"web\"\naddress = \"0.0.0.0:80\"\n\
                    [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n";

#[test]
fn run_starts_what_the_flags_say() {
    let (status, out, err) = run_line(&[
        "run",
        "--listen",
        "127.0.0.1:80",
        "--listen",
        "[::1]:80",
        "--backend",
        "10.0.0.1:80*3",
        "--backend",
        "10.0.0.2:80,10.0.0.3:80",
        "--algorithm",
        "random",
        "--shards",
        "0-1",
        "--buffer-size",
        "32KiB",
        "--buffers-per-shard",
        "64",
        "--ring-entries",
        "256",
        "--max-connections",
        "500",
        "--access-log",
        "stdout",
        "--log-level",
        "debug",
    ]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "", ""));
    let Start { config, config_file, log_level, .. } = started();
    assert_eq!((config_file, log_level), (None, LogLevel::Debug));
    assert_eq!(config.listeners.len(), 2);
    let weights: Vec<u32> = config.pools[0].backends.iter().map(|backend| backend.weight).collect();
    assert_eq!(weights, [3, 1, 1]);
    assert_eq!(config.pools[0].algorithm.to_string(), "random");
    let runtime = &config.runtime;
    assert_eq!((runtime.buffer_size, runtime.buffers_per_shard), (32_768, 64));
    assert_eq!((runtime.ring_entries, runtime.max_connections), (256, 500));
    assert_eq!(config.access_log.unwrap().path.to_string(), "stdout");
}

#[test]
fn flags_go_before_the_file() {
    let folder = Folder::new("flags");
    let file = folder.write("a.toml", GOOD);
    assert_eq!(run_line(&["run", "--config", &file, "--shards", "5"]).0, 0);
    let start = started();
    assert_eq!(start.config.runtime.shards, ringway::config::ShardsChoice::Count(5));
    assert_eq!(start.config.runtime.ring_entries, 128);
    assert_eq!(start.config_file.as_deref(), Some(Path::new(&file)));
}

#[test]
fn wrong_arguments_are_refused_with_a_reason() {
    let folder = Folder::new("wrong");
    let file = folder.write("a.toml", GOOD);
    for (line, status, part) in [
        (&["run"][..], 2, "nothing to run"),
        (&[], 2, "Usage"),
        (&["run", "--listen", "127.0.0.1:80"], 2, "no backend"),
        (&["run", "--backend", "127.0.0.1:80"], 2, "no listener"),
        (
            &["run", "--config", &file, "--listen", "127.0.0.1:80"],
            2,
            "--listen cannot be used with the",
        ),
        (
            &["run", "--config", &file, "--algorithm", "p2c"],
            2,
            "--algorithm cannot be used with the",
        ),
        (&["run", &file, "-c", &file], 2, "given twice"),
        (&["-t"], 2, "ringway check FILE"),
        (&["version"], 2, "ringway --version"),
        (&["edge.toml"], 2, "ringway run edge.toml"),
        (&["check"], 2, "no file to check"),
        (&["run", "--config", "/nowhere.toml"], 1, "cannot read `/nowhere.toml`"),
        (&["run", "--shards", "x"], 2, "which shards"),
        (&["run", "--buffer-size", "16k"], 2, "did you mean \"16KiB\"?"),
        (&["run", "--buffers-per-shard", "1000"], 2, "512 or 1024"),
        (&["run", "--listen", "localhost:80"], 2, "host names are not supported"),
        (&["run", "--admin-listen", "localhost:80"], 2, "host names are not supported"),
        (&["run", "--admin", &"a".repeat(108)], 2, "at most 107"),
        (&["run", "--backend", "localhost"], 2, "write \"localhost:8080\""),
        (&["run", "--backend", "10.0.0.1:80*x"], 2, "weight `x` is not a number"),
        (&["run", "--backend", "10.0.0.1:80*1001"], 2, "out of range"),
        (&["run", "--algorithm", "p2"], 2, "did you mean `p2c`?"),
        (&["rum"], 2, "run"),
        (&["run", "--sharts", "4"], 2, "--shards"),
    ] {
        let (found, out, err) = run_line(line);
        assert_eq!(found, status, "{line:?}: {err}");
        assert!(out.is_empty() && err.contains(part), "{line:?}: {out} {err}");
    }
    assert!(STARTED.with(|started| started.borrow().is_none()));
}

/// The folder of the profile that this test is built in.
fn built_profile() -> String {
    let program = std::env::current_exe().expect("it runs");
    let folder = program.parent().and_then(Path::parent).expect("PROFILE/deps/NAME");
    folder.file_name().expect("it has a name").to_string_lossy().into_owned()
}

#[test]
fn help_is_an_answer_with_examples() {
    for (line, part) in [
        (&["--help"][..], "ringway run --listen 0.0.0.0:8080"),
        (&["run", "--help"], "RINGWAY_BUFFER_SIZE"),
        (&["reload", "--help"], "the folder of"),
        (&["reload", "--help"], "ringway reload --file new.toml"),
        (&["backend", "--help"], "ringway backend drain --all 10.0.0.11 --wait"),
        (&["explain", "--help"], "ringway explain GET http://shop.example.com/checkout"),
        (&["plan", "--help"], "the folder of"),
        (&["config", "dump", "--help"], "Precedence: flag"),
        (&["--version"], env!("RINGWAY_COMMIT")),
        (&["--version"], env!("RINGWAY_TARGET")),
        (&["--version"], &format!("profile {}\n", built_profile())),
        (&["-V"], env!("CARGO_PKG_VERSION")),
    ] {
        let (status, out, err) = run_line(line);
        assert!(status == 0 && err.is_empty() && out.contains(part), "{line:?}: {out}{err}");
    }
}

/// The groups are written by hand: a new command must be in one, once, in a line that fits.
#[test]
fn help_lists_each_command_in_a_group() {
    let (status, out, _) = run_line(&["--help"]);
    let command = Arguments::command();
    for name in command.get_subcommands().map(clap::Command::get_name) {
        let start = format!("  {name} ");
        let lines: Vec<&str> = out.lines().filter(|line| line.starts_with(&start)).collect();
        assert!(status == 0 && lines.len() == 1, "{name}: {out}");
        assert!(lines[0].len() <= 80, "{}", lines[0]);
    }
    for (heading, _) in overview::GROUPS {
        assert!(out.contains(&format!("\n{heading}:\n")), "{out}");
    }
    assert!(out.contains("--version") && out.contains("Examples:"), "{out}");
}

#[test]
fn the_file_can_be_given_without_a_flag_and_excludes_addresses_of_the_environment() {
    let folder = Folder::new("positional");
    let file = folder.write("a.toml", GOOD);
    for line in [["run", &file].as_slice(), &["run", "-c", &file]] {
        assert_eq!(run_line(line).0, 0);
        assert_eq!(started().config_file.as_deref(), Some(Path::new(&file)));
    }
    let (status, out, _) = run_line(&["config", "dump", &file]);
    assert!(status == 0 && out.contains("ring_entries = 128  # file"), "{out}");
}

#[test]
fn connections_follow_the_limit_of_open_files_unless_somebody_sets_them() {
    use ringway::sys::rlimit::{Resource, limit};
    let folder = Folder::new("limit");
    let file = folder.write("a.toml", GOOD);
    let (_, out, _) = run_line(&["config", "dump", &file]);
    let row = out.lines().find(|row| row.starts_with("max_connections =")).expect("it is shown");
    let (_, files) = limit(Resource::OpenFiles).expect("it is known");
    let origin = if files < 201_024 { "# open-file limit" } else { "# default" };
    assert!(row.ends_with(origin), "{files}: {row}");
    assert_eq!(run_line(&["run", &file]).0, 0);
    let start = started();
    assert_eq!(start.set_connections, None);
    let unset = start.config.runtime.max_connections;
    // More backends have more idle connections: a reload goes on by the number of the start.
    folder.write("a.toml", &format!("{GOOD}[[pool.app.backend]]\naddress = \"10.0.0.2:80\"\n"));
    let again = start.source.read().expect("it is well");
    assert_eq!(again.runtime.max_connections, unset);
    let set = folder.write("b.toml", &GOOD.replace("shards = 3", "max_connections = 12345"));
    assert_eq!(run_line(&["run", &set]).0, 0);
    assert_eq!(started().set_connections, Some(12_345));
    assert_eq!(run_line(&["run", &set, "--max-connections", "77"]).0, 0);
    assert_eq!(started().set_connections, Some(77));
}

#[test]
fn dump_shows_every_value_with_its_origin() {
    let folder = Folder::new("dump");
    let file = folder.write("a.toml", GOOD);
    let line = ["config", "dump", "--config", &file, "--shards", "5"];
    let (status, out, err) = run_line(&line);
    assert_eq!((status, err.as_str()), (0, ""));
    for row in [
        "shards = \"5\"  # flag",
        "ring_entries = 128  # file",
        "backlog = 4096  # default",
        "name = \"web\"  # file",
        "weight = 1  # default",
    ] {
        assert!(out.lines().any(|found| found == row), "{row} in\n{out}");
    }
    let again = folder.write("b.toml", &out);
    assert_eq!(run_line(&["check", &again]).0, 0);

    let (_, out, _) = run_line(&[&line[..], &["--json"]].concat());
    let tree: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(tree["runtime"]["shards"]["origin"], "flag");
    assert_eq!(tree["listener"][0]["name"]["value"], "web");
    assert_eq!(tree["pool"]["app"]["backend"][0]["weight"]["value"], 1);

    let (status, out, _) =
        run_line(&["config", "dump", "--listen", "127.0.0.1:80", "--backend", "10.0.0.1:80"]);
    assert_eq!(status, 0);
    assert!(out.contains("address = \"10.0.0.1:80\"  # flag"), "{out}");
    assert!(out.contains("algorithm = \"p2c\"  # default"), "{out}");
    assert_eq!(run_line(&["config", "dump"]).0, 0);
}

#[test]
fn the_admin_socket_and_the_state_file_can_be_flags() {
    let folder = Folder::new("admin");
    let file = folder.write("a.toml", &format!("{GOOD}[admin]\nlisten = \"127.0.0.1:9900\"\n"));
    let line = ["config", "dump", "--config", &file, "--admin", "a.sock", "--state-file", "state"];
    let (status, out, err) = run_line(&line);
    assert_eq!((status, err.as_str()), (0, ""));
    for row in [
        "socket = \"a.sock\"  # flag",
        "allow_uids = []  # default",
        "listen = \"127.0.0.1:9900\"  # file",
        "state_file = \"state\"  # flag",
    ] {
        assert!(out.lines().any(|found| found == row), "{row} in\n{out}");
    }
    let none = ["--admin", "", "--admin-listen", "", "--state-file", ""];
    assert_eq!(run_line(&[&["run", "--config", &file][..], &none].concat()).0, 0);
    let config = started().config;
    assert_eq!((config.admin.socket, config.admin.listen), (None, None));
    assert_eq!(config.runtime.state_file.path(), None);
}

#[test]
fn names_can_stand_in_the_place_of_backends() {
    let line = ["run", "--listen", "127.0.0.1:80", "--backend", "app.local:80*3,10.0.0.1:80"];
    assert_eq!(run_line(&line).0, 0);
    let pool = started().config.pools.remove(0);
    assert_eq!((pool.backends.len(), pool.names[0].weight), (1, 3));
    assert_eq!(pool.names[0].lookup.to_string(), "app.local:80");
}

#[test]
fn files_that_are_read_later_are_found_beside_the_configuration() {
    let folder = Folder::new("beside");
    let file = folder.write("a.toml", &format!("{GOOD}[pool.app]\nbackends_file = \"b.json\"\n"));
    assert_eq!(run_line(&["run", "--config", &file]).0, 0);
    let expected = folder.0.join("b.json");
    assert_eq!(started().config.pools[0].backends_file, Some(expected));
}

#[test]
fn the_demo_brings_origins_that_answer() {
    use std::io::Read;
    let (status, out, err) = run_line(&["demo", "--listen", "127.0.0.1:8089"]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "", ""), "not a word before it listens");
    let backends = started().config.pools[0].backends.clone();
    assert_eq!(backends.iter().map(|backend| backend.weight).collect::<Vec<_>>(), [3, 2, 1]);
    let mut stream = std::net::TcpStream::connect(backends[0].address).unwrap();
    let requests = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\n\
                    Expect: 100-continue\r\nContent-Length: 9000\r\n\r\n";
    stream.write_all(requests.as_bytes()).unwrap();
    stream.write_all(&[b'x'; 9000]).unwrap();
    stream.write_all(b"HEAD /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(answers.matches("I am falcon").count(), 2, "{answers}");
    assert!(answers.contains("HTTP/1.1 100 Continue"), "{answers}");
    assert!(answers.contains("GET /a HTTP/1.1\nHost: x"), "{answers}");
    assert!(answers.contains("with a body of 9000 bytes"), "{answers}");
    assert!(answers.ends_with("Connection: close\r\n\r\n"), "{answers}");
}

#[test]
fn doctor_answers_in_text_and_in_json() {
    let (_, out, err) = run_line(&["doctor"]);
    assert!(err.is_empty() && out.contains("kernel") && out.contains("open files"), "{out}{err}");
    let (status, out, _) = run_line(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["ok"], status == 0);
    assert_eq!(report["findings"].as_array().unwrap().len(), 14);
}

#[test]
fn run_takes_the_protocol_from_flags() {
    let line = ["run", "--listen", "127.0.0.1:80", "--backend", "10.0.0.1:80", "--protocol"];
    for (word, protocol, health) in [
        ("tcp", Protocol::Tcp, ProbeKind::Connect),
        ("tls-passthrough", Protocol::TlsPassthrough, ProbeKind::Connect),
        ("udp", Protocol::Udp, ProbeKind::None),
    ] {
        let (status, _, err) = run_line(&[&line[..], &[word]].concat());
        assert_eq!(status, 0, "{err}");
        let config = started().config;
        assert_eq!(
            (config.listeners[0].protocol, &config.pools[0].health.kind),
            (protocol, &health)
        );
    }
    let (status, _, err) = run_line(&[&line[..], &["h3"]].concat());
    assert!(status == 2 && err.contains("HTTP/3 is not supported yet"), "{err}");
    let (status, _, err) = run_line(&[&line[..], &["tcp", "--tls-cert", "a.pem"]].concat());
    assert!(status == 2 && err.contains("need --protocol https"), "{err}");
    let folder = Folder::new("protocol");
    let file = folder.write("a.toml", GOOD);
    let (status, _, err) = run_line(&["run", &file, "--protocol", "tcp"]);
    assert!(status == 2 && err.contains("--protocol cannot be used with the file"), "{err}");
    let (status, _, err) = run_line(&["run", &file, "--tls-key", "a.pem"]);
    assert!(status == 2 && err.contains("--tls-key cannot be used with the file"), "{err}");
}
