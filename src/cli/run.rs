//! `ringway run`

use super::arguments::Run;
use super::load::load;
use super::serve::serve;
use super::Failure;
use std::io::Write;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Balances until the process is told to end.
pub(crate) fn run(arguments: &Run, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let config = load(&arguments.source)?;
    let filter = EnvFilter::try_new(&arguments.log_level)
        .map_err(|error| format!("--log-level {}: {error}", arguments.log_level))?;
    // The log is written by a thread of its own; what it cannot take is dropped, not waited for.
    let (writer, _guard) = tracing_appender::non_blocking(std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false).init();
    serve(&config, out)
}
