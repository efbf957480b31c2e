//! The same bare relay on several engines: bytes from each client to one backend and back, or
//! datagrams.
//!
//! Does: read the command line, pin the thread, run one relay until a signal ends the process.
//! Does not: measure anything; `benches/compare` does.

mod backends;
mod datagrams;
mod epoll;
#[cfg(feature = "glommio")]
mod glommio;
mod monoio;
mod sys;
mod uring;

use backends::Backends;
use clap::{Parser, Subcommand, ValueEnum};
use core_affinity::CoreId;
use ringway::sys::rlimit::{Resource, raise_to_hard};
use std::error::Error;
use std::net::SocketAddr;

/// What every relay is told.
struct Plan {
    listen: SocketAddr,
    backends: Backends,
    #[cfg_attr(
        not(feature = "glommio"),
        expect(dead_code, reason = "only glommio pins by itself")
    )]
    core: usize,
}

/// Waiting connections of a listening socket: Ringway's default.
const BACKLOG: i32 = 4096;
/// Bytes that are read at once, in every relay: Ringway's default.
const BUFFER_SIZE: usize = 16 * 1024;

/// The same bare relay on several engines, as baselines for Ringway.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the names of the engines, one a line.
    List,
    /// Relay until SIGTERM.
    Relay {
        #[arg(long, value_name = "NAME", value_enum)]
        engine: Engine,
        #[arg(long, value_name = "IP:PORT")]
        listen: SocketAddr,
        /// Where to; several are taken in turn.
        #[arg(long, value_name = "IP:PORT", required = true)]
        backend: Vec<SocketAddr>,
        /// The core to run on.
        #[arg(long, value_name = "N", default_value_t = 0)]
        core: usize,
        /// Datagrams in place of connections; `uring` and `epoll` have them.
        #[arg(long)]
        datagrams: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Engine {
    /// Ringway's own engine, one backend connection for each client.
    Uring,
    /// Ringway's own engine, a backend from a pool of idle connections for each request.
    UringHttp,
    /// Bare epoll.
    Epoll,
    /// monoio on io_uring.
    Monoio,
    /// glommio on io_uring.
    #[cfg(feature = "glommio")]
    Glommio,
}

impl Engine {
    fn run(self, plan: Plan) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Uring => uring::relay_connections(plan),
            Self::UringHttp => uring::relay_requests(plan),
            Self::Epoll => Ok(epoll::relay(plan)?),
            Self::Monoio => Ok(monoio::relay(plan)?),
            #[cfg(feature = "glommio")]
            Self::Glommio => glommio::relay(plan),
        }
    }
}

impl Engine {
    fn run_datagrams(self, plan: Plan) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Uring => datagrams::relay_by_uring(plan),
            Self::Epoll => Ok(datagrams::relay_by_epoll(plan)?),
            _ => Err("only `uring` and `epoll` relay datagrams".into()),
        }
    }
}

fn list() {
    for engine in Engine::value_variants() {
        let value = engine.to_possible_value();
        println!("{}", value.as_ref().map_or("", |value| value.get_name()));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().command {
        Command::List => {
            list();
            Ok(())
        }
        Command::Relay { engine, listen, backend, core, datagrams } => {
            if !core_affinity::set_for_current(CoreId { id: core }) {
                return Err(
                    format!("cannot run on core {core}: see `nproc` and `taskset -p $$`").into()
                );
            }
            raise_to_hard(Resource::OpenFiles)?;
            let plan = Plan { listen, backends: Backends::new(backend), core };
            if datagrams { engine.run_datagrams(plan) } else { engine.run(plan) }
        }
    }
}
