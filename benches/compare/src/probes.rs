//! What probes cost: CPU time of Ringway's coordinator while it checks many backends over HTTP.
//!
//! The backends are addresses of their own in 127.0.0.0/8 with one origin behind them all. There
//! are no clients, so that the coordinator does nothing else.

use crate::arguments::Probes;
use crate::child::{Output, Running, TemporaryFolder};
use crate::contender::{find_free_port, find_ringway_program};
use crate::origin::{Origin, Places};
use crate::procfs::{self, Thread};
use crate::sys::{process, signal};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// Until every backend has passed its first probes.
const HEALTHY_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Descriptors besides those of the origin's listeners.
const DESCRIPTORS: u64 = 1_000;

/// Measures and prints. `false` if a backend was not healthy at the end.
pub fn run(probes: &Probes) -> Result<bool> {
    signal::watch_interrupts()?;
    let program = find_ringway_program(probes.ringway.as_deref())?;
    let wanted = probes.backends as u64 + DESCRIPTORS;
    let descriptors = process::raise_descriptor_limit().context("cannot raise the limit")?;
    if descriptors < wanted {
        bail!("at most {descriptors} descriptors (`ulimit -Hn`); {wanted} are wanted");
    }
    let folder = TemporaryFolder::create()?;
    let places = Places::Addresses(probes.backends);
    let origin = Origin::start(probes.load_core, &folder, places)?;
    let admin = SocketAddrV4::new(Ipv4Addr::LOCALHOST, find_free_port()?);
    let inside = folder.create_inside("ringway")?;
    let file = inside.join("ringway.toml");
    std::fs::write(&file, configuration(probes, admin, &origin.addresses))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(program);
    command.arg("run").arg("--config").arg(&file);
    let log = inside.join("log");
    let mut ringway = Running::start(command, probes.proxy_core, &log, Output::Logged)?;
    await_healthy(&mut ringway, admin, probes.backends)?;
    measure(probes, &ringway, admin, &origin)
}

fn configuration(probes: &Probes, admin: SocketAddrV4, backends: &[SocketAddrV4]) -> String {
    let Probes { interval, proxy_core, .. } = probes;
    let mut text = format!(
        "[runtime]\nshards = \"{proxy_core}-{proxy_core}\"\n\
         [admin]\nsocket = \"\"\nlisten = \"{admin}\"\n\
         [[listener]]\nname = \"web\"\naddress = \"127.0.0.1:0\"\n\
         [[route]]\npool = \"app\"\n\
         [pool.app.health]\nprotocol = \"http\"\npath = \"/healthz\"\ninterval = \"{interval}s\"\n"
    );
    for backend in backends {
        let _ = writeln!(text, "[[pool.app.backend]]\naddress = \"{backend}\"");
    }
    text
}

fn await_healthy(ringway: &mut Running, admin: SocketAddrV4, backends: usize) -> Result<()> {
    let end = Instant::now() + HEALTHY_LIMIT;
    while healthy(admin).ok() != Some(backends) {
        if ringway.has_ended() {
            bail!("Ringway ended; it wrote:\n{}", ringway.last_words());
        }
        if Instant::now() > end {
            let limit = HEALTHY_LIMIT.as_secs();
            bail!("not all backends were healthy within {limit} s: {:?}", healthy(admin));
        }
        signal::sleep(LOOK_EVERY)?;
    }
    Ok(())
}

fn measure(
    probes: &Probes,
    ringway: &Running,
    admin: SocketAddrV4,
    origin: &Origin,
) -> Result<bool> {
    // The first rounds are faster, and not spread evenly yet.
    signal::sleep(Duration::from_secs(2 * probes.interval))?;
    let (began, served) = (Instant::now(), served(origin)?);
    let before = procfs::threads(ringway.pid())?;
    signal::sleep(Duration::from_secs(probes.seconds))?;
    let after = procfs::threads(ringway.pid())?;
    let served = self::served(origin)? - served;
    let seconds = began.elapsed().as_secs_f64();
    let healthy = healthy(admin)?;
    let share = |is_wanted: &dyn Fn(&Thread) -> bool| {
        let sum = |threads: &[Thread]| -> u64 {
            threads.iter().filter(|thread| is_wanted(thread)).map(|thread| thread.cpu_ns).sum()
        };
        sum(&after).saturating_sub(sum(&before)) as f64 / 1e7 / seconds
    };
    // The first thread, whose number is that of the process, is the coordinator's.
    let is_coordinator = |thread: &Thread| thread.id == ringway.pid();
    println!("{} backends, each probed over HTTP every {} s", probes.backends, probes.interval);
    println!("measured, s           {seconds:.1}");
    println!("probes/s              {:.0}", served as f64 / seconds);
    println!("coordinator, % core   {:.1}", share(&is_coordinator));
    println!("other threads, % core {:.1}", share(&|thread| !is_coordinator(thread)));
    println!("healthy at the end    {healthy} of {}", probes.backends);
    Ok(healthy == probes.backends)
}

/// Backends that Ringway finds fit.
fn healthy(admin: SocketAddrV4) -> Result<usize> {
    let metrics = ask(admin, "/metrics")?;
    let name = "ringway_pool_healthy_backends{pool=\"app\"} ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.context("no such metric")?.parse().context("no number")
}

/// Requests that the origin has answered.
fn served(origin: &Origin) -> Result<u64> {
    let answer = ask(origin.addresses[0], "/served")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    body.parse().context("no number")
}

fn ask(address: SocketAddrV4, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
