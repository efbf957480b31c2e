//! From arguments to a checked configuration.
//!
//! What flags and the environment say is written over what the file says, and the whole is then
//! checked by the same rules as a file.

use super::Failure;
use super::arguments::Source;
use ringway::access_log::{Destination, Format};
use ringway::config::{self, AccessLog, Config};
use std::fs;
use std::path::{Path, PathBuf};

/// The configuration that the arguments name.
pub(crate) fn load(source: &Source) -> Result<Config, Failure> {
    let mut config = match &source.config {
        Some(file) => load_file(file)?,
        None if source.listen.is_empty() => {
            return Err(Failure(
                "ringway: nothing to do: give --config FILE, or --listen IP:PORT and --backend \
                 IP:PORT (see ringway run --help)"
                    .to_owned(),
            ));
        }
        None => {
            let backends = source.backend.clone();
            Config::quick(&source.listen, backends, source.algorithm.unwrap_or_default())
        }
    };
    apply(source, &mut config);
    // The flags' values are checked by the rules of the file.
    let refuse = |_: &PathBuf| Err(std::io::Error::other("already read"));
    config::parse(&config.to_toml(), "command line", &refuse).map_err(Failure::from)
}

/// Reads and checks a file.
pub(crate) fn load_file(file: &Path) -> Result<Config, Failure> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    parse_file(file, &text).map_err(|diagnostics| Failure(diagnostics.to_string()))
}

/// Checks the text of a file; the files that it names are read relative to it.
pub(crate) fn parse_file(file: &Path, text: &str) -> Result<Config, config::Diagnostics> {
    let folder = file.parent().unwrap_or(Path::new("."));
    config::parse(text, &file.display().to_string(), &|path| fs::read(folder.join(path)))
}

fn apply(source: &Source, config: &mut Config) {
    let runtime = &mut config.runtime;
    if let Some(shards) = &source.shards {
        runtime.shards = shards.clone();
    }
    if let Some(size) = source.buffer_size {
        runtime.buffer_size = usize::try_from(size).unwrap_or(usize::MAX);
    }
    if let Some(count) = source.buffers_per_shard {
        runtime.buffers_per_shard = usize::try_from(count).unwrap_or(usize::MAX);
    }
    if let Some(entries) = source.ring_entries {
        runtime.ring_entries = u32::try_from(entries).unwrap_or(u32::MAX);
    }
    if let Some(count) = source.max_connections {
        runtime.max_connections = u32::try_from(count).unwrap_or(u32::MAX);
    }
    if let Some(path) = &source.access_log {
        let destination = match path.as_str() {
            "stdout" => Destination::Stdout,
            path => Destination::File(path.into()),
        };
        let defaults = AccessLog { destination, format: Format::Json, queue: 8192 };
        config.access_log = Some(defaults);
    }
}
