//! Assembles the process: limits, sockets, shards, coordinator.

use super::listen_sockets::SystemSockets;
use super::passed::PassedSockets;
use super::threads::{self, Threads};
use super::{OnListening, Start, logging, signals};
use super::{address_space, descriptors};
use ringway::access_log::{self, Destination, Format, Sender, Writer};
use ringway::base::ShardId;
use ringway::config::{Config, LogFormat, LogPath, ShardsChoice, Transport};
use ringway::coordinator::{self, Bell, ConfigSource, Control, Coordinator, Ended, admin};
use ringway::engine::uring::UringOptions;
use ringway::link::OUTBOX_HIGH_WHEN_LOW;
use ringway::mailbox::{Mailbox, Shared};
use ringway::sys::clock;
use ringway::sys::event_fd::EventFd;
use ringway::sys::rlimit::{Resource, is_for_want_of_descriptors, raise_to_hard};
use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

/// Descriptors needed at the start, besides those of each shard: the coordinator's, the logs, the
/// first probes.
const OTHER_DESCRIPTORS: usize = 32;

/// Serves until the process is ordered to end.
///
/// # Errors
/// A sentence with the reason and the remedy.
pub(crate) fn serve(start: Start) -> Result<(), Box<dyn Error>> {
    let Start { config, config_file, source, set_connections, log_level, .. } = start;
    let (warnings, on_listening) = (start.warnings, start.on_listening);
    address_space::check(&config.runtime, cores(&config.runtime.shards)?.len())?;
    let _guard = logging::start(log_level, config.runtime.log_format);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    raise_open_files(&config, set_connections)?;
    check_descriptors(&config)?;
    probe_ring()?;
    if let Some(file) = config_file {
        tracing::info!(file = %file.display(), "configuration read");
    }
    run(config, source, on_listening)
}

/// Whether io_uring works here, and there is memory for the rings of all shards.
///
/// # Errors
/// A sentence with the reason and the remedy.
pub(crate) fn probe_uring(config: &Config) -> Result<(), Box<dyn Error>> {
    // Missing cores are reported elsewhere.
    let shards = cores(&config.runtime.shards).map_or(1, |cores| cores.len());
    address_space::check(&config.runtime, shards)?;
    probe_ring()?;
    Ok(threads::try_engines(&uring_options(config, shards), shards)?)
}

/// On a thread of its own, because a ring belongs to the thread that built it.
fn probe_ring() -> Result<(), Box<dyn Error>> {
    let probed = std::thread::spawn(ringway::engine::uring::probe).join();
    Ok(probed.map_err(|_| "the probe of io_uring panicked")??)
}

fn uring_options(config: &Config, shards: usize) -> UringOptions {
    UringOptions {
        ring_entries: config.runtime.ring_entries,
        receive_buffers: config.runtime.buffers_per_shard,
        buffer_size: config.runtime.buffer_size,
        private_buffers_max: private_buffers_max(config, shards),
    }
}

fn run(
    config: Config,
    source: Box<dyn ConfigSource>,
    on_listening: Option<OnListening>,
) -> Result<(), Box<dyn Error>> {
    let cores = cores(&config.runtime.shards)?;
    let shards = cores.len();
    let wakes: Vec<Arc<EventFd>> =
        cores.iter().map(|_| EventFd::new().map(Arc::new)).collect::<Result<_, _>>()?;
    let (bell, hearer) = coordinator::bell()?;
    let mailboxes = mailboxes(&config, &wakes, bell);
    let (access_log, _writer) = start_access_log(&config)?.unzip();
    let options = uring_options(&config, shards);
    let passed = PassedSockets::take()?;
    let listen_sockets = SystemSockets::new(cores.clone(), config.runtime.backlog, passed);
    let control =
        Control::new(config, Box::new(listen_sockets), mailboxes.clone(), clock::monotonic())?;
    let threads = Threads { cores, wakes, mailboxes, options, access_log: access_log.clone() };
    let seed = RandomState::new().hash_one("coordinator");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { signals::follow(access_log) })?;
    let admin = runtime.block_on(async { admin::bind(&control.config().admin) })?;
    announce(&control, admin.tcp_address(), on_listening)?;
    let coordinator = Coordinator::new(control, source, threads.into_spawn(), hearer, admin, seed);
    let ended = runtime.block_on(coordinator.run());
    // It does not wait for a file system that does not answer.
    runtime.shutdown_background();
    match ended? {
        Ended::Failed(why) => Err(why.into()),
        Ended::Drained | Ended::Cut => Ok(()),
    }
}

/// Prints the addresses that clients can connect to.
fn announce(
    control: &Control,
    admin: Option<SocketAddr>,
    on_listening: Option<OnListening>,
) -> io::Result<()> {
    let is_logged_to = control.config().access_log.as_ref().map(|log| &log.path);
    // Lines of the log are for programs: nothing else may come between them.
    let mut out: Box<dyn Write> = match is_logged_to {
        Some(LogPath::Stdout) => Box::new(io::stderr()),
        _ => Box::new(io::stdout()),
    };
    let mut listeners: Vec<_> = control.listeners().iter().collect();
    listeners.sort_by_key(|listener| listener.id);
    for listener in &listeners {
        let udp = match listener.endpoint().transport {
            Transport::Tcp => "",
            Transport::Udp => ", udp",
        };
        writeln!(out, "ringway: listening on {} ({}{udp})", listener.address, listener.name)?;
    }
    if let Some(address) = admin {
        writeln!(out, "ringway: read-only admin API on http://{address}")?;
    }
    if let Some(on_listening) = on_listening {
        let addresses: Vec<SocketAddr> = listeners.iter().map(|one| one.address).collect();
        on_listening(&addresses, &mut out)?;
    }
    out.flush()
}

/// Raises the limit of open files, and warns if it is too low for a configured `max_connections`,
/// or for the flows of listeners.
fn raise_open_files(config: &Config, set_connections: Option<usize>) -> io::Result<()> {
    let files = raise_to_hard(Resource::OpenFiles)?;
    let wanted = descriptors::wanted(config);
    match set_connections {
        Some(set) if files < wanted => tracing::warn!(
            "the limit of open files is {files}, and max_connections = {set} needs {wanted}: raise \
             it (systemd: LimitNOFILE={wanted}; shell: ulimit -n {wanted}), or lower \
             max_connections; connections beyond it wait"
        ),
        _ => {}
    }
    let flows = descriptors::flows(config);
    if flows > 0 && files < flows {
        tracing::warn!(
            "the limit of open files is {files}, and `max_flows` of all listeners is {flows}, each \
             with a descriptor: raise it (systemd: LimitNOFILE={wanted}; shell: ulimit -n \
             {wanted}), or lower max_flows; beyond it flows end early"
        );
    }
    Ok(())
}

/// Opens and closes the descriptors needed at the start: a later lack of them would give an unclear
/// error, and a panic in libraries.
fn check_descriptors(config: &Config) -> Result<(), Box<dyn Error>> {
    let shards = cores(&config.runtime.shards)?.len();
    // An eventfd, a ring and /dev/null for each shard, and a socket of each listener.
    let needed = OTHER_DESCRIPTORS + shards * (3 + config.listeners.len());
    let held: io::Result<Vec<EventFd>> = (0..needed).map(|_| EventFd::new()).collect();
    let Err(error) = held else { return Ok(()) };
    let mending = match is_for_want_of_descriptors(&error) {
        true => format!(": {}", descriptors::MORE_DESCRIPTORS),
        false => String::new(),
    };
    Err(format!(
        "the {needed} descriptors that it takes before the first connection cannot be opened \
         ({error}){mending}"
    )
    .into())
}

/// Enough for the most connections, all of them slow: the bytes that may wait on one while
/// buffers are low, a receive that was under way, and its head. The
/// reference of the configuration has the sum.
fn private_buffers_max(config: &Config, shards: usize) -> usize {
    let runtime = &config.runtime;
    let for_each = OUTBOX_HIGH_WHEN_LOW as usize + 2;
    runtime.max_connections.div_ceil(shards) * for_each + runtime.buffers_per_shard
}

/// The core of each shard; none where it is not pinned because there are fewer cores.
pub(super) fn cores(shards: &ShardsChoice) -> Result<Vec<Option<usize>>, Box<dyn Error>> {
    let available = ringway::sys::core::allowed()?;
    Ok(match shards {
        ShardsChoice::Auto => available.iter().copied().map(Some).collect(),
        ShardsChoice::Count(count) => (0..*count).map(|at| available.get(at).copied()).collect(),
        ShardsChoice::Cores(cores) => {
            if let Some(core) = cores.iter().find(|core| !available.contains(core)) {
                let message =
                    format!("`shards` names core {core}, but the process may run on {available:?}");
                return Err(message.into());
            }
            cores.iter().copied().map(Some).collect()
        }
    })
}

fn mailboxes(config: &Config, wakes: &[Arc<EventFd>], bell: Bell) -> Arc<[Arc<Mailbox>]> {
    let limit = u32::try_from(config.runtime.max_connections_per_client).unwrap_or(u32::MAX);
    let shared = Shared::new(wakes.len(), limit, Arc::new(bell));
    let mailbox = |(index, wake): (usize, &Arc<EventFd>)| {
        let shard = ShardId(index as u16);
        Arc::new(Mailbox::new(shard, wake.clone(), shared.clone()))
    };
    wakes.iter().enumerate().map(mailbox).collect()
}

fn start_access_log(config: &Config) -> Result<Option<(Sender, Writer)>, Box<dyn Error>> {
    let Some(log) = &config.access_log else { return Ok(None) };
    let destination = match &log.path {
        LogPath::Stdout => Destination::Stdout,
        LogPath::File(path) => Destination::File(path.clone()),
    };
    let format = match log.format {
        LogFormat::Json => Format::Json,
        LogFormat::Common => Format::Common,
        LogFormat::Combined => Format::Combined,
    };
    let started = access_log::start(&destination, format, log.queue);
    let failed = |error| format!("cannot open the access log {}: {error}", log.path);
    Ok(Some(started.map_err(failed)?))
}
