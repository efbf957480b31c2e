//! A file that something else writes: read again when it has changed. Looked at once a second,
//! which works on every file system and for every way of replacing a file.

use super::Shared;
use crate::config::parse_backends_file;
use crate::coordinator::fleet::{Found, Source};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells two states of a file apart.
type Stamp = Option<(SystemTime, u64)>;

/// Reads a file for as long as it is wanted.
pub(super) async fn watch(shared: Shared, pool: String, path: PathBuf) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut seen: Option<Stamp> = None;
    loop {
        ticks.tick().await;
        let stamp = stamp(&path);
        if seen.replace(stamp) == Some(stamp) {
            continue;
        }
        match read(&path) {
            Ok(found) => shared.told(&pool, &Source::File, found),
            Err(reason) => shared.failed(&pool, &Source::File, reason),
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<Vec<Found>, String> {
    let name = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read `{name}`: {error}"))?;
    let backends = parse_backends_file(&text, &name).map_err(|wrong| wrong.to_string())?;
    let found = |backend: crate::config::Backend| Found {
        address: backend.address,
        weight: backend.weight,
        priority: 0,
    };
    Ok(backends.into_iter().map(found).collect())
}
