//! The configuration, read again while the process runs: with the flags and the environment that
//! it was started with.

use super::arguments::Source;
use super::load::{self, Effective, read_bounded};
use clap::ArgMatches;
use ringway::config::{Config, TextFormat};
use ringway::coordinator::ConfigSource;
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

    fn has_file(&self) -> bool {
        load::chosen_file(&self.source, &self.matches).unwrap_or(false)
    }
}

impl ConfigSource for Reread {
    fn read(&self) -> Result<Config, String> {
        if !self.has_file() {
            return Err(
                "it was started without a configuration file, so there is nothing to read \
                        again: start it with --config FILE, or give a whole configuration with \
                        `ringway reload --file FILE`"
                    .to_owned(),
            );
        }
        let loaded = load::load(self.source.clone(), &self.matches);
        loaded.map(|effective| effective.config).map_err(|error| error.to_string())
    }

    fn parse(&self, text: &str, format: TextFormat) -> Result<Config, String> {
        let folder = self.source.config.as_deref().and_then(Path::parent);
        let folder = folder.unwrap_or(Path::new(""));
        let load = |file: &Path| read_bounded(&folder.join(file));
        let parsed = Config::parse_as(format, text, "configuration", &load);
        let mut config = parsed.map_err(|diagnostics| diagnostics.to_string())?;
        config.resolve_paths(&std::path::absolute(folder).unwrap_or(folder.to_owned()));
        let mut effective = Effective::of(config);
        load::lay_over(&mut effective, self.source.clone(), &self.matches);
        Ok(effective.config)
    }
}
