//! Choices, each with its word in the configuration. Does not: read or check a text.

use super::foreign::instead_of;
use super::units::listed;
use crate::balance::Algorithm;
use crate::head::UnderscoreNames;
use crate::tls;
use std::fmt;
use std::str::FromStr;

/// A choice among words, as written in the configuration.
pub trait Choice: Copy + Sized + PartialEq + 'static {
    /// Every choice with its word, the default first.
    const WORDS: &'static [(&'static str, Self)];

    /// Its word.
    fn word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, choice)| *choice == self);
        found.expect("every choice has its word in the table").0
    }

    /// The choice with this word.
    fn of_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, choice)| *choice)
    }
}

/// The error for an unknown word of a choice.
pub fn unknown_word<C: Choice>(word: &str) -> String {
    unknown_choice::<C>("value", word)
}

/// The same, with a name for the choice.
pub(super) fn unknown_choice<C: Choice>(what: &str, word: &str) -> String {
    let known: Vec<&str> = C::WORDS.iter().map(|(word, _)| *word).collect();
    let shown = word.escape_debug();
    match instead_of(word, &known) {
        Some(close) if close.ends_with('?') => format!("unknown {what} `{shown}`: {close}"),
        Some(meaning) => {
            format!("unknown {what} `{shown}`: {meaning}; it can be {}", listed(&known))
        }
        None => format!("unknown {what} `{shown}`: it can be {}", listed(&known)),
    }
}

/// Declares an enum whose values are words in the configuration. The first one is the default.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $first:ident = $first_word:literal $first_doc:literal,
        $($rest:ident = $word:literal $rest_doc:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            #[doc = $first_doc]
            #[default]
            $first,
            $(#[doc = $rest_doc] $rest,)*
        }

        impl Choice for $name {
            const WORDS: &'static [(&'static str, Self)] =
                &[($first_word, Self::$first), $(($word, Self::$rest),)*];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                Self::of_word(word).ok_or_else(|| unknown_word::<Self>(word))
            }
        }
    };
}

impl Choice for Algorithm {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("p2c", Self::P2c),
        ("least-connections", Self::LeastConnections),
        ("round-robin", Self::RoundRobin),
        ("random", Self::Random),
        ("hash", Self::Hash),
    ];
}

impl Choice for UnderscoreNames {
    const WORDS: &'static [(&'static str, Self)] =
        &[("drop", Self::Drop), ("reject", Self::Reject), ("allow", Self::Allow)];
}

impl Choice for tls::Version {
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self::Tls12), ("1.3", Self::Tls13)];
}

choice! {
    /// The policy for requests while no backend of their pool is healthy.
    NoHealthy {
        RouteToAll = "route-to-all" "All backends are tried, as if they were healthy.",
        Refuse = "refuse" "It is answered with 503.",
    }
}

choice! {
    /// The PROXY protocol header that comes before everything else.
    ProxyProtocol {
        None = "none" "None.",
        V1 = "v1" "Version 1, text.",
        V2 = "v2" "Version 2, binary.",
    }
}

choice! {
    /// What a PROXY protocol header of version 2 says beside the addresses.
    ProxyTlv {
        Authority = "authority" "The server name of the client's ClientHello.",
        Alpn = "alpn" "The first protocol that the client's ClientHello offers.",
        UniqueId = "unique-id" "An identifier of the client's connection.",
        Crc32c = "crc32c" "The checksum of the header.",
        Received = "received" "What the header of the client's connection said.",
    }
}

choice! {
    /// The version of HTTP that backends speak.
    BackendHttp {
        Http1 = "1.1" "HTTP/1.1.",
        Http2 = "2" "HTTP/2.",
        Auto = "auto" "HTTP/2 where it is agreed on in the TLS handshake, else HTTP/1.1.",
    }
}

choice! {
    /// The protocol of a probe.
    ProbeProtocol {
        Tcp = "tcp" "A connection, and what is said on it if that is given.",
        None = "none" "Nothing: there is no probe.",
        Http = "http" "HTTP/1.1.",
        Https = "https" "HTTP/1.1 over TLS.",
        Grpc = "grpc" "grpc.health.v1 over HTTP/2.",
        Grpcs = "grpcs" "grpc.health.v1 over HTTP/2 over TLS.",
        Udp = "udp" "A datagram, and the answer to it if that is given.",
    }
}

choice! {
    /// The policy for CONNECT.
    Connect {
        Refuse = "refuse" "It is answered with 501.",
        Forward = "forward" "It goes to a backend, and is a tunnel once that has answered 2xx.",
    }
}

choice! {
    /// The meaning of a client's end of stream after its request.
    HalfClose {
        Allow = "allow" "It still reads: the answer is sent.",
        Abort = "abort" "It is gone: the exchange ends.",
    }
}

choice! {
    /// The format of the access log.
    LogFormat {
        Json = "json" "One JSON object.",
        Common = "common" "The common log format of NCSA.",
        Combined = "combined" "The same with Referer and User-Agent.",
    }
}

choice! {
    /// The format of the log of the process.
    ProcessLogFormat {
        Text = "text" "Sentences for people.",
        Json = "json" "One JSON object a line.",
    }
}

choice! {
    /// The protocol of a listener.
    Protocol {
        Http = "http" "HTTP/1.1 and HTTP/1.0 without TLS.",
        Tcp = "tcp" "Bytes, forwarded unread.",
        Https = "https" "HTTP over TLS.",
        TlsPassthrough = "tls-passthrough" "TLS, forwarded unread by its server name.",
        Udp = "udp" "Datagrams, forwarded unread.",
    }
}

choice! {
    /// The PROXY protocol header at the beginning of a client's connection.
    ProxyHeader {
        None = "none" "There is none.",
        Require = "require" "It must be there, from a trusted proxy.",
    }
}

choice! {
    /// The route, or the certificate, for a ClientHello without a server name.
    NoSni {
        Default = "default" "That without a host or name; none: the connection is refused.",
        Reject = "reject" "None: the connection is refused.",
    }
}

choice! {
    /// Whether clients show a certificate.
    ClientCertificate {
        None = "none" "They are not asked for one.",
        Optional = "optional" "Those without one are served too.",
        Required = "required" "Those without one are refused.",
    }
}

choice! {
    /// How an authority sees that a name is this machine's (RFC 8555, 8.3; RFC 8737).
    AcmeChallenge {
        TlsAlpn01 = "tls-alpn-01" "A TLS handshake on port 443.",
        Http01 = "http-01" "A request by plain HTTP on port 80.",
    }
}

choice! {
    /// The part of a process in fetching certificates by ACME.
    AcmeRole {
        Fetch = "fetch" "It asks the authority for them.",
        Read = "read" "It reads what another process has fetched.",
    }
}

choice! {
    /// The kind of the keys of certificates by ACME.
    AcmeKeyType {
        EcdsaP256 = "ecdsa-p256" "ECDSA on P-256.",
        EcdsaP384 = "ecdsa-p384" "ECDSA on P-384.",
        Rsa2048 = "rsa-2048" "RSA with 2048 bits.",
        Rsa4096 = "rsa-4096" "RSA with 4096 bits.",
    }
}

choice! {
    /// The certificate for a ClientHello with a server name that none is for.
    UnknownSni {
        Default = "default" "That without a name; none: the connection is refused.",
        Reject = "reject" "None: the connection is refused.",
    }
}

choice! {
    /// The route of a connection that does not begin with a ClientHello of TLS.
    NotTls {
        Close = "close" "None: the connection is closed.",
        Default = "default" "That without a host.",
    }
}

choice! {
    /// The choice of a shard for a new connection.
    Steering {
        Hash = "hash" "By a hash of the addresses, the kernel's own way.",
        Cpu = "cpu" "The shard on the core that took the packet.",
    }
}
