//! Sizes. What takes long is small in a test, and as large as it should be in a drill: with
//! `RINGWAY_DRILLS` in the environment, the number of seconds that what has no end of its own
//! lasts. A drill prints what it measured as rows of a table; it judges only what is no time.

use std::time::Duration;

/// How long a drill lasts; none if nobody asked for drills.
pub fn duration() -> Option<Duration> {
    let seconds = std::env::var("RINGWAY_DRILLS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("RINGWAY_DRILLS is a number of seconds")))
}

/// How many of something: by the environment variable of this name, or `full` in a drill, or as
/// `usual`.
pub fn size(name: &str, usual: usize, full: usize) -> usize {
    let wanted = std::env::var(name).ok();
    let known = if duration().is_some() { full } else { usual };
    wanted.map_or(known, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Prints a row of the table of drills.
#[allow(clippy::print_stdout)] // It is what a drill is run for.
pub fn record(drill: &str, figure: &str, value: impl std::fmt::Display) {
    if duration().is_some() {
        // The harness may have left a line open.
        println!("\n| {drill} | {figure} | {value} |");
    }
}
