//! The allocator of the tests: the system's, which counts by thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
    static FREED: Cell<u64> = const { Cell::new(0) };
}

/// See the module.
pub struct CountingAllocator;

/// Allocations of this thread so far.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Bytes that this thread has allocated so far.
pub fn allocated_bytes() -> u64 {
    BYTES.get()
}

/// Bytes that this thread has allocated so far, less those that it has freed.
pub fn held_bytes() -> i64 {
    BYTES.get() as i64 - FREED.get() as i64
}

fn add(count: &Cell<u64>, more: usize) {
    count.set(count.get() + more as u64);
}

// JUSTIFICATION: only an allocator can count allocations.
// SAFETY: everything is passed on to the system's allocator as it comes.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| add(count, 1));
        let _ = BYTES.try_with(|bytes| add(bytes, layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = FREED.try_with(|bytes| add(bytes, layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
