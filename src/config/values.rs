//! Single values with their limits, in the syntax of the file and of the command line. Errors are
//! sentences for the user.

pub use super::addresses::{
    check_backend_address, check_total_weight, parse_address, parse_admin_address,
    parse_backend_entry, parse_host_name, parse_listen_address, parse_service_name,
    parse_weighted_backend, reached,
};
pub use super::sections::parse_protocol;
use super::sections::{LogPath, ShardsChoice, StateFile};
use super::units::{parse_count, parse_duration, parse_size, print_duration, print_size};
use crate::balance::is_prime;
use crate::limits::{
    BUFFER_BYTES_MAX, BUFFER_BYTES_MIN, BUFFERS_PER_SHARD_MAX, BUFFERS_PER_SHARD_MIN,
    RING_ENTRIES_MAX, RING_ENTRIES_MIN, SHARDS_MAX,
};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Highest number of a core, far above the limit of Linux.
const CORE_MAX: usize = 8191;

/// Most client connections that may be configured: each needs two descriptors.
pub const MAX_CONNECTIONS_RANGE: RangeInclusive<usize> = 1..=10_000_000;
/// Bytes of one buffer.
pub(super) const BUFFER_SIZE_RANGE: RangeInclusive<usize> = BUFFER_BYTES_MIN..=BUFFER_BYTES_MAX;
/// Buffers in the receive ring of a shard.
pub const BUFFERS_PER_SHARD_RANGE: RangeInclusive<usize> =
    BUFFERS_PER_SHARD_MIN..=BUFFERS_PER_SHARD_MAX;
/// Entries of the submission queue of a shard.
pub const RING_ENTRIES_RANGE: RangeInclusive<u32> = RING_ENTRIES_MIN..=RING_ENTRIES_MAX;

const TIMEOUT_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(7 * 24 * 3600);

/// The bounds of an interval. A shorter one would be a load of its own on the backends.
/// The default of `keepalive` of listeners and pools: a peer that vanished is found within two
/// minutes, and no device on the way forgets a connection that rests.
pub const KEEPALIVE_DEFAULT: Duration = Duration::from_secs(60);
/// The kernel takes at most 32,767 s (linux/tcp.h, `MAX_TCP_KEEPIDLE`).
const KEEPALIVE_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(9 * 3600);
pub(super) const INTERVAL_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(10)..=*TIMEOUT_RANGE.end();

/// Characters of a name that the user chooses.
pub(super) const NAME_LENGTH_MAX: usize = 64;

/// The length of `sun_path` (unix(7)), without the zero at its end.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The number, if it is a power of two.
pub fn check_power_of_two(count: u64) -> Result<(), String> {
    if count.is_power_of_two() {
        return Ok(());
    }
    let above = count.next_power_of_two();
    Err(format!("{count} is not a power of two: did you mean {} or {above}?", above / 2))
}

/// # Errors
/// The next prime numbers within the range.
pub fn check_prime(count: u32, range: &RangeInclusive<u32>) -> Result<(), String> {
    if is_prime(count) {
        return Ok(());
    }
    let below = (*range.start()..count).rev().find(|number| is_prime(*number));
    let above = (count..=*range.end()).find(|number| is_prime(*number));
    let close: Vec<String> = [below, above].iter().flatten().map(u32::to_string).collect();
    Err(format!("{count} is not a prime number: did you mean {}?", close.join(" or ")))
}

/// `auto`, a number of shards, or a list of cores as `0-3,8`.
pub fn parse_shards(text: &str) -> Result<ShardsChoice, String> {
    let malformed = || {
        format!(
            "`{text}` does not say which shards: write \"auto\", a number, or cores as \"0-3,8\""
        )
    };
    if text == "auto" {
        return Ok(ShardsChoice::Auto);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_count(text, 1..=SHARDS_MAX).map(ShardsChoice::Count);
    }
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| malformed())?;
        let last: usize = last.trim().parse().map_err(|_| malformed())?;
        if first > last {
            let turned = format!("{last}-{first}");
            return Err(format!("the range `{part}` runs backwards: write \"{turned}\""));
        }
        if last > CORE_MAX {
            return Err(format!("`{part}` is not a range of cores: they go from 0 to {CORE_MAX}"));
        }
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    if let Some(twice) = cores.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("`{text}` has core {} twice", twice[0]));
    }
    if cores.len() > SHARDS_MAX {
        return Err(format!("`{text}` has {} cores: at most {SHARDS_MAX} shards", cores.len()));
    }
    Ok(ShardsChoice::Cores(cores))
}

/// Bytes within a range.
pub fn parse_size_in(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let bytes = parse_size(text)?;
    if range.contains(&bytes) {
        return Ok(bytes);
    }
    let (least, most) = (print_size(*range.start()), print_size(*range.end()));
    Err(format!("{text} is out of range: it goes from {least} to {most}"))
}

/// Bytes of one buffer.
pub fn parse_buffer_size(text: &str) -> Result<usize, String> {
    let (least, most) = (*BUFFER_SIZE_RANGE.start() as u64, *BUFFER_SIZE_RANGE.end() as u64);
    parse_size_in(text, least..=most).map(|bytes| bytes as usize)
}

/// A timeout. Zero is refused: some take it for "never", others for "at once".
pub fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text)?;
    if timeout.is_zero() {
        return Err(format!(
            "`{text}` is no timeout: for none in practice write a long one, \"7d\""
        ));
    }
    check_range(text, timeout, &TIMEOUT_RANGE).map(|()| timeout)
}

/// A duration that may be zero.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text)?;
    check_range(text, span, &(Duration::ZERO..=*TIMEOUT_RANGE.end())).map(|()| span)
}

/// The time after which a silent connection is probed; zero: never.
pub fn parse_keepalive(text: &str) -> Result<Duration, String> {
    let idle = parse_duration(text)?;
    if idle.is_zero() || (KEEPALIVE_RANGE.contains(&idle) && idle.subsec_nanos() == 0) {
        return Ok(idle);
    }
    let (least, most) = (KEEPALIVE_RANGE.start(), KEEPALIVE_RANGE.end());
    let (least, most) = (print_duration(*least), print_duration(*most));
    Err(format!(
        "`{text}` is out of range: it goes from {least} to {most} in whole seconds, or is \"0s\" \
         for never"
    ))
}

/// An interval, a window or a length of an ejection: never zero.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    check_range(text, interval, &INTERVAL_RANGE).map(|()| interval)
}

fn check_range(
    text: &str,
    duration: Duration,
    range: &RangeInclusive<Duration>,
) -> Result<(), String> {
    if range.contains(&duration) {
        return Ok(());
    }
    let (least, most) = (print_duration(*range.start()), print_duration(*range.end()));
    Err(format!("`{text}` is out of range: it goes from {least} to {most}"))
}

/// A path; empty: none.
pub fn parse_path(text: &str) -> Result<Option<PathBuf>, String> {
    if text.contains('\0') {
        return Err(format!("`{}` is not a path", text.escape_debug()));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

/// The path of a Unix socket; empty: none.
pub fn parse_socket_path(text: &str) -> Result<Option<PathBuf>, String> {
    if text.len() > SOCKET_PATH_BYTES_MAX {
        let length = text.len();
        return Err(format!(
            "this path of a Unix socket has {length} bytes: at most {SOCKET_PATH_BYTES_MAX}"
        ));
    }
    parse_path(text)
}

/// `stdout` or the path of a file.
pub fn parse_log_path(text: &str) -> Result<LogPath, String> {
    match text {
        "stdout" => Ok(LogPath::Stdout),
        text => {
            let empty = || "the path is empty: write \"stdout\" or a file".to_owned();
            parse_path(text)?.map(LogPath::File).ok_or_else(empty)
        }
    }
}

/// `none`, a file, or empty. A file of that name is `./none`.
pub fn parse_state_file(text: &str) -> Result<StateFile, String> {
    match text {
        "none" => Ok(StateFile::None),
        text => Ok(parse_path(text)?.map_or(StateFile::Given, StateFile::At)),
    }
}

/// A name that the user chose: it appears in metrics and commands.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let shown = name.escape_debug();
    let most = NAME_LENGTH_MAX;
    Err(format!("`{shown}` is not a name: use 1 to {most} letters, digits, `-` or `_`"))
}

/// A token (RFC 9110, 5.6.2).
pub fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}
