//! Anonymous memory straight from the kernel: page-aligned, zeroed, backed only where touched.
//!
//! Huge pages are asked for where bodies lie: they are copied by the kernel to and from this
//! memory, and with small pages a tenth of that time goes into looking addresses up. It is advice:
//! where `/sys/kernel/mm/transparent_hugepage/enabled` says `never`, pages stay small.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;

/// The smallest page. Where a page has more bytes, less is given back.
const PAGE_BYTES: usize = 4096;

/// In which pages memory is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Of 2 MiB where the kernel has such: for what is large and is copied often.
    Huge,
    /// As the system has it: for what is small, where a touched byte would back 2 MiB.
    Usual,
}

/// Memory that stays mapped as long as the process runs.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

/// Maps `bytes` of zeroed memory. It is never unmapped: the kernel may hold its address in
/// operations that outlive their ring, and a shard lives as long as the process.
///
/// # Errors
/// If there is no memory, or a limit of address space is reached.
pub fn map_forever(bytes: usize, pages: Pages) -> io::Result<Mapping> {
    // JUSTIFICATION: the allocator neither aligns to pages nor leaves untouched pages unbacked.
    // SAFETY: an anonymous private mapping at an address of the kernel's choice aliases nothing.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    if pages == Pages::Huge {
        // SAFETY: advice about a mapping that was just made; it changes no content. The answer does
        // not matter: a kernel without huge pages serves as well.
        unsafe { libc::madvise(address, bytes, libc::MADV_HUGEPAGE) };
    }
    let start = NonNull::new(address.cast());
    let start = start.ok_or_else(|| io::Error::other("mmap gave a null address"))?;
    Ok(Mapping { start, bytes })
}

impl Mapping {
    /// The address of its first byte.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Gives the kernel the pages that lie in a range (bytes from the start) as a whole. They stay
    /// mapped, and are zero when they are touched again. Nobody may be reading or writing there,
    /// the kernel included.
    ///
    /// # Panics
    /// If the range does not lie in the mapping.
    pub fn give_back(&mut self, range: Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.bytes, "{range:?} is not mapped");
        let first = range.start.next_multiple_of(PAGE_BYTES);
        let end = range.end - range.end % PAGE_BYTES;
        if first >= end {
            return;
        }
        // JUSTIFICATION: std does not know pages.
        // SAFETY: the pages lie in this private mapping. Their bytes become zero, as if they were
        // written: whoever makes a reference to them by an unsafe block answers for its being the
        // only one. A failure leaves the pages as they are, which costs nothing but memory.
        unsafe {
            let address = self.start.as_ptr().add(first).cast();
            libc::madvise(address, end - first, libc::MADV_DONTNEED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_pages_are_given_back_and_they_are_zero_then() {
        let mut mapping = map_forever(4 * PAGE_BYTES, Pages::Usual).expect("memory");
        let start = mapping.start();
        let fill = || {
            // SAFETY: four pages are mapped, and nothing else refers to them.
            unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), 4 * PAGE_BYTES).fill(7) }
        };
        let zeroed = || {
            // SAFETY: as above.
            let all = unsafe { std::slice::from_raw_parts(start.as_ptr(), 4 * PAGE_BYTES) };
            all.chunks(PAGE_BYTES).map(|page| page.iter().all(|byte| *byte == 0)).collect()
        };
        for (range, expected) in [
            (0..4 * PAGE_BYTES, [true; 4]),
            (1..3 * PAGE_BYTES + 1, [false, true, true, false]),
            (PAGE_BYTES..2 * PAGE_BYTES - 1, [false; 4]),
            (5..5, [false; 4]),
        ] {
            fill();
            mapping.give_back(range.clone());
            let found: Vec<bool> = zeroed();
            assert_eq!(found, expected, "{range:?}");
        }
    }
}
