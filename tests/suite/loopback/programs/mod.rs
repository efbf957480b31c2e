//! Real clients and servers of other protocols, through listeners that forward what they say. A
//! program that is not installed skips its tests, with a line that says so; where CI=true is in the
//! environment it fails them: `.ci/run` installs all of them.

mod banners;
mod dns;
mod http2;
mod postgresql;
mod redis;
mod tls;

use super::harness::*;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// Where a program is: the servers of PostgreSQL are in no PATH, other ones not in everybody's.
fn find(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = versions
        .map(|version| version.path().join("bin"))
        .chain(std::env::split_paths(&path))
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// These programs; none, with a line that says so, if one is missing.
pub fn programs<const N: usize>(names: [&str; N]) -> Option<[PathBuf; N]> {
    let found = names.map(find);
    if let Some(at) = found.iter().position(Option::is_none) {
        let why = format!("{} is not installed", names[at]);
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}, and this is CI");
        skipped(&why);
        return None;
    }
    Some(found.map(|path| path.expect("found")))
}

/// An address for a server that cannot be given port 0. Nobody else uses its network, so the port
/// stays free until then.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let ip = Ipv4Addr::new(127, 0, 8, NEXT.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((ip, 0)).and_then(|bound| bound.local_addr()).expect("a port")
}

/// The user that servers run as which refuse to be root: `nobody`, and its group.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("procfs").uid() == 0
}

/// A folder for what a server keeps, and commands that may write to it.
struct Place(TempFolder);

impl Place {
    fn new() -> Self {
        let folder = TempFolder::new();
        if is_root() {
            std::os::unix::fs::chown(&folder.0, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.0.join(name)
    }

    /// A command without privileges, which logs to the file `log`.
    fn command(&self, program: &Path) -> Command {
        let log = std::fs::File::options().create(true).append(true).open(self.file("log"));
        let log = log.expect("a file");
        let mut command = Command::new(program);
        command.current_dir(&self.0.0).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs a command that must succeed.
    fn run(&self, program: &Path, arguments: &[&str]) {
        let status = self.command(program).args(arguments).status().expect("it runs");
        assert!(status.success(), "{}: {}", program.display(), self.log());
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.file("log")).unwrap_or_default()).into_owned()
    }
}

/// A server in a process of its own, which is ended with this.
struct Daemon {
    address: SocketAddr,
    child: Child,
    place: Place,
}

impl Daemon {
    /// Starts it, and waits until it accepts connections.
    fn start(place: Place, address: SocketAddr, command: &mut Command) -> Self {
        let mut child = command.spawn().expect("it is installed");
        await_that("it listens", || {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "{command:?}: {ended:?}: {}", place.log());
            TcpStream::connect(address).is_ok()
        });
        Self { address, child, place }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its children end with it, as they do not when it is killed.
        self.signal("-TERM");
        let _ = self.child.wait();
    }
}

/// What a client prints on both streams, and whether it succeeded.
fn output(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().expect("it is installed");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// A listener that forwards to these servers in turn.
fn forwarding(protocol: &str, backends: &[SocketAddr], more: &str) -> String {
    let mut text = format!(
        "[[listener]]\nname = \"a\"\naddress = \"LISTEN\"\nprotocol = \"{protocol}\"\n{more}\n\
         [runtime]\nshards = 1\n[pool.a]\nalgorithm = \"round-robin\"\n\
         health = {{ protocol = \"none\" }}\n"
    );
    for address in backends {
        text += &format!("[[pool.a.backend]]\naddress = \"{address}\"\n");
    }
    text
}
