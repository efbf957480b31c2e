//! Why a probe failed, in words for an operator; and the meaning of an error of the kernel, of TLS
//! or of HTTP for the backend. Does not: decide the state of the backend.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;
use tokio_rustls::rustls;

/// Bytes of a backend's answer that are shown.
const SHOWN_BYTES_MAX: usize = 80;

/// The step of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeStage {
    /// The connection was being set up.
    Connecting,
    /// TLS was being set up.
    Handshake,
    /// The question was being sent, or its answer awaited.
    Answering,
}

/// Why a backend did not pass, or could not be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeFailure {
    /// Nothing listens there.
    Refused,
    /// By UDP: the network reports that no socket has its port.
    PortUnreachable,
    /// It is unreachable; the text is the kernel's.
    Unreachable(String),
    /// A step timed out.
    TimedOut {
        /// The step that was not finished.
        stage: ProbeStage,
    },
    /// TLS could not be set up, or its certificate is not trusted.
    Tls(String),
    /// It ended the connection before it had answered.
    ClosedEarly,
    /// Its answer breaks the protocol of the probe.
    Malformed(String),
    /// Its HTTP status is not among those that pass.
    Status(u16),
    /// The text that must be in the content of its answer is not.
    BodyMismatch,
    /// The bytes that must be in its answer are not; the text is how the answer begins.
    Unexpected(String),
    /// grpc.health.v1 answers another status than SERVING.
    NotServing(String),
    /// This process, or this machine, has no descriptor left.
    OutOfDescriptors,
    /// This machine has no local port left for a connection to the backend.
    OutOfPorts,
    /// This machine has no memory left for a connection.
    OutOfMemory,
    /// It cannot come from the configured address; the text is the kernel's.
    NoSource(String),
}

impl ProbeFailure {
    /// Whether the probe was not sent, for a reason within Ringway: this does not count as a
    /// failure of the backend.
    pub fn is_our_own_fault(&self) -> bool {
        matches!(
            self,
            Self::OutOfDescriptors | Self::OutOfPorts | Self::OutOfMemory | Self::NoSource(_)
        )
    }

    /// A failure to connect.
    pub(super) fn of_connecting(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => Self::OutOfDescriptors,
            Some(libc::EADDRNOTAVAIL) => Self::OutOfPorts,
            Some(libc::ENOBUFS | libc::ENOMEM) => Self::OutOfMemory,
            Some(libc::ECONNREFUSED) => Self::Refused,
            Some(libc::ECONNRESET) => Self::ClosedEarly,
            Some(libc::ETIMEDOUT) => Self::TimedOut { stage: ProbeStage::Connecting },
            _ => Self::Unreachable(error.to_string()),
        }
    }

    /// A failure to open a socket for datagrams, to send one or to receive one.
    pub(super) fn of_datagrams(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Self::PortUnreachable,
            Some(libc::EAGAIN | libc::EADDRINUSE) => Self::OutOfPorts,
            _ => Self::of_connecting(error),
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        let text = match error {
            rustls::Error::InvalidCertificate(wrong) => {
                format!("its certificate is not accepted: {}", in_words(&wrong.to_string()))
            }
            error => error.to_string(),
        };
        // The verifier of certificates has only the name of an error for it.
        Self::Tls(match text.contains("ca used as end entity") {
            true => "its certificate is that of an authority (CA:TRUE), with which no server may \
                     prove who it is: make it with basicConstraints CA:FALSE (openssl req -x509 \
                     -addext basicConstraints=critical,CA:FALSE ...)"
                .to_owned(),
            false => text,
        })
    }

    /// A failure to send the question or to read its answer, over TLS or not.
    pub(super) fn of_answering(error: &io::Error) -> Self {
        let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match (rustls, error.kind()) {
            (Some(error), _) => Self::of_tls(error),
            (None, io::ErrorKind::TimedOut) => Self::TimedOut { stage: ProbeStage::Answering },
            (None, io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                Self::Unreachable(error.to_string())
            }
            (None, io::ErrorKind::InvalidData) => Self::Malformed(error.to_string()),
            (None, _) => Self::ClosedEarly,
        }
    }

    /// A failure to set up TLS.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        match Self::of_answering(error) {
            Self::ClosedEarly => Self::Tls("it ended the connection in the handshake".to_owned()),
            Self::Malformed(text) => Self::Tls(text),
            Self::TimedOut { .. } => Self::TimedOut { stage: ProbeStage::Handshake },
            other => other,
        }
    }

    /// A failure of an exchange over HTTP.
    pub(super) fn of_http(error: &hyper::Error) -> Self {
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(error) = inner.downcast_ref::<io::Error>() {
                return Self::of_answering(error);
            }
            cause = inner.source();
        }
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            return Self::ClosedEarly;
        }
        // The outermost text alone is often only "http2 error".
        let detail = error.source().map(|inner| format!(": {inner}")).unwrap_or_default();
        Self::Malformed(format!("{error}{detail}"))
    }

    /// An answer without the expected bytes.
    pub(super) fn unexpected(answer: &[u8]) -> Self {
        Self::Unexpected(shown(answer))
    }
}

/// The name of an error's variant, as in `Other(OtherError(UnknownIssuer))`, in words; a sentence
/// as it is.
fn in_words(text: &str) -> String {
    if text.contains(' ') {
        return text.to_owned();
    }
    let innermost = text.trim_end_matches(')').rsplit('(').next().unwrap_or(text);
    let mut words = String::new();
    for letter in innermost.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// The beginning of a backend's answer, safe for a terminal and a log.
pub(super) fn shown(bytes: &[u8]) -> String {
    let end = bytes.len().min(SHOWN_BYTES_MAX);
    let dots = if end < bytes.len() { "…" } else { "" };
    format!("{}{dots}", bytes[..end].escape_ascii())
}

impl Display for ProbeFailure {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => to.write_str("the connection was refused"),
            Self::PortUnreachable => {
                to.write_str("no socket has its port (ICMP: port unreachable)")
            }
            Self::Unreachable(why) => write!(to, "it cannot be reached: {why}"),
            Self::TimedOut { stage: ProbeStage::Connecting } => {
                to.write_str("it did not accept the connection in time")
            }
            Self::TimedOut { stage: ProbeStage::Handshake } => {
                to.write_str("it did not finish the TLS handshake in time")
            }
            Self::TimedOut { stage: ProbeStage::Answering } => {
                to.write_str("it did not answer in time")
            }
            Self::Tls(why) => write!(to, "TLS failed: {why}"),
            Self::ClosedEarly => to.write_str("it ended the connection before it had answered"),
            Self::Malformed(why) => write!(to, "its answer makes no sense: {why}"),
            Self::Status(status) => write!(to, "it answered with status {status}"),
            Self::BodyMismatch => to.write_str("its answer has not the text that it must have"),
            Self::Unexpected(answer) => write!(to, "it answered something else: \"{answer}\""),
            Self::NotServing(what) => write!(to, "it does not serve: {what}"),
            Self::OutOfDescriptors => {
                to.write_str("not asked: Ringway has no descriptor left; raise LimitNOFILE")
            }
            Self::OutOfPorts => {
                to.write_str("not asked: no local port is left; widen net.ipv4.ip_local_port_range")
            }
            Self::OutOfMemory => {
                to.write_str("not asked: the kernel has no memory left for a connection")
            }
            Self::NoSource(why) => {
                write!(to, "not asked: no connection can come from the `source` of the pool: {why}")
            }
        }
    }
}

impl Error for ProbeFailure {}
