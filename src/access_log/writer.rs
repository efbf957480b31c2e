//! The thread that writes. While it cannot, records wait in their bounded queue, and it tries
//! again.

use super::format::wall_clock_ms;
use super::output::Output;
use super::{Format, Record};
use crossbeam::queue::ArrayQueue;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the thread sleeps when there is nothing to write: shards need not wake it.
const NAP: Duration = Duration::from_millis(50);
/// How long the process waits at its end for the last records to be written.
const ENDING_MAX: Duration = Duration::from_secs(2);
/// Bytes of lines that are written at once.
const BATCH_BYTES: usize = 64 * 1024;

/// The destination of the lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

struct Shared {
    queue: ArrayQueue<(u64, Record)>,
    wants_reopening: AtomicBool,
    is_ending: AtomicBool,
}

/// The sending end of the queue. Cheap to clone; one for each shard.
#[derive(Clone)]
pub struct Sender(Arc<Shared>);

/// The receiving end of the queue.
pub struct Records(Arc<Shared>);

/// A queue for so many records that wait.
pub fn queue(records: usize) -> (Sender, Records) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(records),
        wants_reopening: AtomicBool::new(false),
        is_ending: AtomicBool::new(false),
    });
    (Sender(shared.clone()), Records(shared))
}

impl Records {
    /// The oldest record that waits, with the time at which it was pushed: milliseconds of the
    /// wall clock.
    pub fn pop(&self) -> Option<(u64, Record)> {
        self.0.queue.pop()
    }
}

/// Ends the thread when dropped, after it has written the records left.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    /// Adds a record to the queue; false if there was no room for it.
    pub fn push(&self, record: Record) -> bool {
        self.0.queue.push((wall_clock_ms(), record)).is_ok()
    }

    /// Lets the thread open its file anew, by the same path: the old one was renamed. Standard
    /// output stays what it is.
    pub fn reopen(&self) {
        self.0.wants_reopening.store(true, Ordering::Release);
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
            // The reader of a pipe does not read; the process must end all the same.
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
    let output = Output::open(destination.clone())?;
    let (sender, records) = self::queue(queue);
    let shared = sender.0.clone();
    let thread = std::thread::Builder::new().name("access-log".into());
    let thread = thread.spawn(move || run(&records, format, output))?;
    Ok((sender, Writer { shared, thread: Some(thread) }))
}

fn run(records: &Records, format: Format, mut output: Output) {
    let shared = &records.0;
    loop {
        let is_ending = shared.is_ending.load(Ordering::Acquire);
        if shared.wants_reopening.swap(false, Ordering::AcqRel) {
            output.reopen();
        }
        if is_ending {
            output.hurry();
        }
        while output.is_ready() && fill(&mut output, records, format) {
            output.write();
        }
        if is_ending {
            return output.end(shared.queue.len());
        }
        std::thread::sleep(NAP);
    }
}

/// Takes as many records as one write should carry; false if there are none.
fn fill(output: &mut Output, records: &Records, format: Format) -> bool {
    while output.waiting_bytes() < BATCH_BYTES {
        let Some((time_ms, record)) = records.pop() else { break };
        output.add(|lines| format.write(&record, time_ms, lines));
    }
    output.waiting_bytes() > 0
}
