//! Where, when and from what a run was made: the lines that stand above its results.
//!
//! Taken before anything is pinned or started, so that it describes the machine as it was found.

use crate::contender::Contender;
use crate::date;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// Facts about a run, in the order in which they are shown.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The date as `2026-01-31`, UTC.
    pub date: String,
    /// The name of the machine, fit to be part of a folder's name.
    pub machine: String,
    /// The command that makes the run again.
    pub command: String,
    /// What and its value, of all the rest.
    pub facts: Vec<(String, String)>,
}

impl Provenance {
    /// Looks at the machine. `name` is used in place of its host name.
    pub fn inspect(name: Option<&str>, contenders: &[Contender]) -> Provenance {
        let host = read_line("/proc/sys/kernel/hostname");
        let mut facts = vec![
            ("kernel".to_owned(), read_line("/proc/sys/kernel/osrelease")),
            ("processor".to_owned(), describe_processor()),
            ("memory".to_owned(), describe_memory()),
            ("load average at the start".to_owned(), read_line("/proc/loadavg")),
            ("commit".to_owned(), describe_commit()),
            ("compiler".to_owned(), run("rustc", &["--version"]).unwrap_or_else(unknown)),
        ];
        let versions = contenders.iter().map(|one| (one.label.clone(), one.version.clone()));
        facts.extend(versions);
        Provenance {
            date: date::of(SystemTime::now()),
            machine: as_file_name(name.unwrap_or(&host)),
            command: command_line(std::env::args().skip(1)),
            facts,
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The command as it would be given in the repository. Where the repository lies on this machine
/// is left out.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let root = repository().canonicalize().unwrap_or_default();
    let root = format!("{}/", root.display());
    let mut command =
        "cargo run --release --manifest-path benches/compare/Cargo.toml --".to_owned();
    for argument in arguments {
        command.push(' ');
        command.push_str(&argument.replace(&root, ""));
    }
    command
}

fn describe_commit() -> String {
    let Some(commit) = run("git", &["rev-parse", "HEAD"]) else { return unknown() };
    match run("git", &["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with uncommitted changes"),
    }
}

fn describe_processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(unknown);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores")
}

fn describe_memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map_or_else(unknown, |kibibytes| format!("{} MiB", kibibytes / 1024))
}

fn read_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().map_or_else(unknown, str::to_owned)
}

/// What a program prints in the repository, if there is such a program and it succeeds.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repository()).stdin(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn as_file_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    name.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_does_not_say_where_the_repository_lies() {
        let root = repository().canonicalize().unwrap();
        let path = format!("old={}/target/ringway", root.display());
        let command = command_line(["--ringway".to_owned(), path].into_iter());
        assert!(command.ends_with("-- --ringway old=target/ringway"), "{command}");
    }

    #[test]
    fn a_machine_name_fits_a_folder() {
        assert_eq!(as_file_name("edge 7/b.example"), "edge-7-b.example");
    }
}
