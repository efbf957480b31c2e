//! Probes: their part of the checked configuration.

use super::choices::{ProbeProtocol, ProxyProtocol};
use crate::health::ProbeRules;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// `[pool.NAME.health]` or `[pool.NAME.readiness]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// The kind of probe.
    pub kind: ProbeKind,
    /// Intervals and thresholds.
    pub rules: ProbeRules,
    /// Probed instead of the backend's own port.
    pub port: Option<u16>,
    /// Sent before everything else.
    pub proxy_protocol: ProxyProtocol,
}

/// The question of a probe, and the condition of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProbeKind {
    /// Nothing: the backend counts as up.
    None,
    /// It must accept a connection.
    #[default]
    Connect,
    /// It must accept a connection and, after `send`, answer with `expect` in it.
    Exchange {
        /// Sent first; may be empty.
        send: Vec<u8>,
        /// Must be among the first [`super::PROBE_ANSWER_BYTES_MAX`] bytes; not empty.
        expect: Vec<u8>,
    },
    /// It must answer a request.
    Http(HttpProbe),
    /// grpc.health.v1 must answer SERVING.
    Grpc {
        /// The name of the service; empty: the server as a whole.
        service: String,
        /// Over TLS, if so.
        tls: Option<TlsProbe>,
    },
}

impl ProbeKind {
    /// The word for it in the configuration.
    pub fn protocol(&self) -> ProbeProtocol {
        match self {
            Self::None => ProbeProtocol::None,
            Self::Connect | Self::Exchange { .. } => ProbeProtocol::Tcp,
            Self::Http(HttpProbe { tls: None, .. }) => ProbeProtocol::Http,
            Self::Http(_) => ProbeProtocol::Https,
            Self::Grpc { tls: None, .. } => ProbeProtocol::Grpc,
            Self::Grpc { .. } => ProbeProtocol::Grpcs,
        }
    }
}

/// A request and the conditions of its answer. Redirects are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// Begins with `/`.
    pub path: String,
    /// A token.
    pub method: String,
    /// The Host field; none: the backend's address.
    pub host: Option<String>,
    /// Further fields, checked: names are tokens, values have no control bytes.
    pub headers: Vec<(String, String)>,
    /// Statuses that pass; not empty.
    pub status: Vec<RangeInclusive<u16>>,
    /// Must be within the first [`super::PROBE_ANSWER_BYTES_MAX`] bytes of the content.
    pub body: Option<String>,
    /// Over TLS, if so.
    pub tls: Option<TlsProbe>,
}

/// TLS of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsProbe {
    /// The server name that is sent and verified; none: that of the Host field, or the address.
    pub sni: Option<String>,
    /// The certificate must be valid for the name.
    pub verify: bool,
    /// Certificates (PEM) that are trusted instead of the system's; absolute, or relative to the
    /// working directory once loaded.
    pub ca_file: Option<PathBuf>,
}

impl Default for TlsProbe {
    fn default() -> Self {
        Self { sni: None, verify: true, ca_file: None }
    }
}

impl Default for HttpProbe {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            method: "GET".to_owned(),
            host: None,
            headers: Vec::new(),
            status: vec![200..=299],
            body: None,
            tls: None,
        }
    }
}
