//! A client of HTTP/2 in this process, by hyper, over plain TCP.

use super::super::harness::PATIENCE;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::ext::Protocol;
use hyper::header::HeaderMap;
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Body = BoxBody<Bytes, Infallible>;

/// See the module.
pub struct Http2Client {
    runtime: tokio::runtime::Runtime,
    sender: SendRequest<Body>,
    authority: String,
}

/// An answer in whole.
pub struct Answered {
    pub status: StatusCode,
    pub fields: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

impl Answered {
    /// A field of the head or, as in answers without a body, of the trailers.
    pub fn field(&self, name: &str) -> Option<&str> {
        let value = self.fields.get(name).or_else(|| self.trailers.get(name))?;
        value.to_str().ok()
    }
}

/// A tunnel on a stream.
pub struct Tunnel {
    runtime: tokio::runtime::Handle,
    pub fields: HeaderMap,
    stream: TokioIo<Upgraded>,
}

impl Tunnel {
    pub fn says(&mut self, bytes: &[u8]) {
        self.runtime.block_on(self.stream.write_all(bytes)).expect("sent");
    }

    /// The next bytes, as many as are expected.
    pub fn hears(&mut self, bytes: usize) -> Vec<u8> {
        let mut heard = vec![0; bytes];
        let read = self.stream.read_exact(&mut heard);
        let read = async { tokio::time::timeout(PATIENCE, read).await.expect("in time") };
        self.runtime.block_on(read).expect("the tunnel is open");
        heard
    }

    /// Ends the client's direction.
    pub fn ends(&mut self) {
        self.runtime.block_on(self.stream.shutdown()).expect("ended");
    }

    /// All that comes until the end; false if that is no orderly one.
    pub fn hears_the_end(&mut self) -> (Vec<u8>, bool) {
        let mut heard = Vec::new();
        let read = self.stream.read_to_end(&mut heard);
        let read = async { tokio::time::timeout(PATIENCE, read).await.expect("in time") };
        let is_orderly = self.runtime.block_on(read).is_ok();
        (heard, is_orderly)
    }
}

impl Http2Client {
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread");
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
            let (sender, connection) = Builder::new(TokioExecutor::new())
                .handshake(TokioIo::new(stream))
                .await
                .expect("it speaks HTTP/2");
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender, authority: address.to_string() }
    }

    /// Asks, and waits for the whole answer; none if the stream is cut short.
    pub fn asks(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
        trailers: Option<HeaderMap>,
    ) -> Option<Answered> {
        let uri = format!("http://{}{path}", self.authority);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body));
        let body = match trailers {
            Some(trailers) => body.with_trailers(async { Some(Ok(trailers)) }).boxed(),
            None => body.boxed(),
        };
        let request = request.body(body).expect("a request");
        let mut sender = self.sender.clone();
        self.runtime.block_on(async move {
            let answered = async move {
                let response = sender.send_request(request).await.ok()?;
                let (head, body) = response.into_parts();
                let collected = body.collect().await.ok()?;
                let trailers = collected.trailers().cloned().unwrap_or_default();
                let (status, fields) = (head.status, head.headers);
                Some(Answered { status, fields, body: collected.to_bytes().to_vec(), trailers })
            };
            tokio::time::timeout(PATIENCE, answered).await.expect("an answer in time")
        })
    }

    pub fn gets(&self, path: &str) -> Answered {
        self.asks("GET", path, &[], b"", None).expect("an answer")
    }

    /// Opens a tunnel: with a protocol by extended CONNECT, else by CONNECT. The status, if it is
    /// not opened.
    pub fn opens(&self, protocol: Option<&'static str>, path: &str) -> Result<Tunnel, StatusCode> {
        let uri = match protocol {
            Some(_) => format!("http://{}{path}", self.authority),
            None => path.to_owned(),
        };
        let mut request = Request::builder().method("CONNECT").uri(uri);
        if let Some(protocol) = protocol {
            request = request.extension(Protocol::from_static(protocol));
        }
        let request = request.header("sec-websocket-version", "13");
        let request = request.body(Full::new(Bytes::new()).boxed()).expect("a request");
        let mut sender = self.sender.clone();
        let opened = async move {
            let response = sender.send_request(request).await.expect("an answer");
            if !response.status().is_success() {
                return Err(response.status());
            }
            let fields = response.headers().clone();
            let stream = hyper::upgrade::on(response).await.expect("a tunnel");
            Ok((fields, TokioIo::new(stream)))
        };
        let opened = async { tokio::time::timeout(PATIENCE, opened).await.expect("in time") };
        let (fields, stream) = self.runtime.block_on(opened)?;
        Ok(Tunnel { runtime: self.runtime.handle().clone(), fields, stream })
    }

    /// Calls a method of gRPC.
    pub fn calls(&self, path: &str, more: &[(&str, &str)], message: &[u8]) -> Option<Answered> {
        let own = [("content-type", "application/grpc"), ("te", "trailers")];
        let fields = [&own[..], more].concat();
        self.asks("POST", path, &fields, message, None)
    }
}
