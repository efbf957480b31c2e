//! The command line.

use clap::{Args, Parser, Subcommand};
use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

/// Measures Ringway side by side with other proxies: CPU time per request, latency, memory.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A built Ringway; with a label, several builds are compared in one run. Without it the
    /// product is built first.
    #[arg(long, value_name = "[LABEL=]PATH")]
    pub ringway: Vec<Named>,
    /// Compare only the peers.
    #[arg(long, conflicts_with = "ringway")]
    pub no_ringway: bool,
    /// Another nginx than the one in PATH; may be given several times, then with labels.
    #[arg(long, value_name = "[LABEL=]PATH")]
    pub peer_nginx: Vec<Named>,
    /// Another HAProxy than the one in PATH; may be given several times, then with labels.
    #[arg(long, value_name = "[LABEL=]PATH")]
    pub peer_haproxy: Vec<Named>,
    /// The program of benches/engines: its bare byte relays are compared too.
    #[arg(long, value_name = "PATH")]
    pub relay: Option<PathBuf>,
    /// Only these engines of the relay.
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "relay")]
    pub relay_engine: Vec<String>,
    /// Only these scenarios; the first line of each table is the name.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Measurements of each proxy in each scenario.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Seconds of each measurement, after a warm-up that does not count.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// The core of the proxies.
    #[arg(long, default_value_t = 0)]
    pub proxy_core: usize,
    /// The core of the load generator and the origin.
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// Write every measurement to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep the run: makes `<date>-<machine>` in this folder, with README.md, raw.json and
    /// summary.txt.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// The name of this machine in the results; its host name if not given.
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
}

/// What else this program does.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Measures what probes of many backends cost Ringway's coordinator.
    Probes(Probes),
    /// The origin behind the proxies; prints where it listens. Started by this program itself.
    #[command(hide = true)]
    Origin {
        /// So many addresses, in place of a few ports of one.
        #[arg(long)]
        addresses: Option<usize>,
    },
}

/// How probes are measured.
#[derive(Args, Clone, Debug)]
pub struct Probes {
    /// A built Ringway. Without it the product is built first.
    #[arg(long, value_name = "PATH")]
    pub ringway: Option<PathBuf>,
    /// Backends, each an address of its own.
    #[arg(long, default_value_t = 5_000, value_parser = parse_backends)]
    pub backends: usize,
    /// Seconds from one probe of a backend to the next.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub interval: u64,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// The core of Ringway.
    #[arg(long, default_value_t = 0)]
    pub proxy_core: usize,
    /// The core of the origin.
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
}

/// As many as Ringway takes.
fn parse_backends(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=16_384).contains(number));
    number.ok_or_else(|| "a number from 1 to 16384".to_owned())
}

/// A program with, perhaps, a name for the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name, if one was given.
    pub label: Option<String>,
    /// The program.
    pub path: PathBuf,
}

impl FromStr for Named {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Named, Infallible> {
        Ok(match text.split_once('=') {
            Some((label, path)) => Named { label: Some(label.to_owned()), path: path.into() },
            None => Named { label: None, path: text.into() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_optional() {
        let named = |text: &str| text.parse::<Named>().unwrap();
        assert_eq!(named("a/b").label, None);
        assert_eq!(named("old=a/b"), Named { label: Some("old".into()), path: "a/b".into() });
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
