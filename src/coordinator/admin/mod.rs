//! How operators and monitors speak to the process: HTTP and JSON over a Unix socket, which takes
//! orders, and over a TCP address, which only answers questions.
//!
//! `server` accepts and checks who asks, `places` makes room, `bounded` gives up who does not read,
//! `routing` finds what is asked for, `status`, `metrics` (a folder), `readiness` and
//! `explain` answer questions, `overview` does so without keeping others waiting, `orders` follows
//! orders, `config_text` knows the formats of a configuration. Does not: lock anything of the data
//! path; wait, but for shards to apply an order.

mod bounded;
mod config_text;
mod explain;
mod metrics;
mod orders;
mod overview;
mod places;
mod readiness;
mod reply;
mod routing;
mod server;
mod status;

pub use orders::APPLY_MAX;
pub(crate) use orders::refused_status;
pub(crate) use readiness::is_alive;
pub use server::{Admin, AdminError, bind};
