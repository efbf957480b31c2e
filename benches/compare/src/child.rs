//! Processes that we start: pinned, with a log of their own, and ended by their ids however we end.

use crate::procfs::ProcessTree;
use crate::sys::process;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Lines of a child's log that an error message quotes.
const QUOTED_LINES: usize = 12;

/// A running child. Dropping it ends it and all its descendants.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a command on `core`. Its standard error, and its standard output unless the caller
    /// wants to read that, go to the file `log`.
    pub fn start(mut command: Command, core: usize, log: &Path, stdout: Output) -> Result<Running> {
        let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let stdout = match stdout {
            Output::Logged => Stdio::from(file.try_clone()?),
            Output::Piped => Stdio::piped(),
        };
        // Nothing of our environment may change what is measured.
        command.env_clear().stdin(Stdio::null()).stdout(stdout).stderr(file);
        process::prepare_child(&mut command, core);
        let child = command.spawn().with_context(|| {
            format!("cannot start {} on core {core}", command.get_program().to_string_lossy())
        })?;
        Ok(Running { child, log: log.to_owned() })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child's standard output, once, if it was started with [`Output::Piped`].
    pub fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The last lines of what the process wrote, for an error message.
    pub fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().collect::<Vec<_>>();
        let quoted = &lines[lines.len().saturating_sub(QUOTED_LINES)..];
        if quoted.is_empty() { "it wrote nothing".to_owned() } else { quoted.join("\n") }
    }
}

/// Where a child's standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// To its log.
    Logged,
    /// To us.
    Piped,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        // Looked up now: a master that is killed cannot end its workers any more.
        let tree = ProcessTree::of(self.pid());
        process::terminate(self.pid());
        let end = Instant::now() + GRACE;
        while !self.has_ended() && Instant::now() < end {
            std::thread::sleep(LOOK_EVERY);
        }
        if self.has_ended() {
            return;
        }
        for pid in tree.iter().flat_map(ProcessTree::pids) {
            process::kill(*pid);
        }
        process::kill(self.pid());
        let _ = self.child.wait();
    }
}

/// A folder that is removed with everything in it at the end.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
}

impl TemporaryFolder {
    /// A new folder where the system keeps temporary files.
    pub fn create() -> Result<TemporaryFolder> {
        let name = format!("ringway-compare-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(TemporaryFolder { path })
    }

    /// Makes a folder in it. A proxy that is started again finds the one it had.
    pub fn create_inside(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Best effort: what is left is a few small files in a temporary folder.
        let _ = fs::remove_dir_all(&self.path);
    }
}
