//! The command line: arguments to configuration to start. The only place, besides tests and
//! benchmarks, that names the engine.

mod arguments;
mod check;
mod demo;
mod doctor;
mod dump;
mod load;
mod run;
mod serve;
mod threads;

use arguments::{Arguments, Command};
use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = io::stdout();
    let result = match &arguments.command {
        Command::Run(run) => run::run(run, &mut out),
        Command::Check(check) => return check::check(check, &mut out),
        Command::Demo(demo) => demo::demo(demo, &mut out),
        Command::Doctor(doctor) => return doctor::doctor(doctor, &mut out),
        Command::Config(config) => dump::dump(config, &mut out),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", error.0.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// What to tell the user before the command ends in failure.
pub(crate) struct Failure(String);

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(format!("ringway: {error}"))
    }
}
