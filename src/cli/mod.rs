//! The command line: arguments to a configuration, and the commands that need no running
//! balancer. Does not: start shards; `serve` is handed in.

mod address_space;
mod arguments;
mod check;
mod demo;
mod descriptors;
mod doctor;
mod dump;
mod environment;
mod habits;
mod listen_sockets;
mod load;
mod logging;
mod overview;
mod passed;
mod reread;
mod self_signed;
mod serve;
mod signals;
#[cfg(test)]
mod tests;
mod threads;
mod verbs;

pub use arguments::LogLevel;
pub(crate) use serve::{probe_uring, serve};

use arguments::{Arguments, CertCommand, Command, ConfigCommand};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use load::{Effective, LoadError};
use reread::Reread;
use ringway::config::Config;
use ringway::coordinator::ConfigSource;
use serde_json::{Value, json};
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// The start of `ringway run` and `ringway demo`.
pub struct Start {
    /// The checked configuration, with flags and environment over the file.
    pub config: Config,
    /// The file it came from, to be read again on reload; none if there was none.
    pub config_file: Option<PathBuf>,
    /// The source for a reload.
    pub source: Box<dyn ConfigSource>,
    /// The configured number of connections; none if it follows from the limit of open files.
    pub set_connections: Option<usize>,
    /// The lowest level that is logged.
    pub log_level: LogLevel,
    /// Warnings to be logged: a line each.
    pub warnings: Vec<String>,
    /// A function that runs once clients can connect.
    pub on_listening: Option<OnListening>,
}

/// Gets the addresses of the listeners, and the output for the user.
pub type OnListening = Box<dyn FnOnce(&[SocketAddr], &mut dyn Write) -> io::Result<()>>;

impl Start {
    fn of(effective: Effective, source: Reread, log_level: LogLevel) -> Self {
        let set_connections = effective.set_connections();
        let Effective { config, config_file, .. } = effective;
        let (source, warnings, on_listening) = (Box::new(source), Vec::new(), None);
        Self { config, config_file, source, set_connections, log_level, warnings, on_listening }
    }
}

/// The functions of the rest of the program that commands call.
pub struct Parts {
    /// Runs the balancer until it is ordered to end.
    pub serve: fn(Start) -> Result<(), Box<dyn Error>>,
    /// Whether the machine can run the engines.
    pub probe_uring: ProbeUring,
}

/// Fails with a sentence for the user where io_uring does not work, or there is no memory for the
/// rings of this configuration.
pub type ProbeUring = fn(&Config) -> Result<(), Box<dyn Error>>;

/// A failure, which determines the exit status.
#[derive(Debug)]
enum Failed {
    /// Reported in the answer on standard output: status 1.
    Shown,
    /// The arguments contradict each other: status 2, as for those that clap refuses.
    Usage(String),
    /// To be shown: status 1.
    Error(Box<dyn Error>),
    /// No process answers on the admin socket: status 3.
    NoAnswer(String),
    /// The reader of the answer has closed the pipe, as `head` does: status 0, and no message.
    ReaderGone,
    /// An order was taken, but not applied by every shard in time: status 4.
    NotApplied,
}

impl From<LoadError> for Failed {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Usage(message) => Self::Usage(message),
            other => Self::Error(other.into()),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Error(error.into()),
        }
    }
}

/// Runs the command in the arguments. The first argument is the name of the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>, parts: &Parts) -> ExitCode {
    // Not locked: the access log may go to standard output too.
    ExitCode::from(run(arguments, parts, &mut io::stdout(), &mut io::stderr()))
}

fn run(
    arguments: impl IntoIterator<Item = OsString>,
    parts: &Parts,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let hint = habits::hint(arguments.get(1));
    let command = overview::grouped(Arguments::command());
    let parsed = command.clone().try_get_matches_from(&arguments).and_then(|matches| {
        Arguments::from_arg_matches(&matches).map(|arguments| (arguments, matches))
    });
    let parsed = parsed.map_err(|error| environment::named(error, &command, &arguments));
    let (result, as_json) = match parsed {
        Ok((arguments, matches)) => {
            let matches = leaf(&matches);
            let json = matches.try_get_one::<bool>("json").ok().flatten();
            (execute(arguments, matches, parts, out, err), json == Some(&true))
        }
        Err(error) => {
            // An error is ignored: the terminal may be closed.
            let _ = match error.use_stderr() {
                true => write!(err, "{}{}", error.render(), hint.unwrap_or_default()),
                false => write!(out, "{}", error.render()),
            };
            return error.exit_code() as u8;
        }
    };
    let (status, error) = match result {
        Ok(()) | Err(Failed::ReaderGone) => return 0,
        Err(Failed::Shown) => return 1,
        Err(Failed::Usage(message)) => (2, message.into()),
        Err(Failed::Error(error)) => (1, error),
        Err(Failed::NoAnswer(message)) => (3, message.into()),
        Err(Failed::NotApplied) => return 4,
    };
    let _ = match as_json {
        true => writeln!(out, "{}", as_value(&*error)),
        false => writeln!(err, "error: {}", error.to_string().trim_end()),
    };
    status
}

/// A failure as JSON, in the form in which the process refuses an order.
fn as_value(error: &(dyn Error + 'static)) -> Value {
    let mut value = json!({ "error": error.to_string().trim_end() });
    if let Some(LoadError::Invalid(diagnostics)) = error.downcast_ref() {
        value["problems"] = json!(diagnostics.problems);
    }
    value
}

/// The matches of the innermost command.
fn leaf(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| leaf(inner))
}

fn execute(
    arguments: Arguments,
    matches: &ArgMatches,
    parts: &Parts,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), Failed> {
    match arguments.command {
        Command::Run { source, log_level } => {
            let effective = load::load(source.clone(), matches)?;
            let source = Reread::new(source, matches.clone(), &effective);
            let warnings = check::warnings_of_run(&effective);
            let start = Start { warnings, ..Start::of(effective, source, log_level) };
            (parts.serve)(start).map_err(Failed::Error)
        }
        Command::Verb(verb) => verbs::execute(verb, out),
        Command::Check { mut files, config, quiet, json } => {
            // A file on the command line goes before the environment.
            let is_given = matches.value_source("config") == Some(ValueSource::CommandLine);
            files.extend(config.filter(|_| is_given || files.is_empty()));
            let telling = check::Telling { as_json: json, is_quiet: quiet };
            check::check(files, &telling, out, err)
        }
        Command::Demo { listen, tls, log_level } => demo::demo(listen, tls, log_level, parts.serve),
        Command::Cert { command: CertCommand::SelfSigned { names, chain, key, days } } => {
            self_signed::self_signed(&names, days, (chain, key), out)
        }
        Command::Doctor { source, json } => {
            let effective = load::load_or_default(source, matches)?;
            doctor::doctor(&effective.config, json, parts.probe_uring, out)
        }
        Command::Config { command: ConfigCommand::Dump { source, json } } => {
            let effective = load::load_or_default(source, matches)?;
            Ok(dump::dump(&effective, json, out)?)
        }
    }
}
