//! Clients of the demo: few requests, at an even rate.

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ringway::tls::Authorities;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

/// How many clients there are.
pub(super) const CLIENTS: usize = 8;
/// The pause of a client after each answer, and after a failure.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the clients, in a thread of their own that ends with the process. They speak TLS if there
/// is a file with the certificate that they trust.
pub(super) fn start(listener: SocketAddr, trusted: Option<&Path>) -> io::Result<()> {
    let address = reachable(listener);
    let connector = trusted.map(connector).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("demo-clients".to_owned()).spawn(move || {
        runtime.block_on(async {
            for _ in 0..CLIENTS {
                tokio::spawn(ask_again_and_again(address, connector.clone()));
            }
            std::future::pending::<()>().await;
        });
    })?;
    Ok(())
}

/// The address that clients of a listener use: loopback for one on all addresses.
pub(super) fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// What makes TLS of a connection, trusting the certificate in a file alone.
fn connector(trusted: &Path) -> io::Result<TlsConnector> {
    let authorities = Authorities::read(&std::fs::read(trusted)?);
    let authorities = authorities.map_err(|fault| io::Error::other(fault.problem))?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(authorities.store().clone())
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn ask_again_and_again(address: SocketAddr, connector: Option<TlsConnector>) {
    loop {
        // A connection that ends is followed by another; a failure does not matter.
        let _ = connect(address, connector.as_ref()).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn connect(
    address: SocketAddr,
    connector: Option<&TlsConnector>,
) -> Result<(), Box<dyn Error>> {
    let stream = TcpStream::connect(address).await?;
    match connector {
        None => keep_asking(address, stream).await,
        Some(connector) => {
            let secure = connector.connect(address.ip().into(), stream).await?;
            keep_asking(address, secure).await
        }
    }
}

/// Sends requests over one connection until it ends.
async fn keep_asking<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    address: SocketAddr,
    stream: S,
) -> Result<(), Box<dyn Error>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    loop {
        sender.ready().await?;
        let request = Request::get("/demo").header("Host", address.to_string());
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        answer.into_body().collect().await?;
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_go_to_an_address_that_leads_somewhere() {
        for (listener, address) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(reachable(listener.parse().unwrap()).to_string(), address);
        }
    }
}
