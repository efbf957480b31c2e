//! The origin as a process of its own: how it is started. What it does is in `server`.
//!
//! It is this same program, so that nothing else must be built or found.

mod server;

pub use server::serve;

use crate::child::{Output, Running, TemporaryFolder};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::net::SocketAddrV4;
use std::process::Command;

/// Where an origin listens.
#[derive(Clone, Copy, Debug)]
pub enum Places {
    /// On a few ports of 127.0.0.1.
    Ports,
    /// On so many addresses in 127.0.0.0/8.
    Addresses(usize),
}

/// A running origin. Dropping it ends it.
#[derive(Debug)]
pub struct Origin {
    /// Held for its end: dropping it ends the process.
    _running: Running,
    /// Where it listens; each is one backend of the proxies.
    pub addresses: Vec<SocketAddrV4>,
}

impl Origin {
    /// Starts it on `core` and waits until it listens.
    pub fn start(core: usize, folder: &TemporaryFolder, places: Places) -> Result<Origin> {
        let program = std::env::current_exe().context("cannot find our own program")?;
        let mut command = Command::new(program);
        command.arg("origin");
        if let Places::Addresses(count) = places {
            command.args(["--addresses", &count.to_string()]);
        }
        let log = folder.create_inside("origin")?.join("log");
        let mut running = Running::start(command, core, &log, Output::Piped)?;
        let stdout = running.take_stdout().context("the origin has no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("cannot read from the origin")?;
        let addresses = parse_addresses(&line);
        if addresses.is_empty() {
            bail!("the origin did not start: {}", running.last_words());
        }
        Ok(Origin { _running: running, addresses })
    }
}

fn parse_addresses(line: &str) -> Vec<SocketAddrV4> {
    line.split_whitespace().filter_map(|address| address.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_a_backend() {
        let addresses = parse_addresses("127.0.0.1:4000 127.1.0.2:4001\n");
        assert_eq!(addresses.len(), 2);
        assert_eq!(addresses[1], SocketAddrV4::new([127, 1, 0, 2].into(), 4001));
        assert!(parse_addresses("").is_empty());
    }
}
