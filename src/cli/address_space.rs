//! Whether a limit of address space leaves room to run: with too little a failed allocation would
//! end the process later, without a helpful message.

use ringway::config::Runtime;
use ringway::sys::rlimit::{Resource, limit};
use std::error::Error;

/// With less than this part of what is enough, an allocation may fail in the middle of the start,
/// which would end the process without a message. Above it, where little is left the allocator
/// reserves less, and rings and buffers are made smaller.
const SHARE_OF_ENOUGH: u64 = 2;
/// Enough for the program, its libraries and what the allocator reserves for the threads that are
/// no shards.
const OF_PROCESS: u64 = 320 << 20;
/// Enough for a shard's stack, its part of the allocator and its ring, without buffers.
const OF_SHARD: u64 = 160 << 20;
/// Enough for the rows of a connection in tables, which are made at the start.
const OF_CONNECTION: u64 = 2 << 10;
/// Private buffers that a shard maps at the start.
const PRIVATE_BUFFERS: u64 = 64;

/// Fails if the limit (getrlimit(2), `RLIMIT_AS`) is too low for this number of shards.
///
/// # Errors
/// A sentence with a sufficient limit and the remedy.
pub(super) fn check(runtime: &Runtime, shards: usize) -> Result<(), Box<dyn Error>> {
    let (soft, _) = limit(Resource::AddressSpace)?;
    refusal(soft, runtime, shards).map_or(Ok(()), |why| Err(why.into()))
}

/// Bytes that are enough in any case.
fn enough(runtime: &Runtime, shards: usize) -> u64 {
    let buffers = runtime.buffers_per_shard.next_power_of_two() as u64 + PRIVATE_BUFFERS;
    let of_shard = OF_SHARD + buffers * runtime.buffer_size as u64;
    OF_PROCESS + of_shard * shards as u64 + OF_CONNECTION * runtime.max_connections as u64
}

fn refusal(limit: u64, runtime: &Runtime, shards: usize) -> Option<String> {
    let enough = enough(runtime, shards);
    let is_too_low = limit < enough / SHARE_OF_ENOUGH;
    let enough = enough.div_ceil(1 << 20);
    let shards = if shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") };
    let has = limit >> 20;
    is_too_low.then(|| {
        format!(
            "the limit of address space (RLIMIT_AS) is {has} MiB, too low to start with {shards}: \
             raise it to at least {enough} MiB, which is enough with these buffers and \
             max_connections, or leave it out (systemd: LimitAS=infinity; shell: ulimit -v \
             unlimited), or lower --shards; systemd's MemoryMax limits memory itself"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_little_is_told_with_what_is_enough() {
        let runtime = Runtime { max_connections: 9_000, ..Runtime::default() };
        for (limit, shards, told) in [
            (u64::MAX, 256, None),
            (400 << 20, 2, None),
            (300 << 20, 2, Some("is 300 MiB, too low to start with 2 shards: raise it to")),
            (40 << 20, 1, Some("is 40 MiB, too low to start with 1 shard: raise it to")),
        ] {
            let refused = refusal(limit, &runtime, shards);
            match told {
                None => assert_eq!(refused, None),
                Some(part) => assert!(refused.is_some_and(|why| why.contains(part)), "{part}"),
            }
        }
    }

    /// What processes without a limit were found to take at most, in MiB.
    #[test]
    fn what_is_told_is_enough() {
        let with = |max_connections| Runtime { max_connections, ..Runtime::default() };
        let many = Runtime { buffers_per_shard: 8_192, ..with(1_000) };
        let large = Runtime { buffer_size: 1 << 20, buffers_per_shard: 128, ..with(1_000) };
        for (runtime, shards, taken) in [
            (with(9_000), 1, 227),
            (with(9_000), 2, 311),
            (with(9_000), 4, 514),
            (with(9_000), 8, 945),
            (many, 4, 1_409),
            (large, 4, 1_134),
        ] {
            assert!(enough(&runtime, shards) >= taken << 20, "{shards} {taken}");
        }
    }
}
