//! The state kept over a restart, in a file: written to a temporary file first and then moved into
//! its place, so that a reader never sees half of it. Entries that cannot be used are reported,
//! left out, and kept beside it before it is overwritten.

use crate::coordinator::fleet::Saved;
use crate::limits::BACKENDS_MAX;
use crate::sys::file::read_regular;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The version of the format.
const VERSION: u32 = 1;

/// Most bytes of the file: several times its size with the greatest number of backends.
const FILE_BYTES_MAX: usize = BACKENDS_MAX * 1024;

/// The file: `P` is a pool's part.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content<P> {
    ringway_state: u32,
    written_ms: u64,
    pools: Vec<P>,
}

/// The state of the previous process.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    /// The usable entries.
    pub pools: Vec<Saved>,
    /// How long ago it was written.
    pub age: Duration,
    /// The unusable entries, with their places.
    pub left_out: Vec<String>,
    /// Where the original file is kept, if an entry was left out; or why it is not.
    pub kept: String,
}

/// See the module.
pub struct StateFile {
    path: PathBuf,
    /// The state as last written, to write only changes.
    written: Option<Vec<Saved>>,
    /// The write in progress: a slow disk must not block the coordinator.
    writing: Option<JoinHandle<()>>,
    /// The last attempt failed: logged once.
    has_failed: Arc<AtomicBool>,
}

impl StateFile {
    /// The file at `path`, which need not be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), written: None, writing: None, has_failed: Arc::default() }
    }

    /// The saved state. None if there is no such file. A file with unusable entries is copied to
    /// one whose name ends in `.bad`.
    ///
    /// # Errors
    /// If it cannot be read, or is not a state file of this version. The file is renamed likewise
    /// then, so that it is not overwritten; the text has the new name.
    pub fn read(&self) -> Result<Option<Left>, String> {
        let refused = |error: String| {
            if !self.path.is_file() {
                return error; // a folder or a pipe, which is never overwritten
            }
            let bad = self.bad();
            let moved = fs::rename(&self.path, &bad);
            format!("{error}; {}", outcome(moved, "it is moved to", &bad))
        };
        let bytes = match read_regular(&self.path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(error.to_string())),
        };
        let Content { written_ms, pools, .. } = parse(&bytes).map_err(refused)?;
        let mut left_out = Vec::new();
        let pools = pools.into_iter().filter_map(|part| Saved::read(part, &mut left_out)).collect();
        // A file from the future was written by another clock: its age is unknown.
        let age = now_ms().checked_sub(written_ms).map_or(Duration::MAX, Duration::from_millis);
        let mut kept = String::new();
        if !left_out.is_empty() {
            let bad = self.bad();
            let copied = fs::copy(&self.path, &bad).map(drop);
            kept = outcome(copied, "the file as it was is", &bad);
        }
        Ok(Some(Left { pools, age, left_out, kept }))
    }

    fn bad(&self) -> PathBuf {
        beside(&self.path, ".bad")
    }

    /// Begins to write the state, in a thread of its own, if it has changed, or in any case if
    /// `is_due`: its age counts. While an earlier write is in progress none begins: the next call
    /// begins it.
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
            // A panic there has been logged already; the write below counts.
            let _ = writing.join();
        }
        write_now(&self.path, pools, &self.has_failed);
    }
}

fn parse(bytes: &[u8]) -> Result<Content<Value>, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match value["ringway_state"].as_u64() {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => return Err(format!("it has version {version}, not {VERSION}")),
        None => return Err("it is no state file: it has no number `ringway_state`".to_owned()),
    }
    Content::deserialize(value).map_err(|error| error.to_string())
}

fn outcome(done: io::Result<()>, what: &str, place: &Path) -> String {
    let place = place.display();
    match done {
        Ok(()) => format!("{what} {place}"),
        Err(error) => format!("it cannot be kept as {place}: {error}"),
    }
}

/// The name of a file next to another.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
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

fn write_whole(path: &Path, content: &Content<Saved>) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        // A rename over a device or a pipe would remove it for all its users.
        return Err(io::Error::other("it is there, and not a regular file"));
    }
    let temporary = beside(path, ".new");
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

    /// A folder of this test's, and a state file in it.
    fn place(test: &str) -> (PathBuf, PathBuf) {
        let name = format!("ringway-state-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        (folder.clone(), folder.join("state.json"))
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_ours_is_refused_and_kept() {
        let (folder, path) = place("whole");
        let mut file = StateFile::new(path.clone());
        assert_eq!(file.read().expect("no file is well"), None);
        file.write_last(saved());
        let left = file.read().expect("ours").expect("there");
        assert_eq!((left.pools, left.left_out), (saved(), vec![]));
        assert!(left.age < Duration::from_secs(60));
        let other = r#"{"ringway_state": 99, "written_ms": 0, "more": []}"#;
        for foreign in ["", "{", "[]", "{\"ringway_state\": 1}", "\u{0}\u{1}", other] {
            fs::write(&path, foreign).expect("written");
            let why = file.read().expect_err(foreign);
            assert!(why.contains("state.json.bad"), "{foreign:?}: {why}");
            assert_eq!(why.contains("version 99"), foreign == other, "{why}");
            file.write_last(saved());
            let kept = fs::read_to_string(folder.join("state.json.bad")).expect("it is kept");
            assert_eq!(kept, foreign);
        }
        fs::remove_file(&path).expect("it was there");
        fs::create_dir(&path).expect("a folder");
        let why = file.read().expect_err("a folder");
        assert!(path.is_dir() && !why.contains(".bad"), "{why}");
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_pipe_is_neither_waited_for_nor_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let (folder, path) = place("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo is installed").success());
        let mut file = StateFile::new(path.clone());
        let why = file.read().expect_err("a pipe");
        assert_eq!(why, "it is not a regular file");
        file.write_last(saved());
        assert!(fs::metadata(&path).expect("it is there").file_type().is_fifo());
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_file_longer_than_any_that_is_ours_is_not_read_whole() {
        let (folder, path) = place("long");
        let long = File::create(&path).and_then(|file| file.set_len(1 << 30));
        long.expect("it has a hole for its content");
        let why = StateFile::new(path).read().expect_err("too long");
        assert!(why.contains("more than") && why.contains("state.json.bad"), "{why}");
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn one_wrong_entry_takes_no_other_with_it() {
        let (folder, path) = place("part");
        let mut file = StateFile::new(path.clone());
        let backend = |change: &dyn Fn(&mut SavedBackend)| {
            let mut backend = saved()[0].backends[0].clone();
            change(&mut backend);
            backend
        };
        let mut wrong = saved();
        wrong[0].backends.extend([
            backend(&|backend| backend.weight = Some(u32::MAX)),
            backend(&|backend| backend.operator = "asleep".to_owned()),
            backend(&|backend| backend.address.set_port(0)),
        ]);
        wrong.push(Saved { pool: "web".to_owned(), ..Saved::default() });
        file.write_last(wrong);
        let text = fs::read_to_string(&path).expect("it is there");
        let text = text.replace("\"10.0.0.2:80\"", "\"10.0.0.2:80\", \"nowhere\"");
        let text = text.replace("\"pool\": \"web\"", "\"pool\": \"web\", \"more\": 1");
        let text = text.replace("\"pools\": [", "\"pools\": [7,");
        let text = text.replacen("\"backends\": [", "\"backends\": [\"10.0.0.3:80\",", 1);
        fs::write(&path, &text).expect("written");

        let left = file.read().expect("ours").expect("there");
        assert_eq!(left.pools, saved());
        let places = [
            "an object with a `pool`",
            "an object with the `address`",
            "10.0.0.1:80\": a weight",
            "`asleep`",
            "`10.0.0.1:0` has port 0",
            "taken_out",
            "pool \"web\"",
        ];
        assert_eq!(left.left_out.len(), places.len(), "{:?}", left.left_out);
        for (said, place) in left.left_out.iter().zip(places) {
            assert!(said.contains(place) && !said.contains("struct"), "{said}");
        }
        assert!(left.kept.contains("state.json.bad"), "{}", left.kept);
        file.write_last(saved());
        let kept = fs::read_to_string(folder.join("state.json.bad")).expect("it is kept");
        assert_eq!(kept, text);
        fs::remove_dir_all(&folder).expect("removed");
    }
}
