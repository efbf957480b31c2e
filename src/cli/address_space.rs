//! Whether a limit of address space leaves room to run: below it an allocation that fails would
//! end the process somewhere, without a word that helps.

use ringway::sys::rlimit::{Resource, limit};
use std::error::Error;

/// Address space of the program, its libraries and what the allocator reserves, bytes; with a
/// margin, as it was found by trying.
const OF_PROCESS: u64 = 256 << 20;
/// The same of each shard's thread: its stack, its part of the allocator, its smallest ring and
/// buffers. Larger ones are made smaller where there is no room for them.
const OF_SHARD: u64 = 64 << 20;

/// Fails if the limit (getrlimit(2), `RLIMIT_AS`) is too low for so many shards.
///
/// # Errors
/// A sentence that says how much it takes and what to do.
pub(super) fn check(shards: usize) -> Result<(), Box<dyn Error>> {
    let (soft, _) = limit(Resource::AddressSpace)?;
    refusal(soft, shards).map_or(Ok(()), |why| Err(why.into()))
}

fn refusal(limit: u64, shards: usize) -> Option<String> {
    let needed = OF_PROCESS + OF_SHARD * shards as u64;
    let shards = if shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") };
    let (has, takes) = (limit >> 20, needed >> 20);
    (limit < needed).then(|| {
        format!(
            "the limit of address space (RLIMIT_AS) is {has} MiB, and it takes {takes} MiB to \
             start with {shards}: raise it (systemd: LimitAS=infinity; shell: ulimit -v \
             unlimited) or lower --shards; systemd's MemoryMax limits memory itself"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_little_is_told_with_what_it_takes() {
        for (limit, shards, told) in [
            (u64::MAX, 256, None),
            (384 << 20, 2, None),
            ((384 << 20) - 1, 2, Some("is 383 MiB, and it takes 384 MiB to start with 2 shards")),
            (100 << 20, 1, Some("is 100 MiB, and it takes 320 MiB to start with 1 shard:")),
        ] {
            let refused = refusal(limit, shards);
            match told {
                None => assert_eq!(refused, None),
                Some(part) => assert!(refused.is_some_and(|why| why.contains(part)), "{part}"),
            }
        }
    }
}
