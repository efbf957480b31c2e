//! One request over the admin socket at a time.

use crate::cli::Failed;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ringway::coordinator::admin::APPLY_MAX;
use ringway::coordinator::fleet::no_pool;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// The timeout of an answer, besides the time that shards may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// See the module.
pub(super) struct Client {
    socket: PathBuf,
    /// See [`PATIENCE`].
    patience: Duration,
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
        Ok(Self { socket: socket.to_owned(), patience: PATIENCE, runtime })
    }

    /// A question, answered at once.
    pub(super) fn get(&self, path: &str) -> Result<Reply, Failed> {
        self.send("GET", path, String::new())
    }

    /// A request that is answered at once.
    pub(super) fn send(&self, method: &str, path: &str, body: String) -> Result<Reply, Failed> {
        self.within(self.patience, method, path, body)
    }

    /// An order that is answered when every shard has applied it.
    pub(super) fn order(&self, method: &str, path: &str, body: String) -> Result<Reply, Failed> {
        self.within(self.patience + APPLY_MAX, method, path, body)
    }

    /// A question that is answered at the next event.
    pub(super) fn follow(&self, path: &str) -> Result<Reply, Failed> {
        self.runtime.block_on(self.exchange("GET", path, String::new()))
    }

    fn within(
        &self,
        limit: Duration,
        method: &str,
        path: &str,
        body: String,
    ) -> Result<Reply, Failed> {
        let exchange = self.exchange(method, path, body);
        let bounded = async { tokio::time::timeout(limit, exchange).await };
        self.runtime.block_on(bounded).unwrap_or_else(|_| Err(self.silent(limit, method)))
    }

    async fn exchange(&self, method: &str, path: &str, body: String) -> Result<Reply, Failed> {
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|error| self.absent(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.lost(&error))?;
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
        tokio::pin!(exchange, connection);
        // The connection has to be driven beside the exchange, and may end before its answer is
        // read.
        let result = tokio::select! {
            result = &mut exchange => result,
            ended = &mut connection => {
                let result = exchange.await;
                result.map_err(|error| ended.err().unwrap_or(error))
            }
        };
        let (status, body) = result.map_err(|error| self.lost(&error))?;
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        let value = serde_json::from_slice(&body).unwrap_or_else(|_| text());
        Ok(Reply { status, value })
    }

    fn absent(&self, error: &io::Error) -> Failed {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => "you may not use it: see allow_uids",
            io::ErrorKind::WouldBlock => "too many wait there: is the process stopped?",
            _ => "does the process run, and with this socket? (--admin SOCKET)",
        };
        let socket = self.socket.display();
        Failed::NoAnswer(format!("cannot reach the admin socket {socket}: {error}; {hint}"))
    }

    /// The error of a connection that ended without an answer, as for users who are not allowed.
    fn lost(&self, error: &hyper::Error) -> Failed {
        let socket = self.socket.display();
        if error.is_parse() {
            let error = format!("what answers on {socket} is not Ringway: {error}");
            return Failed::Error(error.into());
        }
        Failed::NoAnswer(format!(
            "the process took the connection to the admin socket {socket} and ended it without an \
             answer ({error}): you may not use it, see allow_uids; or it ends just now"
        ))
    }

    fn silent(&self, limit: Duration, method: &str) -> Failed {
        let (socket, limit) = (self.socket.display(), limit.as_secs());
        let order = match method {
            "GET" => "",
            _ => "; whether it has followed the order is not known: see `ringway events`",
        };
        Failed::NoAnswer(format!(
            "the process does not answer on the admin socket {socket} within {limit} s: look at \
             its log, and whether it is stopped (T in `ps -C ringway -o pid,stat`) or has no CPU \
             left (`top`){order}"
        ))
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

    /// Filters a list of pools by name, if there is one.
    pub(super) fn filtered(mut self, pool: Option<&str>) -> Result<Self, Failed> {
        let (Some(pool), Some(pools)) = (pool, self.value.as_array_mut()) else {
            return Ok(self);
        };
        let known: Vec<String> =
            pools.iter().filter_map(|p| p["name"].as_str()).map(str::to_owned).collect();
        pools.retain(|known| known["name"] == pool);
        if pools.is_empty() {
            return Err(Failed::Error(no_pool(pool, &known).into()));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_answer_is_given_up() {
        let name = format!("ringway-silent-{}.sock", std::process::id());
        let socket = std::env::temp_dir().join(name);
        // Connections wait in the backlog of a process that is stopped.
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let client = Client::new(&socket).expect("a runtime");
        let client = Client { patience: Duration::from_millis(1), ..client };
        let failed = client.get("/status").err();
        std::fs::remove_file(&socket).expect("it is ours");
        let Some(Failed::NoAnswer(message)) = failed else { panic!("{failed:?}") };
        assert!(message.contains("does not answer") && message.contains("stat"), "{message}");
        drop(listener);
    }
}
