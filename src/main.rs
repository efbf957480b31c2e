//! The `ringway` command.

mod cli;

use cli::Parts;
use std::process::ExitCode;

fn main() -> ExitCode {
    let parts = Parts { serve: cli::serve, probe_uring: cli::probe_uring };
    cli::main(std::env::args_os(), &parts)
}
