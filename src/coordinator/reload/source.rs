//! Where a configuration to put in force comes from: the rest of the program implements it.

use crate::config::{self, Config, Problem, TextFormat};

/// The source of the configuration for a reload.
pub trait ConfigSource {
    /// The configuration of the file, with flags and environment laid over it.
    ///
    /// # Errors
    /// The problems, each with its place and remedy; or that there is no file.
    fn read(&self) -> Result<Config, Unusable>;

    /// The same for a text of this format in place of the file; problems name it `name`.
    ///
    /// # Errors
    /// As for [`ConfigSource::read`].
    fn parse(&self, text: &str, format: TextFormat, name: &str) -> Result<Config, Unusable>;

    /// Warnings about a configuration, and reasons why a new process would not start with it, where
    /// these listeners are open: a line each, the warnings of `ringway check` except those that
    /// need to read a file. The thread of the coordinator calls it.
    fn warnings(&self, _config: &Config, _open: &[config::Listener]) -> Vec<String> {
        Vec::new()
    }
}

/// The error of a configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// All problems as text.
    pub reason: String,
    /// The same one by one, where they have a place in a text.
    pub problems: Vec<Problem>,
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self { reason, problems: Vec::new() }
    }
}
