//! The configuration, read again while the process runs: with the flags and the environment that
//! it was started with.

use super::arguments::Source;
use super::load::{self, Effective, LoadError, read_bounded};
use clap::ArgMatches;
use ringway::config::{Config, TextFormat};
use ringway::coordinator::{ConfigSource, Unusable};
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
    fn read(&self) -> Result<Config, Unusable> {
        if !self.has_file() {
            return Err(
                "it was started without a configuration file, so there is nothing to read \
                        again: start it with --config FILE, or give a whole configuration with \
                        `ringway reload --file FILE`"
                    .to_owned()
                    .into(),
            );
        }
        let loaded = load::load(self.source.clone(), &self.matches);
        loaded.map(|effective| effective.config).map_err(unusable)
    }

    fn parse(&self, text: &str, format: TextFormat, name: &str) -> Result<Config, Unusable> {
        let folder = self.source.config.as_deref().and_then(Path::parent);
        let folder = folder.unwrap_or(Path::new(""));
        let load = |file: &Path| read_bounded(&folder.join(file));
        let parsed = Config::parse_as(format, text, name, &load);
        let mut config = parsed.map_err(|wrong| unusable(LoadError::Invalid(wrong)))?;
        config.resolve_paths(&std::path::absolute(folder).unwrap_or(folder.to_owned()));
        let mut effective = Effective::of(config);
        load::lay_over(&mut effective, self.source.clone(), &self.matches);
        Ok(effective.config)
    }
}

fn unusable(error: LoadError) -> Unusable {
    let reason = error.to_string();
    match error {
        LoadError::Invalid(diagnostics) => Unusable { reason, problems: diagnostics.problems },
        LoadError::Usage(_) | LoadError::Unreadable(..) => reason.into(),
    }
}
