//! The interface for operators and monitors: HTTP and JSON over a Unix socket, which takes orders,
//! and over a TCP address, which is read-only.
//!
//! `server` accepts connections and checks users, `places` limits connections, `bounded` closes
//! those that do not read, `routing` dispatches requests, `status`, `metrics` (a folder),
//! `readiness`, `certificates` and `explain` answer questions, `routes` names routes, `overview`
//! answers without delaying others, `orders` applies orders, `config_text` has the formats of a
//! configuration. Does not: lock anything of the data path; wait, but for shards to apply an order.

mod bounded;
mod certificates;
mod config_text;
mod explain;
mod explain_certificate;
mod explain_connection;
mod metrics;
mod orders;
mod overview;
mod places;
mod readiness;
mod reply;
mod routes;
mod routing;
mod server;
mod status;
mod which;

pub use orders::APPLY_MAX;
pub(crate) use orders::refused_status;
pub(crate) use readiness::is_alive;
pub use server::{Admin, AdminError, bind};
