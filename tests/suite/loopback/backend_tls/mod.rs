//! TLS to backends over real sockets: servers of rustls in this process, and `openssl s_server`.

mod certificates;
mod changing;
mod example;
mod forwarding;
mod probing;
mod reference;

use super::harness::*;
use super::https::{Authority, Issued, beside, start};
use super::load::Operated;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    HandshakeKind, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// What a backend has seen of one connection, when its first content had come.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Met {
    server_name: Option<String>,
    is_resumed: bool,
    has_certificate: bool,
    alpn: Option<Vec<u8>>,
}

/// A server that speaks TLS.
struct SecureOrigin {
    address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    met: Arc<Mutex<Vec<Met>>>,
    _origin: Origin,
}

type Secured = StreamOwned<ServerConnection, TcpStream>;

impl SecureOrigin {
    /// Gives each session to `serve`.
    fn start(config: ServerConfig, serve: impl Fn(Secured) + Send + Sync + 'static) -> Self {
        let config = Arc::new(Mutex::new(Arc::new(config)));
        let met: Arc<Mutex<Vec<Met>>> = Arc::default();
        let (at, seen) = (config.clone(), met.clone());
        let origin = Origin::start(move |mut stream| {
            let config = at.lock().expect("no panic").clone();
            let mut session = ServerConnection::new(config).expect("a configuration");
            while session.is_handshaking() {
                if session.complete_io(&mut stream).is_err() {
                    // The alert is sent.
                    let _ = session.complete_io(&mut stream);
                    return;
                }
            }
            seen.lock().expect("no panic").push(Met {
                server_name: session.server_name().map(str::to_owned),
                is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
                has_certificate: session.peer_certificates().is_some(),
                alpn: session.alpn_protocol().map(<[u8]>::to_vec),
            });
            serve(StreamOwned::new(session, stream));
        });
        Self { address: origin.address, config, met, _origin: origin }
    }

    /// Answers each request with 200 and its own name.
    fn saying(config: ServerConfig, text: &'static str) -> Self {
        Self::start(config, move |secured| {
            let mut reader = BufReader::new(secured);
            while read_request(&mut reader).is_some() {
                let answer = ok(text.as_bytes());
                if reader.get_mut().write_all(&answer).is_err() || reader.get_mut().flush().is_err()
                {
                    return;
                }
            }
        })
    }

    /// Sends back what comes, and its end.
    fn echoing(config: ServerConfig) -> Self {
        Self::start(config, |mut secured| {
            let mut buffer = [0; 20_000];
            while let Ok(length @ 1..) = secured.read(&mut buffer) {
                if secured.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
            end(&mut secured);
        })
    }

    fn met(&self) -> Vec<Met> {
        self.met.lock().expect("no panic").clone()
    }

    fn becomes(&self, config: ServerConfig) {
        *self.config.lock().expect("no panic") = Arc::new(config);
    }
}

/// Ends the server's direction, and reads the other one to its end.
fn end(secured: &mut Secured) {
    secured.conn.send_close_notify();
    let _ = secured.flush();
    let _ = secured.sock.shutdown(std::net::Shutdown::Write);
    let _ = std::io::copy(&mut secured.sock, &mut std::io::sink());
}

/// A server with this certificate, that asks for none.
fn server(issued: &Issued) -> ServerConfig {
    server_of(issued, None, BOTH)
}

/// A server that demands a certificate of `authority`, if there is one.
fn server_of(
    issued: &Issued,
    authority: Option<&Authority>,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(versions).expect("versions");
    let builder = match authority {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(verifier.expect("an authority"))
        }
    };
    let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM");
    builder.with_single_cert(chain, key).expect("they fit")
}

/// A listener of `protocol` and a pool of these backends, with these keys in its table of TLS.
fn to(protocol: &str, backends: &[SocketAddr], keys: &str) -> String {
    let mut text = format!(
        "[access_log]\npath = \"FOLDER/access.log\"\n\
         [[listener]]\nname = \"web\"\naddress = \"LISTEN\"\nprotocol = \"{protocol}\"\n\
         [pool.app.tls]\n{keys}\n[pool.app.health]\nprotocol = \"none\"\n\
         [pool.app.ejection]\nconsecutive_failures = 0\n"
    );
    for backend in backends {
        text += &format!("[[pool.app.backend]]\naddress = \"{backend}\"\n");
    }
    text
}

/// A running `ringway` that trusts this authority, with more files.
fn run(authority: &Authority, files: &[(&str, &str)], text: &str) -> Operated {
    let files: Vec<(&str, &str)> =
        [("ca.pem", &*authority.pem)].into_iter().chain(files.iter().copied()).collect();
    start(&files, text)
}

/// The name and authority of the servers here.
const TRUSTING: &str = "sni = \"shop.test\"\nca = \"ca.pem\"";

/// The field of the only record in the access log.
fn recorded(operated: &Operated, field: &str) -> serde_json::Value {
    let log = beside(operated, "access.log");
    let mut line = String::new();
    await_that("a record", || {
        line = std::fs::read_to_string(&log).unwrap_or_default();
        line.ends_with('\n')
    });
    let record: serde_json::Value = serde_json::from_str(line.trim_end()).expect("one record");
    record[field].clone()
}

fn asked_of(operated: &Operated) -> (u16, String) {
    let answer =
        operated.ringway.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    (status(&answer), String::from_utf8_lossy(&answer).into_owned())
}
