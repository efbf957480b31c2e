//! The handshake of one connection, by rustls, without its buffers. It gives the keys of both
//! directions in the end.
//!
//! Does not: protect what follows the handshake; wait; know sockets.

use super::record::{RecordKey, Version};
use super::session::Fault;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{
    CipherSuite, ClientConfig, ConnectionTrafficSecrets, Error, ExtractedSecrets, HandshakeKind,
    ProtocolVersion, ServerConfig,
};
use std::sync::Arc;

/// Bytes of a flight of a handshake that room is made for at once.
const FLIGHT_BYTES: usize = 4096;

/// What was negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The version.
    pub version: Version,
    /// The cipher suite.
    pub suite: CipherSuite,
    /// The application protocol that was agreed on.
    pub alpn: Option<Box<[u8]>>,
    /// The handshake took up an earlier session.
    pub is_resumed: bool,
    /// The certificates that a client has shown, its own first. Those of a backend were verified,
    /// and nobody asks for them: they would be most of what an idle connection takes.
    pub client_certificates: Box<[CertificateDer<'static>]>,
}

/// A handshake that is not complete.
pub enum Handshake {
    /// Towards a client.
    Server(Box<UnbufferedServerConnection>),
    /// Towards a backend.
    Client(Box<UnbufferedClientConnection>),
}

/// Computes the keys that follow the present ones, and keeps sessions.
pub(super) enum Schedule {
    Server(KernelConnection<ServerConnectionData>),
    Client(KernelConnection<ClientConnectionData>),
}

/// The result of a handshake.
pub(super) struct Completed {
    pub(super) sealing: RecordKey,
    pub(super) opening: RecordKey,
    pub(super) schedule: Schedule,
    pub(super) facts: Facts,
}

/// What to do after a step.
enum Step {
    Again,
    NeedsMore,
    MaySend,
    Closed,
}

impl Handshake {
    /// Towards a client. The configuration must allow secrets to be extracted.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        debug_assert!(config.enable_secret_extraction);
        UnbufferedServerConnection::new(config).map(|connection| Self::Server(connection.into()))
    }

    /// Towards a backend of this name. The configuration must allow secrets to be extracted.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        debug_assert!(config.enable_secret_extraction);
        let connection = UnbufferedClientConnection::new(config, name)?;
        Ok(Self::Client(connection.into()))
    }

    /// Goes on with what has come from the peer, as far as that leads, and takes it out of
    /// `incoming`. `out` gets what the peer is sent, `plain` the content that has come right
    /// behind the handshake. True if the handshake is complete.
    pub(super) fn advance(
        &mut self,
        incoming: &mut Vec<u8>,
        out: &mut Vec<u8>,
        plain: &mut Vec<u8>,
    ) -> Result<bool, Fault> {
        loop {
            match self.step(incoming, out, plain) {
                Ok(Step::Again) => {}
                Ok(Step::NeedsMore) => return Ok(false),
                // A server may send before it has the client's Finished: it waits for that.
                Ok(Step::MaySend) => return Ok(!self.is_handshaking()),
                Ok(Step::Closed) => return Err(Fault::Closed),
                Err(error) => {
                    self.take_alert(incoming, out);
                    return Err(Fault::Handshake(error));
                }
            }
        }
    }

    /// Takes the alert that a failure has left, and what was queued before it. No step more: the
    /// library would read on in what has come, and panic.
    fn take_alert(&mut self, incoming: &mut Vec<u8>, out: &mut Vec<u8>) {
        while self.has_output() {
            if !matches!(self.step(incoming, out, &mut Vec::new()), Ok(Step::Again)) {
                return;
            }
        }
    }

    fn has_output(&self) -> bool {
        match self {
            Self::Server(connection) => connection.wants_write(),
            Self::Client(connection) => connection.wants_write(),
        }
    }

    fn step(
        &mut self,
        incoming: &mut Vec<u8>,
        out: &mut Vec<u8>,
        plain: &mut Vec<u8>,
    ) -> Result<Step, Error> {
        let (discard, step) = match self {
            Self::Server(connection) => {
                take_step(connection.process_tls_records(incoming), out, plain)
            }
            Self::Client(connection) => {
                take_step(connection.process_tls_records(incoming), out, plain)
            }
        };
        incoming.drain(..discard);
        step
    }

    fn is_handshaking(&self) -> bool {
        match self {
            Self::Server(connection) => connection.is_handshaking(),
            Self::Client(connection) => connection.is_handshaking(),
        }
    }

    /// The keys and facts of a complete handshake.
    pub(super) fn complete(self) -> Result<Completed, Fault> {
        match self {
            Self::Server(connection) => {
                let shown = connection.peer_certificates().unwrap_or_default();
                let client_certificates = shown.iter().map(|one| one.clone().into_owned());
                let client_certificates = client_certificates.collect();
                let facts = Facts { client_certificates, ..facts_of(&connection) };
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                Completed::new(secrets, Schedule::Server(kernel), facts)
            }
            Self::Client(connection) => {
                let facts = facts_of(&connection);
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                Completed::new(secrets, Schedule::Client(kernel), facts)
            }
        }
    }
}

impl Completed {
    fn new(secrets: ExtractedSecrets, schedule: Schedule, facts: Facts) -> Result<Self, Fault> {
        let key = |(sequence, secrets)| {
            RecordKey::new(facts.version, sequence, secrets).ok_or(Fault::UnsupportedCipher)
        };
        let (sealing, opening) = (key(secrets.tx)?, key(secrets.rx)?);
        Ok(Self { sealing, opening, schedule, facts })
    }
}

impl Schedule {
    /// The next key for sending.
    pub(super) fn next_sealing(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Server(kernel) => kernel.update_tx_secret(),
            Self::Client(kernel) => kernel.update_tx_secret(),
        }
    }

    /// The next key for receiving.
    pub(super) fn next_opening(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Server(kernel) => kernel.update_rx_secret(),
            Self::Client(kernel) => kernel.update_rx_secret(),
        }
    }

    /// Keeps a session that the server offers.
    ///
    /// # Errors
    /// The ticket is malformed, or this is the server.
    pub(super) fn keep_session(&mut self, ticket: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Server(_) => Err(Fault::UnexpectedMessage),
            Self::Client(kernel) => Ok(kernel.handle_new_session_ticket(ticket)?),
        }
    }
}

fn facts_of<Data>(connection: &rustls::unbuffered::UnbufferedConnectionCommon<Data>) -> Facts {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
        _ => Version::Tls12,
    };
    let suite = connection.negotiated_cipher_suite().expect("a complete handshake has a suite");
    Facts {
        version,
        suite: suite.suite(),
        alpn: connection.alpn_protocol().map(Into::into),
        is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        client_certificates: Box::default(),
    }
}

/// Takes what one step gives, and returns the number of bytes that are processed.
fn take_step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    out: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) -> (usize, Result<Step, Error>) {
    let mut discard = status.discard;
    let step = match status.state {
        Err(error) => Err(error),
        Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Step::Again),
            }
        },
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::NeedsMore),
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Step::MaySend),
        Ok(_) => Ok(Step::Closed),
    };
    (discard, step)
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<Step, Error> {
    let at = out.len();
    out.resize(at + FLIGHT_BYTES, 0);
    let length = match data.encode(&mut out[at..]) {
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
            out.resize(at + required_size, 0);
            data.encode(&mut out[at..])
        }
        other => other,
    };
    match length {
        Ok(length) => out.truncate(at + length),
        Err(error) => {
            out.truncate(at);
            return Err(Error::General(error.to_string()));
        }
    }
    Ok(Step::Again)
}
