//! From text to a checked [`Config`]: TOML or JSON in, typed values out, or every error at once
//! with its place and remedy. Does not: read files, inspect the machine, start anything.

mod addresses;
mod backends_file;
mod choices;
mod diagnostics;
mod digest;
mod endpoint;
mod foreign;
mod hsts;
mod keys;
mod loops;
mod model;
mod network;
mod paths;
mod printing;
mod quick;
mod raw;
mod reading;
mod sections;
mod server_names;
mod source;
#[cfg(test)]
mod tests;
mod text;
mod tls_files;
pub mod units;
pub mod values;

pub use backends_file::parse_backends_file;
pub use choices::{
    AcmeChallenge, AcmeKeyType, AcmeRole, BackendHttp, Choice, ClientCertificate, Connect,
    HalfClose, LogFormat, NoHealthy, NoSni, NotTls, ProbeProtocol, ProcessLogFormat, Protocol,
    ProxyHeader, ProxyProtocol, ProxyTlv, Steering, UnknownSni, unknown_word,
};
pub use diagnostics::{Diagnostics, Problem};
pub use digest::Digest;
pub use endpoint::{Endpoint, Transport};
pub use hsts::Hsts;
pub use model::{Config, ListenerIndex, PoolIndex, PoolUses};
pub use network::IpNetwork;
pub use printing::{PrintedKey, PrintedSection};
pub use raw::WrittenKeys;
pub use reading::{Loader, TextFormat};
pub use sections::{
    ADMIN_SOCKET_DEFAULT, AccessLog, Acme, AcmeIndex, Admin, Backend, BackendEntry, BackendName,
    Body, Certificate, ClientCertificates, ErrorAnswer, FlowRules, Http, Http2, HttpProbe,
    IDLE_CONNECTIONS_DEFAULT, Listener, LogPath, Lookup, MacKey, Pool, PoolTls, Probe, ProbeKind,
    Route, Runtime, ShardsChoice, StateFile, Timeouts, Tls, TlsProbe, load_trust, parse_fetched,
    parse_ticket_keys,
};
pub use server_names::{Alternatives, Clash, ServerNames};
pub use source::PoolSource;
pub use text::{text_of, unmarked};
pub use tls_files::{TlsContent, TlsFiles};

/// Most bytes of a file that the configuration names: the longest are bundles of certificates, and
/// lists of the greatest number of backends.
pub const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of the content of an [`ErrorAnswer`]: it must be sent with its head in one piece.
pub const ERROR_ANSWER_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a backend's answer to a probe that are searched.
pub const PROBE_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Statuses that Ringway answers with itself.
pub const ERROR_ANSWER_STATUSES: [u16; 14] =
    [400, 404, 405, 408, 413, 414, 417, 421, 431, 501, 502, 503, 504, 505];
