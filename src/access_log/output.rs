//! A file that lines are appended to. Lines wait while the file cannot be written, and the write is
//! tried again, since a full disk does not stay full.

use super::Destination;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant};

/// The pause after a failed write.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The pause after a write to a full non-blocking pipe.
const PIPE_PAUSE: Duration = Duration::from_millis(5);

/// See the module.
pub(super) struct Output {
    destination: Destination,
    /// None before a pipe has its first reader.
    file: Option<File>,
    /// Complete lines that are to be written next.
    lines: Vec<u8>,
    /// Bytes of `lines` that are written.
    written: usize,
    /// Since the last write failed: when the next one is tried.
    retry_at: Option<Instant>,
}

fn open(destination: &Destination) -> io::Result<File> {
    match destination {
        // Not through std's buffer: it would keep bytes of a write that it reported as failed.
        Destination::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        // A pipe without a reader would otherwise make its opener wait for one.
        Destination::File(path) => {
            let mut options = OpenOptions::new();
            options.create(true).append(true).custom_flags(libc::O_NONBLOCK).open(path)
        }
    }
}

/// True for a named pipe without a reader (open(2)).
fn is_for_want_of_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENXIO)
}

impl Output {
    pub(super) fn open(destination: Destination) -> io::Result<Self> {
        let (file, retry_at) = match open(&destination) {
            Ok(file) => (Some(file), None),
            Err(error) if is_for_want_of_reader(&error) => {
                tracing::warn!(
                    "the pipe of the access log has no reader: start one; records wait as \
                     far as `queue` goes, further ones are dropped and counted"
                );
                (None, Some(Instant::now()))
            }
            Err(error) => return Err(error),
        };
        Ok(Self { destination, file, lines: Vec::new(), written: 0, retry_at })
    }

    /// Opens the file anew by its path; if that fails, the old one stays in use.
    pub(super) fn reopen(&mut self) {
        match open(&self.destination) {
            Ok(file) => self.replace(file),
            Err(error) => tracing::warn!(
                %error,
                "the access log cannot be opened anew; it goes on in the file that is open"
            ),
        }
        self.hurry();
    }

    /// Continues in a file. Another file than before has no part yet of a partly written line.
    fn replace(&mut self, file: File) {
        let identity = |file: &File| file.metadata().map(|data| (data.dev(), data.ino())).ok();
        let is_other = self.file.as_ref().and_then(identity) != identity(&file);
        self.file = Some(file);
        if is_other {
            let ends = self.lines[..self.written].iter().rposition(|byte| *byte == b'\n');
            self.written = ends.map_or(0, |end| end + 1);
        }
    }

    /// Ends the pause before the next try.
    pub(super) fn hurry(&mut self) {
        self.retry_at = self.retry_at.map(|_| Instant::now());
    }

    /// Bytes that are still to be written.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.lines.len() - self.written
    }

    /// Adds what `write` writes, which is a line.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        write(&mut self.lines).expect("memory takes all");
    }

    /// True if it is time to write.
    pub(super) fn is_ready(&self) -> bool {
        self.retry_at.is_none_or(|retry_at| retry_at <= Instant::now())
    }

    /// Writes the waiting lines. Logs once that this fails, and once that it succeeds again.
    pub(super) fn write(&mut self) {
        if self.retry_at.is_some()
            && let Ok(file) = open(&self.destination)
        {
            self.replace(file);
        }
        match self.write_lines() {
            Ok(()) => {
                if self.retry_at.take().is_some() {
                    tracing::warn!("the access log is written again");
                }
            }
            Err(error) => {
                if self.retry_at.is_none() {
                    tracing::error!(
                        %error,
                        "the access log cannot be written: make room for it, read it, or mend its \
                         path; records wait as far as `queue` goes, further ones are dropped and \
                         counted"
                    );
                }
                self.retry_at = Some(Instant::now() + RETRY_AFTER);
            }
        }
    }

    fn write_lines(&mut self) -> io::Result<()> {
        let result = self.write_some();
        // A partly written line stays in `lines`: another file would need all of it.
        let ends = self.lines[..self.written].iter().rposition(|byte| *byte == b'\n');
        let whole = ends.map_or(0, |end| end + 1);
        self.lines.drain(..whole);
        self.written -= whole;
        result
    }

    fn write_some(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(ErrorKind::NotConnected.into());
        };
        let mut blocked_since = None;
        while self.written < self.lines.len() {
            match file.write(&self.lines[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    self.written += bytes;
                    blocked_since = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process that shares the pipe may have made it non-blocking; its reader
                // may only be slow.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let since = *blocked_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= RETRY_AFTER {
                        return Err(error);
                    }
                    std::thread::sleep(PIPE_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The process ends: logs how many records are lost, with `others` that were never added.
    pub(super) fn end(self, others: usize) {
        let lines = self.lines[self.written..].iter().filter(|byte| **byte == b'\n').count();
        let lost = lines + others;
        if lost > 0 {
            tracing::error!(lost, "the last records of the access log could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_short_is_whole_in_the_file_that_has_its_end() {
        let folder = std::env::temp_dir().join(format!("ringway-output-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (path, renamed) = (folder.join("log"), folder.join("log.1"));
        let mut output = Output::open(Destination::File(path.clone())).expect("it opens");
        for is_renamed in [false, true] {
            output.add(|lines| lines.write_all(b"one\ntwo\n"));
            let file = output.file.as_mut().expect("it is open");
            output.written = file.write(b"one\nt").expect("a part of it");
            if is_renamed {
                std::fs::rename(&path, &renamed).expect("renamed");
            }
            output.reopen();
            output.write();
            assert_eq!(output.waiting_bytes(), 0);
            let text = std::fs::read_to_string(&path).expect("text");
            assert_eq!(text, if is_renamed { "two\n" } else { "one\ntwo\n" });
        }
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}
