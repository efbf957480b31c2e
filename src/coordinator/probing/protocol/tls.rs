//! TLS of probes: trusted certificates and the server name, as of the pool unless the probe has
//! keys of its own. Everything that does not depend on the backend is built once. Does not: resume
//! sessions; each probe verifies anew.

use super::failure::ProbeFailure;
use crate::config::{FILE_BYTES_MAX, PoolTls, TlsProbe};
use crate::sys::certificates::{NO_CERTIFICATES, trusted};
use crate::sys::file;
use crate::tls::{Authorities, BackendTerms, Trust, server_name};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// The keys of a probe: its own, and those of its pool.
#[derive(Clone, Copy, Default)]
pub(super) struct Keys<'k> {
    pub(super) own: Option<&'k TlsProbe>,
    pub(super) pool: Option<&'k PoolTls>,
}

/// TLS of one probe, for all its backends.
pub(super) struct Tls {
    connector: TlsConnector,
    /// None: that of each backend, or its address.
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// TLS by these keys; none if there are none. `host` is the Host field's value, `protocol` the
    /// one offered by ALPN; none: those of the pool.
    pub(super) fn new(
        keys: Keys<'_>,
        host: Option<&str>,
        protocol: Option<&[u8]>,
        trusted: &mut Trusted,
    ) -> Result<Option<Self>, String> {
        if keys.own.is_none() && keys.pool.is_none() {
            return Ok(None);
        }
        let mut terms = terms(keys, trusted)?;
        if let Some(protocol) = protocol {
            terms.alpn = vec![protocol.to_vec()];
        }
        let name = name(keys, host)?;
        let config = Arc::new(terms.client_config());
        Ok(Some(Self { connector: TlsConnector::from(config), name }))
    }

    /// Does the handshake with a backend.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        backend: &Asked,
    ) -> Result<TlsStream<TcpStream>, ProbeFailure> {
        let name = self.name.clone().or_else(|| server_name(backend.name.as_deref()?));
        let name = name.unwrap_or_else(|| backend.address.ip().into());
        let connected = self.connector.connect(name, stream).await;
        connected.map_err(|error| ProbeFailure::of_handshake(&error))
    }
}

/// A backend that is probed.
pub struct Asked {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The name that it was found by.
    pub name: Option<String>,
}

/// What the handshakes have in common.
fn terms(keys: Keys<'_>, trusted: &mut Trusted) -> Result<BackendTerms, String> {
    let none = PoolTls::default();
    let pool = keys.pool.unwrap_or(&none);
    let system = |trusted: &mut Trusted| match pool.authorities.clone() {
        Some(authorities) => Ok(authorities),
        None => trusted.of(None),
    };
    let trust = match keys.own {
        Some(TlsProbe { verify: false, .. }) => Trust::Anyone,
        Some(TlsProbe { ca_file: Some(file), .. }) => Trust::Only(trusted.of(Some(file))?),
        None if !pool.verify => Trust::Anyone,
        _ => Trust::Only(system(trusted)?),
    };
    Ok(BackendTerms { trust, ..pool.terms(&Authorities::joined([])) })
}

/// The server name to send and to verify, if it is that of all backends.
fn name(keys: Keys<'_>, host: Option<&str>) -> Result<Option<ServerName<'static>>, String> {
    let sni = match keys.own {
        Some(own) => own.sni.as_deref(),
        None => keys.pool.and_then(|pool| pool.sni.as_deref()),
    };
    if let Some(sni) = sni {
        let wrong = || format!("`sni` \"{sni}\" is no name of a host: give one as in a URL");
        return server_name(sni).map(Some).ok_or_else(wrong);
    }
    // Clients of the pool have no Host field that its TLS goes by.
    let host = host.filter(|_| keys.pool.is_none());
    let without_port = host.map(|host| host.split_once(':').map_or(host, |(name, _)| name));
    let name = without_port.and_then(|host| ServerName::try_from(host.to_owned()).ok());
    Ok(name.filter(|name| matches!(name, ServerName::DnsName(_))))
}

/// Trusted certificates, each file read once: for all probes that are made at the same moment, and
/// then dropped, since their files may change.
#[derive(Default)]
pub struct Trusted {
    /// By `ca_file`; none: the system's.
    read: HashMap<Option<PathBuf>, Result<Authorities, String>>,
}

impl Trusted {
    fn of(&mut self, ca_file: Option<&Path>) -> Result<Authorities, String> {
        let read = || ca_file.map_or_else(of_system, of_file);
        self.read.entry(ca_file.map(Path::to_owned)).or_insert_with(read).clone()
    }
}

fn of_file(path: &Path) -> Result<Authorities, String> {
    let wrong = |wrong: String| format!("`ca_file` {} {wrong}", path.display());
    let read = file::read_regular(path, FILE_BYTES_MAX);
    let pem = read.map_err(|error| wrong(format!("cannot be read: {error}; give a PEM file")))?;
    Authorities::read(&pem).map_err(|fault| fault.sentence(&path.display()))
}

fn of_system() -> Result<Authorities, String> {
    // Systems have invalid certificates among valid ones; only none at all is an error.
    let authorities = Authorities::of_system(trusted());
    if authorities.is_empty() {
        return Err(format!("{NO_CERTIFICATES}, or give `ca_file`"));
    }
    Ok(authorities)
}
