//! The table of what is measured.

use crate::contender::Protocol;
use crate::load::Pattern;
use anyhow::{Result, bail};

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// How it is named on the command line and in the results.
    pub name: &'static str,
    /// What the proxies treat the traffic as.
    pub protocol: Protocol,
    /// Connections open at the same time.
    pub connections: usize,
    /// Bytes of the body of each answer.
    pub body_len: usize,
    /// What a connection does after an answer.
    pub pattern: Pattern,
    /// What it looks at, for the head of its table.
    pub about: &'static str,
}

const KIB: usize = 1024;

/// All scenarios, in the order in which they are measured.
pub const SCENARIOS: [Scenario; 22] = [
    Scenario {
        name: "keepalive-64",
        protocol: Protocol::Http,
        connections: 64,
        body_len: 128,
        pattern: Pattern::KeepAlive,
        about: "64 connections, 128 B answers, keep-alive",
    },
    Scenario {
        name: "keepalive-512",
        protocol: Protocol::Http,
        connections: 512,
        body_len: 128,
        pattern: Pattern::KeepAlive,
        about: "512 connections, 128 B answers, keep-alive",
    },
    Scenario {
        name: "body-16k",
        protocol: Protocol::Http,
        connections: 64,
        body_len: 16 * KIB,
        pattern: Pattern::KeepAlive,
        about: "64 connections, 16 KiB answers, keep-alive",
    },
    Scenario {
        name: "body-1m",
        protocol: Protocol::Http,
        connections: 32,
        body_len: KIB * KIB,
        pattern: Pattern::KeepAlive,
        about: "32 connections, 1 MiB answers, keep-alive",
    },
    Scenario {
        name: "close-64",
        protocol: Protocol::Http,
        connections: 64,
        body_len: 128,
        pattern: Pattern::ConnectionPerRequest,
        about: "64 clients, 128 B answers, a new connection for each request",
    },
    Scenario {
        name: "idle-8000",
        protocol: Protocol::Http,
        connections: 8_000,
        body_len: 128,
        pattern: Pattern::RequestOnceThenRest,
        about: "8,000 keep-alive connections at rest after one request each",
    },
    Scenario {
        name: "tls-64",
        protocol: Protocol::Https { resumes: false },
        connections: 64,
        body_len: 128,
        pattern: Pattern::KeepAlive,
        about: "HTTPS, TLS 1.3 with AES-128-GCM: 64 connections, 128 B answers, keep-alive",
    },
    Scenario {
        name: "tls-1m",
        protocol: Protocol::Https { resumes: false },
        connections: 32,
        body_len: KIB * KIB,
        pattern: Pattern::KeepAlive,
        about: "HTTPS: 32 connections, 1 MiB answers, keep-alive",
    },
    Scenario {
        name: "tls-full",
        protocol: Protocol::Https { resumes: false },
        connections: 64,
        body_len: 128,
        pattern: Pattern::ConnectionPerRequest,
        about: "HTTPS: 64 clients, a new connection with a full handshake for each request",
    },
    Scenario {
        name: "tls-resumed",
        protocol: Protocol::Https { resumes: true },
        connections: 64,
        body_len: 128,
        pattern: Pattern::ConnectionPerRequest,
        about: "HTTPS: 64 clients, a new connection with a resumed session for each request",
    },
    Scenario {
        name: "tls-idle-8000",
        protocol: Protocol::Https { resumes: false },
        connections: 8_000,
        body_len: 128,
        pattern: Pattern::RequestOnceThenRest,
        about: "8,000 connections of HTTPS at rest after one request each",
    },
    Scenario {
        name: "h2-320",
        protocol: Protocol::Http2,
        connections: 10,
        body_len: 128,
        pattern: Pattern::KeepAlive,
        about: "HTTP/2: 10 connections with 32 streams each, 128 B answers; HTTP/1.1 to backends",
    },
    Scenario {
        name: "h2-1m",
        protocol: Protocol::Http2,
        connections: 1,
        body_len: KIB * KIB,
        pattern: Pattern::KeepAlive,
        about: "HTTP/2: one connection with 32 streams, 1 MiB answers; HTTP/1.1 to backends",
    },
    Scenario {
        name: "tcp-64",
        protocol: Protocol::Tcp,
        connections: 64,
        body_len: 128,
        pattern: Pattern::KeepAlive,
        about: "bytes forwarded unread: 64 connections, 128 B answers",
    },
    Scenario {
        name: "tcp-1m",
        protocol: Protocol::Tcp,
        connections: 32,
        body_len: KIB * KIB,
        pattern: Pattern::KeepAlive,
        about: "bytes forwarded unread: 32 connections, 1 MiB answers",
    },
    Scenario {
        name: "tcp-close",
        protocol: Protocol::Tcp,
        connections: 64,
        body_len: 128,
        pattern: Pattern::ConnectionPerRequest,
        about: "bytes forwarded unread: 64 clients, 128 B answers, a new connection for each",
    },
    Scenario {
        name: "passthrough-64",
        protocol: Protocol::TlsPassthrough,
        connections: 64,
        body_len: 128,
        pattern: Pattern::KeepAlive,
        about: "64 connections routed by their ClientHello, then forwarded unread: 128 B answers",
    },
    Scenario {
        name: "passthrough-close",
        protocol: Protocol::TlsPassthrough,
        connections: 64,
        body_len: 128,
        pattern: Pattern::ConnectionPerRequest,
        about: "64 clients, 128 B answers, a new connection with a ClientHello for each",
    },
    Scenario {
        name: "udp-64",
        protocol: Protocol::Udp { is_answered_once: false },
        connections: 64,
        body_len: 100,
        pattern: Pattern::KeepAlive,
        about: "64 flows of 100 B datagrams that come back",
    },
    Scenario {
        name: "udp-half",
        protocol: Protocol::Udp { is_answered_once: false },
        connections: 64,
        body_len: 100,
        pattern: Pattern::HalfPace,
        about: "the same at half of what a closed loop reaches: none may be lost",
    },
    Scenario {
        name: "udp-dns",
        protocol: Protocol::Udp { is_answered_once: true },
        connections: 64,
        body_len: 100,
        pattern: Pattern::ConnectionPerRequest,
        about: "64 clients, 100 B datagrams that come back once, a new flow for each",
    },
    Scenario {
        name: "udp-idle-8000",
        protocol: Protocol::Udp { is_answered_once: false },
        connections: 8_000,
        body_len: 100,
        pattern: Pattern::RequestOnceThenRest,
        about: "8,000 flows at rest after one datagram each",
    },
];

impl Scenario {
    /// Whether it measures memory at rest and not work.
    pub fn measures_memory(&self) -> bool {
        self.pattern == Pattern::RequestOnceThenRest
    }
}

/// The scenarios of the given names in the order of the table; all if none is given.
pub fn select(names: &[String]) -> Result<Vec<Scenario>> {
    for name in names {
        if !SCENARIOS.iter().any(|scenario| scenario.name == name) {
            let known = SCENARIOS.map(|scenario| scenario.name).join(", ");
            bail!("there is no scenario `{name}`; --only takes some of: {known}");
        }
    }
    let is_wanted =
        |scenario: &&Scenario| names.is_empty() || names.iter().any(|name| name == scenario.name);
    Ok(SCENARIOS.iter().filter(is_wanted).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_selects_all() {
        assert_eq!(select(&[]).unwrap(), SCENARIOS);
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known() {
        let error = select(&["keepalive".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`keepalive`") && error.contains("close-64"), "{error}");
    }
}
