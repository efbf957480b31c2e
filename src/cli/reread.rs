//! The configuration, read again while the process runs: with the flags and the environment that
//! it was started with.

use super::arguments::Source;
use super::check;
use super::load::{self, Effective, LoadError};
use clap::ArgMatches;
use ringway::config::{Config, Listener, TextFormat, WrittenKeys};
use ringway::coordinator::{ConfigSource, Unusable};
use ringway::sys::file;
use std::path::{Path, PathBuf};

/// See the module.
pub(super) struct Reread {
    source: Source,
    matches: ArgMatches,
    /// The file, if it was started with one.
    file: Option<PathBuf>,
    /// The default of `max_connections` for this process: it does not change with the number of
    /// backends.
    connections_when_unset: usize,
}

impl Reread {
    /// The source of this configuration, which was read with these arguments.
    pub(super) fn new(source: Source, matches: ArgMatches, effective: &Effective) -> Self {
        let Effective { config_file, connections_when_unset, .. } = effective;
        let (file, connections_when_unset) = (config_file.clone(), *connections_when_unset);
        Self { source, matches, file, connections_when_unset }
    }

    fn effective(&self, config: Config, written: WrittenKeys) -> Effective {
        let mut effective = Effective::of(config, written);
        load::lay_over(&mut effective, self.source.clone(), &self.matches);
        effective.take_unset_connections(self.connections_when_unset);
        effective
    }

    fn laid_over(&self, config: Config, written: WrittenKeys) -> Config {
        self.effective(config, written).config
    }
}

impl ConfigSource for Reread {
    fn read(&self) -> Result<Config, Unusable> {
        let Some(file) = &self.file else {
            let reason = "it was started without a configuration file, so there is nothing to read \
                          again: start it with `ringway run FILE`, or give a whole configuration \
                          with `ringway reload --file FILE`";
            return Err(reason.to_owned().into());
        };
        // To wait for a pipe, or to read without an end, would stop the coordinator.
        let read = load::read_config(file, file::read_regular);
        read.map(|(config, written)| self.laid_over(config, written)).map_err(unusable)
    }

    fn parse(&self, text: &str, format: TextFormat, name: &str) -> Result<Config, Unusable> {
        let folder = load::folder_of(self.file.as_deref());
        let load = |file: &Path| load::read_named(folder, file);
        let parsed = Config::parse_as(format, text, name, &load);
        let (mut config, written) = parsed.map_err(|all| unusable(LoadError::Invalid(all)))?;
        load::resolve_paths(&mut config, folder);
        Ok(self.laid_over(config, written))
    }

    fn warnings(&self, config: &Config, open: &[Listener]) -> Vec<String> {
        // Applied once more, only for the names of variables.
        check::warnings_of_reload(&self.effective(config.clone(), WrittenKeys::new()), open)
    }
}

fn unusable(error: LoadError) -> Unusable {
    let reason = error.to_string();
    match error {
        LoadError::Invalid(diagnostics) => Unusable { reason, problems: diagnostics.problems },
        LoadError::Usage(_) | LoadError::Certificate(_) | LoadError::Unreadable(..) => {
            reason.into()
        }
    }
}
