//! Which pool answers a request: host and path prefix to a target, the most specific wins. Does
//! not: decode or normalise paths, know pools, allocate per lookup.

mod hosts;
mod paths;
mod pattern;
mod table;
#[cfg(test)]
mod tests;

pub use pattern::{HostPattern, check_path_prefix};
pub use table::RouteTable;
