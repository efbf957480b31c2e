//! Anonymous memory straight from the kernel: page-aligned, zeroed, backed only where touched.
//!
//! Huge pages are asked for: bodies are copied by the kernel to and from this memory, and with
//! small pages a tenth of that time goes into looking addresses up. It is advice: where
//! `/sys/kernel/mm/transparent_hugepage/enabled` says `never`, pages stay small.

use std::io;
use std::ptr::NonNull;

/// Maps `bytes` of zeroed memory. It is never given back: the kernel may hold its address in
/// operations that outlive their ring, and a shard lives as long as the process.
pub fn map_forever(bytes: usize) -> io::Result<NonNull<u8>> {
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
    // SAFETY: advice about a mapping that was just made; it changes no content. The answer does
    // not matter: a kernel without huge pages serves as well.
    unsafe { libc::madvise(address, bytes, libc::MADV_HUGEPAGE) };
    NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mmap gave a null address"))
}
