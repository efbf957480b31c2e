//! The sections of the configuration, each in a file of its own: its values with their defaults,
//! the table of its keys, and the checks that concern several of them.

mod access_log;
mod admin;
mod backends;
mod certificates;
mod client_certificates;
mod ejection;
mod error_answers;
mod flows;
mod http;
mod http2;
mod http_probes;
mod listeners;
mod names;
mod pool_tls;
mod pools;
mod probe_bytes;
mod probes;
mod route;
mod routes;
mod runtime;
mod timeouts;
mod tls;

pub use access_log::{AccessLog, LogPath};
pub use admin::{ADMIN_SOCKET_DEFAULT, Admin};
pub use backends::{Backend, BackendEntry, BackendName, Lookup};
pub use certificates::{Certificate, parse_staple};
pub use client_certificates::{ClientCertificates, load_trust};
pub(super) use error_answers::error_answers;
pub use error_answers::{Body, ErrorAnswer};
pub use flows::FlowRules;
pub use http::Http;
pub use http_probes::{HttpProbe, TlsProbe};
pub use http2::Http2;
pub use listeners::{Listener, parse_protocol};
pub(super) use names::Seen;
pub use pool_tls::PoolTls;
pub(super) use pool_tls::load_authorities;
pub use pools::{IDLE_CONNECTIONS_DEFAULT, Pool};
pub use probes::{Probe, ProbeKind};
pub use route::Route;
pub(super) use routes::read_into as read_routing;
pub use runtime::{Runtime, ShardsChoice, StateFile};
pub use timeouts::Timeouts;
pub use tls::{Tls, parse_ticket_keys};
