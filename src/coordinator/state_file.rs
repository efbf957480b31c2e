//! What outlives the process, in a file: written to a temporary one first and then moved into its
//! place, so that nobody ever reads half of it. A file that is not ours is reported and left out.

use super::fleet::Saved;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Changes when the format does.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    ringway_state: u32,
    written_ms: u64,
    pools: Vec<Saved>,
}

/// See the module.
pub struct StateFile {
    path: PathBuf,
    /// As last written, to write only what has changed.
    written: Option<Vec<Saved>>,
    /// The writing that is under way: a slow disk must not hold the coordinator.
    writing: Option<JoinHandle<()>>,
    /// The last attempt failed: said once.
    has_failed: Arc<AtomicBool>,
}

impl StateFile {
    /// The file at `path`, which need not be there.
    pub fn new(path: PathBuf) -> Self {
        Self { path, written: None, writing: None, has_failed: Arc::default() }
    }

    /// What was saved, and how long ago. None if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or is not a state file of this version.
    pub fn read(&self) -> Result<Option<(Vec<Saved>, Duration)>, String> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let content: Content = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if content.ringway_state != VERSION {
            return Err(format!("it has version {}, not {VERSION}", content.ringway_state));
        }
        content.pools.iter().try_for_each(Saved::check)?;
        // A file from the future was written by another clock: it tells nothing of its age.
        let age = now_ms().checked_sub(content.written_ms);
        Ok(Some((content.pools, age.map_or(Duration::MAX, Duration::from_millis))))
    }

    /// Begins to write what is to be saved, in a thread of its own, if it has changed, or in any
    /// case if `is_due`: its age counts. While an earlier writing is under way nothing is begun:
    /// the next call will.
    pub fn write(&mut self, pools: Vec<Saved>, is_due: bool) {
        let is_busy = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if is_busy || (!is_due && self.written.as_ref() == Some(&pools)) {
            return;
        }
        self.written = Some(pools.clone());
        let (path, has_failed) = (self.path.clone(), self.has_failed.clone());
        let body = move || write_now(&path, pools, &has_failed);
        self.writing = std::thread::Builder::new().name("state-file".into()).spawn(body).ok();
    }

    /// Writes at the end of the process, and waits for it.
    pub fn write_last(&mut self, pools: Vec<Saved>) {
        if let Some(writing) = self.writing.take() {
            // A panic there has been said already; what matters is what is written now.
            let _ = writing.join();
        }
        write_now(&self.path, pools, &self.has_failed);
    }
}

fn write_now(path: &Path, pools: Vec<Saved>, has_failed: &AtomicBool) {
    let content = Content { ringway_state: VERSION, written_ms: now_ms(), pools };
    match write_whole(path, &content) {
        Ok(()) => has_failed.store(false, Ordering::Relaxed),
        Err(error) => {
            if !has_failed.swap(true, Ordering::Relaxed) {
                let file = path.display();
                tracing::error!(%file, %error, "the state file cannot be written");
            }
        }
    }
}

fn write_whole(path: &Path, content: &Content) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(content)?)?;
    file.sync_data()?;
    fs::rename(&temporary, path)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::fleet::SavedBackend;

    fn saved() -> Vec<Saved> {
        let backend = SavedBackend {
            address: ([10, 0, 0, 1], 80).into(),
            is_live: Some(false),
            is_ready: None,
            operator: "drain".to_owned(),
            weight: Some(7),
            added: None,
        };
        let taken_out = vec![([10, 0, 0, 2], 80).into()];
        vec![Saved { pool: "app".to_owned(), backends: vec![backend], taken_out }]
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_ours_is_refused() {
        let folder = std::env::temp_dir().join(format!("ringway-state-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("state.json");
        let mut file = StateFile::new(path.clone());
        assert_eq!(file.read().expect("no file is well"), None);
        file.write_last(saved());
        let (read, age) = file.read().expect("ours").expect("there");
        assert_eq!(read, saved());
        assert!(age < Duration::from_secs(60));
        for foreign in ["", "{", "[]", "{\"ringway_state\": 1}", "\u{0}\u{1}"] {
            fs::write(&path, foreign).expect("written");
            assert!(file.read().is_err(), "{foreign:?}");
        }
        let text = serde_json::json!({ "ringway_state": 99, "written_ms": 0, "pools": [] });
        fs::write(&path, text.to_string()).expect("written");
        assert!(file.read().expect_err("another version").contains("99"));
        let mut heavy = saved();
        heavy[0].backends[0].weight = Some(u32::MAX);
        file.write_last(heavy);
        assert!(file.read().expect_err("a weight that would overflow").contains("10.0.0.1:80"));
        let mut strange = saved();
        strange[0].backends[0].operator = "asleep".to_owned();
        file.write_last(strange);
        assert!(file.read().expect_err("no such state").contains("`asleep`"));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
