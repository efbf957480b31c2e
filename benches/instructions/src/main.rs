//! Counts the instructions of Ringway's code: whole exchanges, heads, routing, picking.
//!
//! Does: start itself under callgrind twice for each case, with N and with 2N operations, and
//! print the difference divided by N, so that the start-up cancels out. Does not: measure time,
//! caches or the kernel; `benches/compare` measures whole requests.

mod callgrind;
mod cases;
mod report;

use cases::Case;
use clap::{Parser, Subcommand};
use report::{Baseline, Count};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// Instructions per operation of Ringway's code, counted by valgrind's callgrind.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only the cases whose name has this in it.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Compare with what `--json` printed earlier; status 1 if a case has become 2 % dearer.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// What this program starts itself as.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run one case so many times.
    #[command(hide = true)]
    Run { case: String, operations: u64 },
    /// Print the names of the cases.
    List,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::Run { case, operations }) => run_case(case, *operations)?,
        Some(Command::List) => {
            cases::all().iter().for_each(|case| println!("{}", case.name));
        }
        None => return count(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn run_case(name: &str, operations: u64) -> Result<(), Box<dyn Error>> {
    let case = cases::all().into_iter().find(|case| case.name == name);
    let case = case.ok_or_else(|| format!("there is no case `{name}`: `instructions list`"))?;
    (case.run)(operations);
    Ok(())
}

fn count(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let baseline = arguments.baseline.as_deref().map(Baseline::read).transpose()?;
    let is_wanted = |case: &Case| {
        let part = arguments.only.as_deref();
        part.is_none_or(|part| case.name.contains(part))
    };
    let mut counts = Vec::new();
    for case in cases::all().into_iter().filter(is_wanted) {
        let once = callgrind::instructions(&case.name, case.operations)?;
        let twice = callgrind::instructions(&case.name, case.operations * 2)?;
        let difference = twice.saturating_sub(once);
        let per_operation = difference as f64 / case.operations as f64;
        counts.push(Count { case: case.name, instructions: per_operation });
        if !arguments.json {
            eprint!(".");
        }
    }
    if counts.is_empty() {
        return Err("no case has such a name: see `instructions list`".into());
    }
    if arguments.json {
        println!("{}", report::json(&counts)?);
    } else {
        eprintln!();
        print!("{}", report::table(&counts, baseline.as_ref()));
    }
    let has_regressed = baseline.is_some_and(|baseline| baseline.has_regressed(&counts));
    Ok(if has_regressed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
