//! One request over the admin socket at a time.

use crate::cli::Failed;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// See the module.
pub(super) struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) value: Value,
}

impl Client {
    pub(super) fn new(socket: &Path) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { socket: socket.to_owned(), runtime })
    }

    pub(super) fn get(&self, path: &str) -> Result<Reply, Failed> {
        self.send("GET", path, String::new())
    }

    pub(super) fn send(&self, method: &str, path: &str, body: String) -> Result<Reply, Failed> {
        self.runtime.block_on(self.exchange(method, path, body))
    }

    async fn exchange(&self, method: &str, path: &str, body: String) -> Result<Reply, Failed> {
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|error| self.absent(&error))?;
        let lost = |error: hyper::Error| {
            Failed::Error(format!("the process did not answer: {error}").into())
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "ringway")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failed::Error(error.into()))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, body))
        };
        // The connection has to be driven beside the exchange; it ends with it.
        tokio::pin!(connection);
        let (status, body) = tokio::select! {
            result = exchange => result.map_err(lost)?,
            result = &mut connection => {
                let ended = result.err().map_or_else(|| "closed".into(), |error| error.to_string());
                return Err(Failed::Error(format!("the process did not answer: {ended}").into()));
            }
        };
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        let value = serde_json::from_slice(&body).unwrap_or_else(|_| text());
        Ok(Reply { status, value })
    }

    fn absent(&self, error: &io::Error) -> Failed {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => "you may not use it: see allow_uids",
            _ => "does the process run, and with this socket? (--admin SOCKET)",
        };
        let socket = self.socket.display();
        Failed::NobodyAnswers(format!("cannot reach the admin socket {socket}: {error}; {hint}"))
    }
}

impl Reply {
    /// The answer, if it is no refusal.
    pub(super) fn checked(self) -> Result<Self, Failed> {
        if self.status < 400 {
            return Ok(self);
        }
        let error = self.value["error"].as_str().map(str::to_owned);
        let error = error.unwrap_or_else(|| format!("status {}: {}", self.status, self.value));
        Err(Failed::Error(error.into()))
    }

    /// Of a list of pools only one, if one is asked for.
    pub(super) fn filtered(mut self, pool: Option<&str>) -> Result<Self, Failed> {
        let (Some(pool), Some(pools)) = (pool, self.value.as_array_mut()) else {
            return Ok(self);
        };
        let known: Vec<String> =
            pools.iter().filter_map(|p| p["name"].as_str()).map(str::to_owned).collect();
        pools.retain(|known| known["name"] == pool);
        if pools.is_empty() {
            let known = known.join(", ");
            let error = format!("there is no pool `{pool}`; it can be {known}");
            return Err(Failed::Error(error.into()));
        }
        Ok(self)
    }
}
