//! The origin as a process of its own: how it is started. What it does is in `server`.
//!
//! It is this same program, so that nothing else must be built or found.

mod server;

pub use server::serve;

use crate::child::{Output, Running, TemporaryFolder};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

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
    pub fn start(core: usize, folder: &TemporaryFolder) -> Result<Origin> {
        let program = std::env::current_exe().context("cannot find our own program")?;
        let mut command = Command::new(program);
        command.arg("origin");
        let log = folder.create_inside("origin")?.join("log");
        let mut running = Running::start(command, core, &log, Output::Piped)?;
        let stdout = running.take_stdout().context("the origin has no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("cannot read from the origin")?;
        let addresses = parse_ports(&line);
        if addresses.is_empty() {
            bail!("the origin did not start: {}", running.last_words());
        }
        Ok(Origin { _running: running, addresses })
    }
}

fn parse_ports(line: &str) -> Vec<SocketAddrV4> {
    let ports = line.split_whitespace().filter_map(|port| port.parse().ok());
    ports.map(|port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_a_backend() {
        let addresses = parse_ports("4000 4001\n");
        assert_eq!(addresses.len(), 2);
        assert_eq!(addresses[1], SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4001));
        assert!(parse_ports("").is_empty());
    }
}
