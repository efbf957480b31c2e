//! The thread that writes.

use super::format::wall_clock_ms;
use super::{Format, Record};
use crossbeam::queue::ArrayQueue;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the thread sleeps when there is nothing to write: nobody has to wake it.
const NAP: Duration = Duration::from_millis(50);
/// How long the process waits at its end for what is left to be written.
const ENDING_MAX: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

struct Shared {
    queue: ArrayQueue<(u64, Record)>,
    is_ending: AtomicBool,
}

/// Leaves records. Cheap to clone; one for each shard.
#[derive(Clone)]
pub struct Sender(Arc<Shared>);

/// Ends the thread when dropped, after it has written what was left.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    /// Leaves a record; false if there was no room for it.
    pub fn push(&self, record: Record) -> bool {
        self.0.queue.push((wall_clock_ms(), record)).is_ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        let until = Instant::now() + ENDING_MAX;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(NAP / 10);
        }
        if !thread.is_finished() {
            // Whoever should read does not; the process must end all the same.
            tracing::error!("the end of the access log could not be written in time");
        }
    }
}

/// Opens the destination and starts the thread. `queue` is the number of records that may wait.
///
/// # Errors
/// If the file cannot be opened, or the thread not be started.
pub fn start(
    destination: &Destination,
    format: Format,
    queue: usize,
) -> io::Result<(Sender, Writer)> {
    let out: Box<dyn Write + Send> = match destination {
        Destination::Stdout => Box::new(io::stdout()),
        Destination::File(path) => {
            Box::new(OpenOptions::new().create(true).append(true).open(path)?)
        }
    };
    let shared =
        Arc::new(Shared { queue: ArrayQueue::new(queue), is_ending: AtomicBool::new(false) });
    let of_thread = shared.clone();
    let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || {
        if let Err(error) = write_all(&of_thread, format, out) {
            tracing::error!(%error, "the access log cannot be written; records are dropped");
            // Keeps the queue from filling for ever with records that nobody will write.
            while !of_thread.is_ending.load(Ordering::Acquire) {
                while of_thread.queue.pop().is_some() {}
                std::thread::sleep(NAP);
            }
        }
    })?;
    Ok((Sender(shared.clone()), Writer { shared, thread: Some(thread) }))
}

fn write_all(shared: &Shared, format: Format, out: Box<dyn Write + Send>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    loop {
        let is_ending = shared.is_ending.load(Ordering::Acquire);
        while let Some((time_ms, record)) = shared.queue.pop() {
            format.write(&record, time_ms, &mut out)?;
        }
        out.flush()?;
        if is_ending {
            return Ok(());
        }
        std::thread::sleep(NAP);
    }
}
