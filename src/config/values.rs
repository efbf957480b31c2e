//! Single values with their limits, as the file and the flags of the command line write them.
//! Errors are sentences for the user.

use super::model::{Backend, LogPath, ShardsChoice};
use super::units::{parse_duration, parse_size, print_duration, print_size};
use crate::limits::{
    BUFFER_BYTES_MAX, BUFFER_BYTES_MIN, BUFFERS_PER_SHARD_MAX, BUFFERS_PER_SHARD_MIN,
    RING_ENTRIES_MAX, RING_ENTRIES_MIN, SHARDS_MAX, WEIGHT_MAX,
};
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Highest number of a core. Far above what Linux supports: it only bounds what is written.
const CORE_MAX: usize = 8191;

/// Most client connections that may be configured: each needs two descriptors.
pub const MAX_CONNECTIONS_RANGE: RangeInclusive<usize> = 1..=10_000_000;
/// Buffers in the receive ring of a shard.
pub const BUFFERS_PER_SHARD_RANGE: RangeInclusive<usize> =
    BUFFERS_PER_SHARD_MIN..=BUFFERS_PER_SHARD_MAX;
/// Entries of the submission queue of a shard.
pub const RING_ENTRIES_RANGE: RangeInclusive<u32> = RING_ENTRIES_MIN..=RING_ENTRIES_MAX;

const TIMEOUT_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(7 * 24 * 3600);

/// The number, if it is in the range.
pub fn parse_count<T>(text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + Display,
{
    let bounds = format!("it goes from {} to {}", range.start(), range.end());
    let count = text.parse().map_err(|_| format!("`{text}` is not a number: {bounds}"))?;
    if range.contains(&count) {
        Ok(count)
    } else {
        Err(format!("{count} is out of range: {bounds}"))
    }
}

/// The number, if it is a power of two.
pub fn check_power_of_two(count: u64) -> Result<(), String> {
    if count.is_power_of_two() {
        return Ok(());
    }
    let above = count.next_power_of_two();
    Err(format!("{count} is not a power of two: did you mean {} or {above}?", above / 2))
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
        if first > last || last > CORE_MAX {
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

/// Prints what [`parse_shards`] reads. A single core becomes a range, a number would be a count.
pub fn print_shards(shards: &ShardsChoice) -> String {
    match shards {
        ShardsChoice::Auto => "auto".to_owned(),
        ShardsChoice::Count(count) => count.to_string(),
        ShardsChoice::Cores(cores) => {
            let runs = cores.chunk_by(|a, b| a + 1 == *b);
            let printed: Vec<String> = runs
                .map(|run| match run {
                    [only] if cores.len() > 1 => only.to_string(),
                    run => format!("{}-{}", run[0], run[run.len() - 1]),
                })
                .collect();
            printed.join(",")
        }
    }
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
    parse_size_in(text, BUFFER_BYTES_MIN as u64..=BUFFER_BYTES_MAX as u64).map(|b| b as usize)
}

/// A timeout. Zero is refused: some take it for "never", others for "at once".
pub fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text)?;
    if timeout.is_zero() {
        return Err(format!(
            "`{text}` is no timeout: for none in practice write a long one, \"7d\""
        ));
    }
    if !TIMEOUT_RANGE.contains(&timeout) {
        let most = print_duration(*TIMEOUT_RANGE.end());
        return Err(format!("`{text}` is out of range: it goes from 1ms to {most}"));
    }
    Ok(timeout)
}

/// `IP:PORT` to listen on. Port 0 lets the kernel choose a port.
pub fn parse_listen_address(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(address),
        Err(_) => parse_address(text),
    }
}

/// `IP:PORT`, the port not 0.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(format!("`{text}` has port 0: give the port, from 1 to 65535")),
            _ => Ok(address),
        };
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Err(format!("`{text}` has no port: write \"{}\"", SocketAddr::new(ip, 8080)));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let (host, port) = if is_port(host) && port.is_empty() { ("", host) } else { (host, port) };
    if host.is_empty() && is_port(port) {
        return Err(format!(
            "`{text}` has no IP address: write \"0.0.0.0:{port}\" for all of them"
        ));
    }
    if host.parse::<IpAddr>().is_ok() {
        return Err(format!("`{text}`: `{port}` is not a port, they go from 1 to 65535"));
    }
    if host.contains(|c: char| c.is_ascii_alphabetic()) && !host.contains([':', '/', '[']) {
        return Err(format!(
            "`{text}`: host names are not supported in this version, write IP:PORT"
        ));
    }
    Err(format!("`{text}` is not an address: write IP:PORT, as in \"10.0.0.11:8080\""))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// `IP:PORT` or `IP:PORT*WEIGHT`.
pub fn parse_weighted_backend(text: &str) -> Result<Backend, String> {
    let (address, weight) = text.split_once('*').unwrap_or((text, "1"));
    let weight = parse_count(weight, 0..=WEIGHT_MAX).map_err(|error| format!("weight {error}"))?;
    Ok(Backend { address: parse_address(address)?, weight })
}

/// Refuses backends that together would get nothing.
pub fn check_total_weight(backends: &[Backend]) -> Result<(), String> {
    if backends.iter().all(|backend| backend.weight == 0) {
        return Err("every backend has weight 0: give one a weight of 1 or more".to_owned());
    }
    Ok(())
}

/// `stdout` or the path of a file.
pub fn parse_log_path(text: &str) -> Result<LogPath, String> {
    match text {
        "" => Err("the path is empty: write \"stdout\" or a file".to_owned()),
        "stdout" => Ok(LogPath::Stdout),
        path => Ok(LogPath::File(PathBuf::from(path))),
    }
}

/// A name that the user chose: it appears in metrics and commands.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let shown = name.escape_debug();
    Err(format!("`{shown}` is not a name: use 1 to 64 letters, digits, `-` or `_`"))
}

/// A token (RFC 9110, 5.6.2).
pub fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}
