//! The sockets of the admin interface: the check of users, and a task for each connection.

use super::bounded::Bounded;
use super::places::{Places, Taken};
use super::routing::{self, Asker, Shared};
use crate::config;
use crate::coordinator::control::Control;
use crate::coordinator::reload::Reloads;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::RefCell;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The timeout of the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// The timeout of a client that does not read its answer.
const STALL_MAX: Duration = Duration::from_secs(10);
/// Connections to each of the two sockets at the same moment.
const CONNECTIONS_MAX: usize = 256;

/// Why the admin interface cannot be opened.
#[derive(Debug)]
pub enum AdminError {
    /// Another process answers on the socket.
    InUse(PathBuf),
    /// A file that is no socket has its name: it may be data.
    NoSocket(PathBuf),
    /// An error of the system.
    Io(String, io::Error),
}

impl std::fmt::Display for AdminError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse(path) => write!(
                f,
                "another process answers on the admin socket {}: give this one a socket of its \
                 own (--admin PATH), or none (--admin \"\")",
                path.display()
            ),
            Self::NoSocket(path) => write!(
                f,
                "{} is there and is no socket: give the admin interface a path of its own \
                 (--admin PATH), or remove what is there",
                path.display()
            ),
            Self::Io(place, error) => {
                write!(f, "cannot open the admin interface on {place}: {error}")
            }
        }
    }
}

impl std::error::Error for AdminError {}

/// The sockets, open; the Unix socket's file goes with this.
#[derive(Default)]
pub struct Admin {
    unix: Option<(UnixListener, PathBuf)>,
    tcp: Option<TcpListener>,
    allow_uids: Vec<u32>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.unix {
            // It may be removed already, which is no error.
            let _ = fs::remove_file(path);
        }
    }
}

/// Opens what is configured. The default Unix socket may fail: that is logged, and the process
/// goes on without.
///
/// # Errors
/// If what was asked for cannot be opened.
pub fn bind(admin: &config::Admin) -> Result<Admin, AdminError> {
    let mut opened = Admin { unix: None, tcp: None, allow_uids: admin.allow_uids.clone() };
    if let Some(path) = &admin.socket {
        let is_default = path == Path::new(config::ADMIN_SOCKET_DEFAULT);
        match bind_unix(path) {
            Ok((listener, uid)) => {
                opened.unix = Some((listener, path.clone()));
                opened.allow_uids.extend([0, uid]);
            }
            Err(error) if is_default => tracing::warn!("{error}; going on without"),
            Err(error) => return Err(error),
        }
    }
    if let Some(address) = admin.listen {
        opened.tcp = Some(bind_tcp(address)?);
    }
    Ok(opened)
}

fn bind_unix(path: &Path) -> Result<(UnixListener, u32), AdminError> {
    let failed = |error| AdminError::Io(path.display().to_string(), error);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    make_way(path)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    let uid = fs::metadata(path).map_err(failed)?.uid();
    Ok((listener, uid))
}

/// Removes the socket that an earlier process left behind, and nothing else.
fn make_way(path: &Path) -> Result<(), AdminError> {
    let failed = |error| AdminError::Io(path.display().to_string(), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(AdminError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(AdminError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener, AdminError> {
    let failed = |error| AdminError::Io(address.to_string(), error);
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    TcpListener::from_std(listener).map_err(failed)
}

impl Admin {
    /// The address of the TCP interface, with the kernel's choice for port 0.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// Serves until dropped.
    pub async fn serve(mut self, control: Rc<RefCell<Control>>, reloads: Rc<Reloads>) {
        let shared = Rc::new(Shared::new(control, reloads, self.tcp_address()));
        let (tcp, allow_uids) = (self.tcp.take(), std::mem::take(&mut self.allow_uids));
        let unix = async {
            match &self.unix {
                Some((listener, _)) => serve_unix(listener, &allow_uids, &shared).await,
                None => std::future::pending().await,
            }
        };
        let tcp = async {
            match &tcp {
                Some(listener) => serve_tcp(listener, &shared).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(unix, tcp);
    }
}

async fn serve_unix(listener: &UnixListener, allow_uids: &[u32], shared: &Rc<Shared>) {
    let places = Places::new(CONNECTIONS_MAX);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Some(asker) = admitted(&stream, allow_uids) {
                    spawn(stream, asker, shared, places.take().await);
                }
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn serve_tcp(listener: &TcpListener, shared: &Rc<Shared>) {
    let places = Places::new(CONNECTIONS_MAX);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let asker = Asker { name: peer.to_string(), may_order: false };
                spawn(stream, asker, shared, places.take().await);
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// Pauses after a failed accept, most likely for want of descriptors.
async fn pause(error: &io::Error) {
    tracing::warn!(%error, "the admin interface cannot take a connection for the moment");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// The user at the other end, if that user is allowed.
fn admitted(stream: &UnixStream, allow_uids: &[u32]) -> Option<Asker> {
    let credentials = stream.peer_cred().ok()?;
    let uid = credentials.uid();
    if !allow_uids.contains(&uid) {
        tracing::warn!(uid, "a user who is not allowed was refused on the admin socket");
        return None;
    }
    let pid = credentials.pid().map(|pid| format!(", pid {pid}")).unwrap_or_default();
    Some(Asker { name: format!("uid {uid}{pid}"), may_order: true })
}

fn spawn<S>(stream: S, asker: Asker, shared: &Rc<Shared>, taken: Taken)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (shared, taken) = (shared.clone(), Rc::new(taken));
    tokio::task::spawn_local(async move {
        let place = taken.clone();
        let service = service_fn(move |request| {
            let (shared, asker, taken) = (shared.clone(), asker.clone(), taken.clone());
            async move {
                taken.begin();
                let reply = routing::answer(shared, asker, request).await;
                taken.end();
                Ok::<_, Infallible>(reply)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .serve_connection(TokioIo::new(Bounded::new(stream, STALL_MAX)), service);
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "a connection to the admin interface failed");
            },
            () = place.lost() => {}
        }
    });
}
