//! A client of HTTP/2 in this process, by hyper, over plain TCP.

use super::super::harness::PATIENCE;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;

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

    /// Calls a method of gRPC.
    pub fn calls(&self, path: &str, more: &[(&str, &str)], message: &[u8]) -> Option<Answered> {
        let own = [("content-type", "application/grpc"), ("te", "trailers")];
        let fields = [&own[..], more].concat();
        self.asks("POST", path, &fields, message, None)
    }
}
