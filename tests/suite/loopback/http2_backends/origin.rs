//! A server of HTTP/2 in this process, by hyper, over plain TCP.

use super::super::harness::PATIENCE;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::ext::Protocol;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, watch};

type Fault = Box<dyn std::error::Error + Send + Sync>;
type Answer = BoxBody<Bytes, Fault>;

/// What has happened at an origin.
#[derive(Default)]
pub struct Tally {
    pub connections: AtomicUsize,
    pub requests: AtomicUsize,
    /// Requests whose body was cut short.
    pub cut: AtomicUsize,
    /// Requests to `/held` that have come.
    pub held: AtomicUsize,
}

/// See the module.
pub struct Http2Origin {
    pub address: SocketAddr,
    pub tally: Arc<Tally>,
    /// Requests to `/held` are answered when it has permits.
    pub gate: Arc<Semaphore>,
    goaway: watch::Sender<u32>,
    _runtime: tokio::runtime::Runtime,
}

impl Http2Origin {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// One that accepts tunnels (RFC 8441), and sends back what comes through them.
    pub fn with_tunnels() -> Self {
        Self::with(|server| {
            server.enable_connect_protocol();
        })
    }

    /// With at most so many streams on a connection.
    pub fn with_streams(most: u32) -> Self {
        Self::with(move |server| {
            server.max_concurrent_streams(most);
        })
    }

    fn with(change: impl Fn(&mut http2::Builder<TokioExecutor>) + Send + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread");
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (tally, gate) = (Arc::new(Tally::default()), Arc::new(Semaphore::new(0)));
        let (goaway, told) = watch::channel(0);
        let (counted, gates) = (tally.clone(), gate.clone());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::Relaxed);
                let (tally, gate, mut told) = (counted.clone(), gates.clone(), told.clone());
                told.mark_unchanged();
                let service =
                    service_fn(move |request| answer(request, tally.clone(), gate.clone()));
                let mut server = http2::Builder::new(TokioExecutor::new());
                server.timer(TokioTimer::new());
                change(&mut server);
                tokio::spawn(async move {
                    let mut served = pin!(server.serve_connection(TokioIo::new(stream), service));
                    tokio::select! {
                        _ = served.as_mut() => return,
                        _ = told.changed() => served.as_mut().graceful_shutdown(),
                    }
                    let _ = served.await;
                });
            }
        });
        Self { address, tally, gate, goaway, _runtime: runtime }
    }

    /// Sends GOAWAY on all connections, and closes them once their streams have ended.
    pub fn go_away(&self) {
        self.goaway.send_modify(|times| *times += 1);
    }

    pub fn connections(&self) -> usize {
        self.tally.connections.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> usize {
        self.tally.requests.load(Ordering::Relaxed)
    }
}

fn whole(text: impl Into<Bytes>) -> Answer {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

async fn answer(
    request: Request<Incoming>,
    tally: Arc<Tally>,
    gate: Arc<Semaphore>,
) -> Result<Response<Answer>, Infallible> {
    tally.requests.fetch_add(1, Ordering::Relaxed);
    if request.method() == "CONNECT" {
        return Ok(tunnel(request));
    }
    let path = request.uri().path().to_owned();
    let number = |prefix: &str| path.strip_prefix(prefix).and_then(|text| text.parse().ok());
    if let Some(bytes) = number("/bytes/") {
        return Ok(Response::new(whole(vec![b'x'; bytes])));
    }
    if let Some(bytes) = number("/stream/") {
        return Ok(Response::new(streamed(bytes)));
    }
    if let Some(status) = number("/status/") {
        let response = Response::builder().status(status as u16).body(whole("as asked"));
        return Ok(response.expect("a status"));
    }
    match path.as_str() {
        "/echo" => Ok(Response::new(request.into_body().map_err(Fault::from).boxed())),
        "/count" => Ok(Response::new(count(request.into_body(), &tally).await)),
        "/head" => Ok(Response::new(whole(head_of(&request)))),
        "/trailers" => Ok(with_trailers(request.into_body().collect().await.ok())),
        "/grpc.health.v1.Health/Check" => Ok(serving()),
        "/early" => {
            let response = Response::builder().status(413).body(whole("too much"));
            Ok(response.expect("a response"))
        }
        "/held" => {
            tally.held.fetch_add(1, Ordering::Relaxed);
            let permit = tokio::time::timeout(PATIENCE, gate.acquire()).await;
            permit.expect("the gate opens").expect("it is there").forget();
            Ok(Response::new(whole("held")))
        }
        _ => Ok(Response::new(whole("hello"))),
    }
}

/// Opens a tunnel that says its head first, and then what it hears.
fn tunnel(request: Request<Incoming>) -> Response<Answer> {
    let protocol = request.extensions().get::<Protocol>().map(|one| one.as_str().to_owned());
    let head = format!("{}{}\n", head_of(&request), protocol.unwrap_or_default());
    tokio::spawn(async move {
        let stream = hyper::upgrade::on(request).await.expect("a tunnel");
        let (mut from, mut to) = tokio::io::split(TokioIo::new(stream));
        let _ = to.write_all(head.as_bytes()).await;
        let _ = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
    });
    Response::new(whole(""))
}

/// The bytes of a body, and what is wrong with them: they count up.
async fn count(body: Incoming, tally: &Tally) -> Answer {
    let mut body = pin!(body);
    let (mut bytes, mut wrong) = (0_u64, 0_u64);
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
    {
        let Ok(frame) = frame else {
            tally.cut.fetch_add(1, Ordering::Relaxed);
            return whole("cut");
        };
        for byte in frame.data_ref().into_iter().flatten() {
            wrong += u64::from(*byte != (bytes % 251) as u8);
            bytes += 1;
        }
    }
    whole(format!("{bytes} {wrong}"))
}

/// So many bytes that count up, of no stated length.
fn streamed(bytes: usize) -> Answer {
    Counting { at: 0, end: bytes }.boxed()
}

struct Counting {
    at: usize,
    end: usize,
}

impl Body for Counting {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let (start, end) = (self.at, (self.at + 5_000).min(self.end));
        self.at = end;
        let part: Vec<u8> = (start..end).map(|at| (at % 251) as u8).collect();
        Poll::Ready((start < end).then(|| Ok(Frame::data(Bytes::from(part)))))
    }
}

/// The answer of grpc.health.v1 of a service that is served.
fn serving() -> Response<Answer> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from_static(b"\0\0\0\0\x02\x08\x01"));
    let body = body.with_trailers(async { Some(Ok(trailers)) });
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(body.map_err(|never| match never {}).boxed()).expect("a response")
}

/// The pseudo-fields and fields of a request, as they came.
fn head_of(request: &Request<Incoming>) -> String {
    let mut text = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
    }
    text
}

/// The body of a request and its trailers, and one more.
fn with_trailers(collected: Option<http_body_util::Collected<Bytes>>) -> Response<Answer> {
    let collected = collected.expect("a whole request");
    let mut trailers = collected.trailers().cloned().unwrap_or_else(HeaderMap::new);
    trailers.insert(HeaderName::from_static("x-of-origin"), HeaderValue::from_static("at the end"));
    let body = Full::new(collected.to_bytes());
    Response::new(
        body.with_trailers(async { Some(Ok(trailers)) }).map_err(|never| match never {}).boxed(),
    )
}
