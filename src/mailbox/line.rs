//! State that several shards read and write, on cache lines of its own: what a shard writes in
//! every turn or for every request lies elsewhere. Unit tests count the lines that are touched.

use crossbeam::utils::CachePadded;
use std::ops::Deref;

/// A value that other shards read or write too, on a line of its own.
#[derive(Default)]
pub(super) struct Line<T>(CachePadded<T>);

impl<T> Deref for Line<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        touch(&*self.0)
    }
}

/// The same cell, whose line a unit test counts.
#[inline]
pub(super) fn touch<T>(cell: &T) -> &T {
    #[cfg(test)]
    counting::touched(std::ptr::from_ref(cell).addr() / 64);
    cell
}

#[cfg(test)]
pub use counting::lines_touched;

#[cfg(test)]
mod counting {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static TOUCHED: RefCell<BTreeSet<usize>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn touched(line: usize) {
        TOUCHED.with_borrow_mut(|lines| lines.insert(line));
    }

    /// The result of `act`, and the number of different lines that it touches and other threads
    /// write, those inside of queues not counted.
    pub fn lines_touched<R>(act: impl FnOnce() -> R) -> (R, usize) {
        TOUCHED.with_borrow_mut(BTreeSet::clear);
        let result = act();
        (result, TOUCHED.with_borrow(BTreeSet::len))
    }
}
