//! The version and digest of the configuration in force: a version counts each load, while
//! generations also count every change of health. Does not: load one.

use crate::config::{Config, Digest};
use serde::{Serialize, Serializer};
use std::time::{SystemTime, UNIX_EPOCH};

/// See the module.
#[derive(Clone, Debug, Serialize)]
pub struct Loaded {
    /// Loads since the start of the process, which is the first.
    pub version: u64,
    /// The digest of the configuration in force.
    #[serde(serialize_with = "as_text")]
    pub digest: Digest,
    /// When it was loaded, milliseconds since 1970.
    pub loaded_ms: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// The newest attempt was refused.
    pub last_refused: bool,
    /// When the first one was loaded, milliseconds since 1970.
    #[serde(skip)]
    pub began_ms: u64,
}

fn as_text<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

impl Loaded {
    /// The state of the first configuration.
    pub(super) fn first(config: &Config) -> Self {
        let (digest, began_ms) = (config.digest(), wall_clock_ms());
        Self { version: 1, digest, loaded_ms: began_ms, refused: 0, last_refused: false, began_ms }
    }

    /// Records that another one is in force.
    pub(super) fn note(&mut self, config: &Config) {
        self.version += 1;
        self.digest = config.digest();
        self.loaded_ms = wall_clock_ms();
        self.last_refused = false;
    }

    /// Records that another one was refused.
    pub(super) fn note_refusal(&mut self) {
        self.refused += 1;
        self.last_refused = true;
    }
}

fn wall_clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
