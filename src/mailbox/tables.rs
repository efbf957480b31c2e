//! Tables of counts with one writer, and their rows.
//!
//! Only the shard that owns a table may change it, so that counting is a load and a store. Rows are
//! allocated in blocks at their first use: a table for every possible backend costs only the rows
//! in use.

use super::idle::Idle;
use super::quota::Own;
use crate::stats::Latencies;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const BLOCK: usize = 64;

/// A counter with one writer.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.store(self.read().wrapping_add(count), Ordering::Relaxed);
    }

    /// Its value.
    #[inline]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A gauge of open things with one writer.
#[derive(Default)]
pub struct Level(AtomicU32);

impl Level {
    /// Adds one.
    #[inline]
    pub fn rise(&self) {
        self.set(self.read() + 1);
    }

    /// Takes one off.
    #[inline]
    pub fn fall(&self) {
        let level = self.read();
        debug_assert!(level > 0, "more ended than began");
        self.set(level.saturating_sub(1));
    }

    /// Its value.
    #[inline]
    pub fn read(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, level: u32) {
        self.0.store(level, Ordering::Relaxed);
    }
}

/// Answers by class of status.
#[derive(Default)]
pub struct Answers([Count; 5]);

impl Answers {
    /// Counts an answer.
    pub fn add(&self, status: u16) {
        self.0[usize::from(status / 100).clamp(1, 5) - 1].add(1);
    }

    /// Answers with a status of `class` hundred, 1 to 5.
    pub fn read(&self, class: usize) -> u64 {
        self.0[class - 1].read()
    }

    fn clear(&self) {
        self.0.iter().for_each(Count::clear);
    }
}

/// Bytes that were forwarded unread, as one side of them sees it.
#[derive(Default)]
pub struct Bytes {
    /// Received from clients, or from the backend.
    pub received: Count,
    /// Sent to clients, or to the backend.
    pub sent: Count,
}

impl Bytes {
    fn clear(&self) {
        self.received.clear();
        self.sent.clear();
    }
}

/// A shard's counts of a backend, on cache lines of their own. What other shards read is on the
/// first one.
#[derive(Default)]
#[repr(C, align(64))]
pub struct BackendCell {
    /// Exchanges.
    pub in_flight: Level,
    /// Connections to it, idle ones too.
    pub(super) connections: Own,
    /// Idle ones of them.
    pub idle: Idle,
    /// Its final answers, by class of status.
    pub answers: Answers,
    /// Successes: answers with another status than 502, 503 and 504.
    pub successes: Count,
    /// Failures: exchanges that failed by its fault, and answers of 502, 503 and 504.
    pub failures: Count,
    /// Connections that were made.
    pub connects: Count,
    /// Bytes that were forwarded unread.
    pub bytes: Bytes,
}

const _: () = assert!(size_of::<BackendCell>() == 128);

impl BackendCell {
    /// Connections to it, idle ones too.
    pub fn connections(&self) -> u32 {
        self.connections.read()
    }

    /// The shard has lost its connections and exchanges. Those connections are taken off their sum
    /// elsewhere.
    pub(super) fn reset(&self) {
        self.in_flight.set(0);
        self.idle.clear();
    }

    pub(super) fn clear(&self) {
        self.reset();
        self.answers.clear();
        self.successes.clear();
        self.failures.clear();
        self.connects.clear();
        self.bytes.clear();
    }
}

/// A shard's counts of a pool.
#[derive(Default)]
#[repr(align(64))]
pub struct PoolCell {
    /// Latencies, from a request's head to the end of its response.
    pub latencies: Latencies,
    /// Requests for which no backend was available.
    pub unserved: Count,
}

impl PoolCell {
    pub(super) fn clear(&self) {
        self.latencies.clear();
        self.unserved.clear();
    }
}

/// A shard's counts of a route.
#[derive(Default)]
#[repr(align(64))]
pub struct RouteCell {
    /// Requests that it matched.
    pub requests: Count,
    /// Connections that it matched, whose bytes are forwarded unread.
    pub connections: Count,
    /// Their final answers, of backends and of Ringway itself.
    pub answers: Answers,
}

impl RouteCell {
    pub(super) fn clear(&self) {
        self.requests.clear();
        self.connections.clear();
        self.answers.clear();
    }
}

/// A shard's counts of a listener.
#[derive(Default)]
#[repr(align(64))]
pub struct ListenerCell {
    /// Accepted connections that became sessions.
    pub accepted: Count,
    /// Sessions that are open.
    pub(super) sessions: Own,
    /// Requests whose head was complete and valid.
    pub requests: Count,
    /// With UDP: datagrams from clients.
    pub datagrams_received: Count,
    /// With UDP: datagrams to clients.
    pub datagrams_sent: Count,
    /// With UDP: datagrams of clients and backends that were dropped, for any reason.
    pub datagrams_dropped: Count,
    /// Connections that were refused.
    pub refused: Count,
    /// Bytes that were forwarded unread.
    pub bytes: Bytes,
}

const _: () = assert!(size_of::<ListenerCell>() == 128);

impl ListenerCell {
    /// Sessions that are open.
    pub fn sessions(&self) -> u32 {
        self.sessions.read()
    }

    pub(super) fn clear(&self) {
        self.accepted.clear();
        self.requests.clear();
        self.datagrams_received.clear();
        self.datagrams_sent.clear();
        self.datagrams_dropped.clear();
        self.refused.clear();
        self.bytes.clear();
    }
}

/// Rows by number.
pub(super) struct Table<T> {
    blocks: Box<[OnceLock<Box<[T; BLOCK]>>]>,
}

impl<T: Default> Table<T> {
    pub(super) fn new(rows: usize) -> Self {
        Self { blocks: (0..rows.div_ceil(BLOCK)).map(|_| OnceLock::new()).collect() }
    }

    /// A row, allocated if it was not there.
    #[inline]
    pub(super) fn at(&self, index: usize) -> &T {
        let block = self.blocks[index / BLOCK]
            .get_or_init(|| Box::new(std::array::from_fn(|_| T::default())));
        &block[index % BLOCK]
    }

    /// A row, if it is there.
    #[inline]
    pub(super) fn peek(&self, index: usize) -> Option<&T> {
        Some(&self.blocks.get(index / BLOCK)?.get()?[index % BLOCK])
    }

    /// The numbers of the rows that are there.
    pub(super) fn existing_rows(&self) -> impl Iterator<Item = usize> {
        let blocks = self.blocks.iter().enumerate();
        let existing = blocks.filter(|(_, block)| block.get().is_some());
        existing.flat_map(|(block, _)| block * BLOCK..(block + 1) * BLOCK)
    }
}
