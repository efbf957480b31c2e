//! `[access_log]`: one line for each request. It is read at the start only.

use crate::config::choices::LogFormat;
use crate::config::keys::kinds::{count, text, word};
use crate::config::keys::{Keys, section};
use crate::config::raw::Section;
use crate::config::values::parse_log_path;
use std::fmt;
use std::path::PathBuf;

const QUEUE_MAX: usize = 1 << 20;

section! {
    /// `[access_log]`: one line for each request.
    #[derive(Clone, Debug, PartialEq)]
    AccessLog {
        /// The destination of the lines, which must be written.
        path: LogPath = LogPath::Stdout => text(parse_log_path).at_start(),
        /// The format of a line.
        format: LogFormat = LogFormat::default() => word().at_start(),
        /// Records that may wait to be written; further ones are counted and dropped.
        queue: usize = 8192 => count(1..=QUEUE_MAX).at_start(),
    }
}

impl AccessLog {
    /// The log at `path`, the rest at its default.
    pub fn at(path: LogPath) -> Self {
        Self { path, ..Self::default() }
    }

    /// Reads the section, if it is there.
    pub(in crate::config) fn read(mut section: Section<'_>) -> Option<Self> {
        if !section.is_written() {
            return None;
        }
        section.require("path");
        let mut log = Self::default();
        log.read_keys(&mut section);
        section.finish();
        Some(log)
    }
}

/// The destination of an [`AccessLog`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPath {
    /// Standard output.
    Stdout,
    /// A file that lines are appended to.
    File(PathBuf),
}

impl fmt::Display for LogPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
