//! The configuration, read again while the process runs: with the flags and the environment that
//! it was started with.

use super::arguments::Source;
use super::load::{self, Effective, LoadError};
use clap::ArgMatches;
use ringway::config::{Config, TextFormat};
use ringway::coordinator::{ConfigSource, Unusable};
use ringway::sys::file;
use std::path::Path;

/// See the module. The default has neither file nor flags.
#[derive(Default)]
pub(super) struct Reread {
    source: Source,
    matches: ArgMatches,
}

impl Reread {
    pub(super) fn new(source: Source, matches: ArgMatches) -> Self {
        Self { source, matches }
    }

    /// The file, if it was started with one.
    fn file(&self) -> Option<&Path> {
        let is_chosen = load::chosen_file(&self.source, &self.matches).unwrap_or(false);
        self.source.config.as_deref().filter(|_| is_chosen)
    }

    fn laid_over(&self, config: Config) -> Config {
        let mut effective = Effective::of(config);
        load::lay_over(&mut effective, self.source.clone(), &self.matches);
        effective.config
    }
}

impl ConfigSource for Reread {
    fn read(&self) -> Result<Config, Unusable> {
        let Some(file) = self.file() else {
            return Err(
                "it was started without a configuration file, so there is nothing to read \
                        again: start it with --config FILE, or give a whole configuration with \
                        `ringway reload --file FILE`"
                    .to_owned()
                    .into(),
            );
        };
        // Who waits for a pipe or reads without an end serves nobody.
        let read = load::read_config(file, file::read_regular);
        read.map(|(config, _)| self.laid_over(config)).map_err(unusable)
    }

    fn parse(&self, text: &str, format: TextFormat, name: &str) -> Result<Config, Unusable> {
        let folder = load::folder_of(self.source.config.as_deref());
        let load = |file: &Path| load::read_named(folder, file);
        let parsed = Config::parse_as(format, text, name, &load);
        let mut config = parsed.map_err(|all| unusable(LoadError::Invalid(all)))?;
        load::resolve_paths(&mut config, folder);
        Ok(self.laid_over(config))
    }
}

fn unusable(error: LoadError) -> Unusable {
    let reason = error.to_string();
    match error {
        LoadError::Invalid(diagnostics) => Unusable { reason, problems: diagnostics.problems },
        LoadError::Usage(_) | LoadError::Unreadable(..) => reason.into(),
    }
}
