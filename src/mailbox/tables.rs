//! Tables of counts with one writer, and their rows.
//!
//! Only the shard that a table belongs to may change it, so that counting is a load and a store.
//! Rows come to be in blocks when they are first used: a table for every backend that there may
//! ever be costs nothing but what is used.

use crate::stats::Latencies;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const BLOCK: usize = 64;

/// A growing count with one writer.
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

/// A number of things that are open, with one writer.
#[derive(Default)]
pub struct Level(AtomicU32);

impl Level {
    /// One more.
    #[inline]
    pub fn rise(&self) {
        self.set(self.read() + 1);
    }

    /// One less.
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

/// What a shard counts of a backend. One cache line of its own.
#[derive(Default)]
#[repr(align(64))]
pub struct BackendCell {
    /// Exchanges.
    pub in_flight: Level,
    /// Connections to it, idle ones too.
    pub connections: Level,
    /// Final answers that it gave, by class.
    pub answers: Answers,
    /// Answers but those of 502, 503 and 504.
    pub successes: Count,
    /// Exchanges that failed by its fault, and answers of 502, 503 and 504.
    pub failures: Count,
}

const _: () = assert!(size_of::<BackendCell>() == 64);

impl BackendCell {
    pub(super) fn clear(&self) {
        self.in_flight.set(0);
        self.connections.set(0);
        self.answers.clear();
        self.successes.clear();
        self.failures.clear();
    }
}

/// What a shard counts of a pool.
#[derive(Default)]
#[repr(align(64))]
pub struct PoolCell {
    /// From a request's head to the end of its response.
    pub latencies: Latencies,
    /// Requests that found no backend.
    pub unserved: Count,
}

impl PoolCell {
    pub(super) fn clear(&self) {
        self.latencies.clear();
        self.unserved.clear();
    }
}

/// What a shard counts of a route.
#[derive(Default)]
#[repr(align(64))]
pub struct RouteCell {
    /// Requests that it matched.
    pub requests: Count,
    /// Their final answers, wherever they came from.
    pub answers: Answers,
}

impl RouteCell {
    pub(super) fn clear(&self) {
        self.requests.clear();
        self.answers.clear();
    }
}

/// What a shard counts of a listener.
#[derive(Default)]
#[repr(align(64))]
pub struct ListenerCell {
    /// Connections that became sessions.
    pub accepted: Count,
    /// Sessions that are open.
    pub sessions: Level,
    /// Requests whose head was whole and well.
    pub requests: Count,
}

impl ListenerCell {
    pub(super) fn clear(&self) {
        self.accepted.clear();
        self.sessions.set(0);
        self.requests.clear();
    }
}

/// Rows by number.
pub(super) struct Table<T> {
    blocks: Box<[OnceLock<Box<[T]>>]>,
}

impl<T: Default> Table<T> {
    pub(super) fn new(rows: usize) -> Self {
        Self { blocks: (0..rows.div_ceil(BLOCK)).map(|_| OnceLock::new()).collect() }
    }

    /// A row, which comes to be if it was not there.
    #[inline]
    pub(super) fn at(&self, index: usize) -> &T {
        let block = self.blocks[index / BLOCK]
            .get_or_init(|| std::iter::repeat_with(T::default).take(BLOCK).collect());
        &block[index % BLOCK]
    }

    /// A row, if it is there.
    #[inline]
    pub(super) fn peek(&self, index: usize) -> Option<&T> {
        Some(&self.blocks.get(index / BLOCK)?.get()?[index % BLOCK])
    }

    pub(super) fn existing(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().filter_map(OnceLock::get).flat_map(|block| block.iter())
    }
}
