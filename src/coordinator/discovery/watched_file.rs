//! A file that another program writes: read again when it has changed. Checked once a second, which
//! works on every file system and for every way of replacing a file; by another thread, because a
//! file system may be slow.

use super::report::{Shared, unique};
use crate::config::{FILE_BYTES_MAX, parse_backends_file, text_of};
use crate::coordinator::events::beginning;
use crate::coordinator::fleet::{Found, Source};
use crate::sys::file::{self, Stamp};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The content of a changed file, and the file's state before it was read.
type Look = (Option<Stamp>, Result<Vec<Found>, String>);

/// Reads a file for as long as it is wanted.
pub(super) async fn watch(shared: Shared, pool: String, path: PathBuf) {
    let mut seen: Option<Stamp> = None;
    loop {
        let place = path.clone();
        let looked = tokio::task::spawn_blocking(move || look(&place, seen)).await;
        match looked.expect("it does not panic, and is not aborted") {
            None => {}
            Some((stamp, Ok(found))) => {
                seen = stamp;
                shared.reported(&pool, &Source::File, found, true);
            }
            // It is read again even if it does not change: the failure may be one of Ringway's
            // limits.
            Some((_, Err(reason))) => {
                seen = None;
                shared.failed(&pool, &Source::File, reason);
            }
        }
        // A pause after each check, whatever it took: missed checks are not made up for.
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The content of a file the first time that it is read.
pub(crate) async fn ask_file(path: PathBuf) -> Option<Vec<Found>> {
    let reading = tokio::task::spawn_blocking(move || read(&path));
    reading.await.expect("it does not panic, and is not aborted").ok().map(unique)
}

/// Reads a file unless it is as it was `seen`.
fn look(path: &Path, seen: Option<Stamp>) -> Option<Look> {
    let stamp = Stamp::of(path);
    let is_seen = stamp.is_some() && stamp == seen;
    (!is_seen).then(|| (stamp, read(path)))
}

fn read(path: &Path) -> Result<Vec<Found>, String> {
    let name = path.display().to_string();
    let wrong = |error: &dyn std::fmt::Display| format!("cannot read `{name}`: {error}");
    let bytes = file::read_regular(path, FILE_BYTES_MAX).map_err(|error| wrong(&error))?;
    let text = text_of(bytes).map_err(|error| wrong(&error))?;
    let backends =
        parse_backends_file(&text, &name).map_err(|wrong| beginning(&wrong.to_string()))?;
    let found = |backend: crate::config::Backend| Found {
        address: backend.address,
        weight: backend.weight,
        priority: 0,
    };
    Ok(backends.into_iter().map(found).collect())
}
