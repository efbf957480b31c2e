//! Requests to the authority: over HTTPS, one connection after the other, with names resolved as
//! those of backends are. Does not: follow redirects, which ACME has none of.
//!
//! The library of ACME wants a client that may move between threads, which resolver and connection
//! may not: its requests come over a channel, and are answered where they are.

use crate::coordinator::discovery::Resolvers;
use crate::tls::{Authorities, server_name};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesBody, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use std::cell::Cell;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The User-Agent field (RFC 8555, 6.1).
const AGENT: &str = concat!("ringway/", env!("CARGO_PKG_VERSION"), " instant-acme");
/// How long a connection to one address may take, with its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may take, with its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of the longest answer: a chain of certificates is a few thousand.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The longest time that an authority is waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// The port of `https://` (RFC 9110, 4.2.2).
const HTTPS_PORT: u16 = 443;

/// A request, and where its answer goes.
type Call = (Request<BodyWrapper<Bytes>>, oneshot::Sender<Result<BytesResponse, Error>>);

/// The end that the library has.
pub(super) struct Caller(mpsc::UnboundedSender<Call>);

/// The end that asks the authority.
pub(super) struct Asker {
    calls: mpsc::UnboundedReceiver<Call>,
    resolvers: Rc<Resolvers>,
    connector: TlsConnector,
    /// The connection of the last request.
    kept: Option<Kept>,
    /// What the last refusal asked for.
    retry_after: Rc<Cell<Option<Duration>>>,
}

struct Kept {
    authority: String,
    sender: SendRequest<Full<Bytes>>,
}

/// Both ends of a client that trusts these authorities. What a refusal says in Retry-After is noted
/// in `retry_after`.
pub(super) fn client(
    trusted: &Authorities,
    resolvers: Rc<Resolvers>,
    retry_after: Rc<Cell<Option<Duration>>>,
) -> (Caller, Asker) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("the provider has suites");
    let config = builder.with_root_certificates(trusted.store().clone()).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let (sender, calls) = mpsc::unbounded_channel();
    (Caller(sender), Asker { calls, resolvers, connector, kept: None, retry_after })
}

impl HttpClient for Caller {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (reply, answer) = oneshot::channel();
        // Without anybody to ask, there is no answer either.
        let _ = self.0.send((request, reply));
        Box::pin(async move { answer.await.unwrap_or(Err(Error::Str("nobody asks"))) })
    }
}

impl Asker {
    /// Answers requests until the other end is dropped.
    pub(super) async fn run(mut self) {
        while let Some((request, reply)) = self.calls.recv().await {
            let url = request.uri().to_string();
            let answer = timeout(REQUEST_TIMEOUT, self.ask(request)).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            let answer = answer.map_err(|why| Error::Other(format!("{url}: {why}").into()));
            // Nobody may wait for it any more.
            let _ = reply.send(answer);
        }
    }

    async fn ask(&mut self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, String> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let authority = parts.uri.authority().ok_or("its URL has no host")?.to_string();
        let host = HeaderValue::from_str(&authority).map_err(|error| error.to_string())?;
        parts.headers.insert(HOST, host);
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let path = parts.uri.path_and_query().cloned();
        let uri = std::mem::replace(
            &mut parts.uri,
            path.unwrap_or(PathAndQuery::from_static("/")).into(),
        );
        let request = Request::from_parts(parts, Full::new(body));
        let kept = self.kept.take().filter(|kept| kept.authority == authority);
        // A connection that was kept may have been closed meanwhile: then another one is used.
        if let Some(Kept { mut sender, .. }) = kept
            && sender.ready().await.is_ok()
            && let Ok(answer) = sender.send_request(request.clone()).await
        {
            return self.take(answer, Kept { authority, sender }).await;
        }
        let mut sender = self.connect(&uri).await?;
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        self.take(answer, Kept { authority, sender }).await
    }

    /// Reads an answer to its end.
    async fn take(
        &mut self,
        answer: Response<Incoming>,
        kept: Kept,
    ) -> Result<BytesResponse, String> {
        let (mut parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        self.kept = Some(kept);
        let value = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = value.and_then(|text| retry_after(text, SystemTime::now()));
        if asked.is_some_and(|asked| asked > RETRY_AFTER_MAX) {
            // The library adds it to the time of day, which it must not go beyond.
            parts.headers.insert(RETRY_AFTER, RETRY_AFTER_MAX.as_secs().into());
        }
        let status = parts.status;
        if status.is_client_error() || status.is_server_error() {
            if let Some(asked) = asked {
                self.retry_after.set(Some(asked.min(RETRY_AFTER_MAX)));
            }
            if serde_json::from_slice::<serde_json::Value>(&body).is_err() {
                return Err(format!("answered with {status}"));
            }
        }
        let body: Box<dyn BytesBody> = Box::new(body);
        Ok(BytesResponse { parts, body })
    }

    async fn connect(&self, uri: &Uri) -> Result<SendRequest<Full<Bytes>>, String> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(HTTPS_PORT);
        let ips = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => self.resolvers.current()?.ips(&host).await?,
        };
        let mut failure = format!("{host} has no address");
        for ip in ips {
            let connecting = self.connect_to(SocketAddr::new(ip, port), &host);
            failure = match timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(sender)) => return Ok(sender),
                Ok(Err(error)) => error,
                Err(_) => format!("no connection to {ip} in time"),
            };
        }
        Err(failure)
    }

    async fn connect_to(
        &self,
        address: SocketAddr,
        host: &str,
    ) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| format!("no connection to {address}: {error}"))?;
        let name = server_name(host).ok_or_else(|| format!("`{host}` is no name of a host"))?;
        let stream = self.connector.connect(name, stream).await;
        let stream = stream.map_err(|error| format!("TLS with {address}: {error}"))?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| error.to_string())?;
        // It ends with its sender.
        tokio::task::spawn_local(connection);
        Ok(sender)
    }
}

/// The value of Retry-After (RFC 9110, 10.2.3) as a span from now on.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text.trim()).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_700);
        let read = |text: &str| retry_after(text, now).map(|span| span.as_secs());
        assert_eq!(read(" 120"), Some(120));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(77));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!((read("soon"), read("-1")), (None, None));
    }
}
