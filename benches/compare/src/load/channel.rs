//! A non-blocking socket of the load, plain or with TLS: bytes of the protocol above in and out.
//!
//! rustls with its own buffers: what the load spends on TLS is not measured, as long as its core is
//! not the limit.

use crate::sys::socket;
use anyhow::{Context, Result};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
};
use std::io::{self, Read, Write};
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The name that clients ask for.
pub const SERVER_NAME: &str = "compare.test";

/// See the module.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    tls: Option<Box<Tls>>,
}

#[derive(Debug)]
struct Tls {
    session: ClientConnection,
    /// What was given to send is in the session, and not all of it on the socket.
    is_blocked: bool,
}

impl Channel {
    /// Starts to connect.
    pub fn connect(target: SocketAddrV4, tls: Option<&Arc<ClientConfig>>) -> Result<Channel> {
        let tls = tls.map(Tls::new).transpose()?.map(Box::new);
        let socket = socket::connect(target).context("connect")?;
        Ok(Channel { socket, tls })
    }

    /// The socket, to be watched.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether the handshake took up an earlier session.
    pub fn is_resumed(&self) -> bool {
        let kind = self.tls.as_ref().and_then(|tls| tls.session.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Sends all of `bytes`; `false` if the socket takes nothing yet: it is called again then with
    /// the same bytes. With TLS they follow the handshake, which goes on as answers are read.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            return match socket::send(self.socket.as_fd(), bytes) {
                Ok(len) if len == bytes.len() => Ok(true),
                Ok(_) => Err(io::Error::other("a request was only partly sent")),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(error) => Err(error),
            };
        };
        if !tls.is_blocked {
            tls.session.writer().write_all(bytes)?;
        }
        tls.flush(self.socket.as_fd())
    }

    /// Reads what has come; 0 is the end of the stream.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return socket::receive(self.socket.as_fd(), buffer);
        };
        let mut raw = Raw(self.socket.as_fd());
        let read = tls.session.read_tls(&mut raw)?;
        let state = tls.session.process_new_packets().map_err(io::Error::other)?;
        let (plain, has_ended) = (state.plaintext_bytes_to_read(), state.peer_has_closed());
        tls.flush(self.socket.as_fd())?;
        if plain == 0 && (read == 0 || has_ended) {
            return Ok(0);
        }
        tls.session.reader().read(buffer)
    }
}

impl Tls {
    fn new(config: &Arc<ClientConfig>) -> Result<Tls> {
        let name = ServerName::try_from(SERVER_NAME).expect("a valid name");
        let session = ClientConnection::new(config.clone(), name).context("TLS")?;
        Ok(Tls { session, is_blocked: false })
    }

    fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Raw(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        self.is_blocked = false;
        Ok(true)
    }
}

struct Raw<'a>(BorrowedFd<'a>);

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        socket::receive(self.0, buffer)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        socket::send(self.0, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first bytes of a client that speaks TLS as browsers do, with a post-quantum key share: one
/// record with its ClientHello.
pub fn client_hello() -> Result<Vec<u8>> {
    let name = ServerName::try_from(SERVER_NAME).expect("a valid name");
    let provider = aws_lc_rs::default_provider();
    let groups = vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
    let config = config_of(CryptoProvider { kx_groups: groups, ..provider });
    let mut session = ClientConnection::new(config.into(), name).context("TLS")?;
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).context("a ClientHello")?;
    Ok(bytes)
}

/// TLS 1.3 with AES-128-GCM and X25519, so that no proxy chooses a cheaper cipher than another.
/// Every certificate is taken.
pub fn client_config(resumes: bool) -> Arc<ClientConfig> {
    let provider = CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut config = config_of(provider);
    config.resumption = match resumes {
        true => Resumption::in_memory_sessions(4),
        false => Resumption::disabled(),
    };
    config.into()
}

fn config_of(provider: CryptoProvider) -> ClientConfig {
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("it has suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakeAny(schemes)))
        .with_no_client_auth()
}

/// Verifies no certificate: the proxies are ours.
#[derive(Debug)]
struct TakeAny(Vec<SignatureScheme>);

impl ServerCertVerifier for TakeAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
