//! The `ringway` command.

mod cli;

use cli::Parts;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let parts = Parts { serve: cli::serve, probe_uring: cli::probe_uring };
    cli::main(std::env::args_os(), &parts)
}
