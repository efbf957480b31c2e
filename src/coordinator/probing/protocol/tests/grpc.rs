//! Probes by grpc.health.v1.

use super::tls::Identity;
use super::*;
use crate::config::TlsProbe;
use crate::coordinator::probing::protocol::ProbeStage;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// What a health service answers.
#[derive(Clone, Copy)]
struct Reply {
    status: u16,
    content_type: &'static str,
    message: &'static [u8],
    /// Absent if empty.
    grpc_status: &'static str,
}

const SERVING: Reply = Reply {
    status: 200,
    content_type: "application/grpc+proto",
    message: b"\0\0\0\0\x02\x08\x01",
    grpc_status: "0",
};

const UNIMPLEMENTED: Reply = Reply { message: b"", grpc_status: "12", ..SERVING };

async fn answer(
    request: Request<Incoming>,
    reply: Reply,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    let asked = request.into_body().collect().await.expect("a message").to_bytes();
    assert_eq!(asked, &b"\0\0\0\0\x06\x0A\x04shop"[..]);
    let mut trailers = HeaderMap::new();
    if !reply.grpc_status.is_empty() {
        trailers.insert("grpc-status", HeaderValue::from_static(reply.grpc_status));
        trailers.insert("grpc-message", HeaderValue::from_static("as told"));
    }
    let body = Full::new(Bytes::from_static(reply.message));
    let response = Response::builder()
        .status(reply.status)
        .header("content-type", reply.content_type)
        .body(body.with_trailers(async { Some(Ok(trailers)) }));
    Ok(response.expect("a response"))
}

async fn serve_on(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, reply: Reply) {
    let service = service_fn(move |request| answer(request, reply));
    let server = http2::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// A server of one connection.
async fn serve(reply: Reply, acceptor: Option<TlsAcceptor>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        match acceptor {
            None => serve_on(stream, reply).await,
            Some(acceptor) => {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve_on(stream, reply).await;
                }
            }
        }
    });
    address
}

fn check(tls: Option<TlsProbe>) -> ProbeKind {
    ProbeKind::Grpc { service: "shop".to_owned(), tls }
}

async fn after(reply: Reply) -> Result<(), ProbeFailure> {
    ask(&probe_of(check(None)), serve(reply, None).await).await
}

#[tokio::test]
async fn serving_passes() {
    assert_eq!(after(SERVING).await, Ok(()));
}

#[tokio::test]
async fn all_else_does_not_serve_and_says_how() {
    for (reply, text) in [
        (Reply { message: b"\0\0\0\0\x02\x08\x02", ..SERVING }, "NOT_SERVING"),
        (Reply { message: b"\0\0\0\0\x02\x08\x03", ..SERVING }, "SERVICE_UNKNOWN"),
        (Reply { message: b"\0\0\0\0\0", ..SERVING }, "UNKNOWN"),
        (Reply { message: b"\0\0\0\0\x02\x08\x09", ..SERVING }, "status 9"),
        (UNIMPLEMENTED, "grpc-status 12 (UNIMPLEMENTED): as told"),
        (Reply { grpc_status: "99", ..UNIMPLEMENTED }, "grpc-status 99 (no known code): as told"),
        (Reply { grpc_status: "14", ..SERVING }, "grpc-status 14 (UNAVAILABLE): as told"),
    ] {
        assert_eq!(after(reply).await, Err(ProbeFailure::NotServing(text.to_owned())));
    }
}

#[tokio::test]
async fn what_is_no_grpc_is_told_apart() {
    let found = after(Reply { status: 404, ..SERVING }).await;
    assert_eq!(found, Err(ProbeFailure::Status(404)));
    for reply in [
        Reply { content_type: "text/html", ..SERVING },
        Reply { grpc_status: "", ..SERVING },
        Reply { message: b"", ..SERVING },
        Reply { message: b"\0\0\0\0\x05\x08\x01", ..SERVING },
    ] {
        let found = after(reply).await;
        assert!(matches!(found, Err(ProbeFailure::Malformed(_))), "{found:?}");
    }
}

#[tokio::test]
async fn what_is_no_http2_is_malformed_or_ends_early() {
    let (address, _) = origin(|mut stream| {
        say(&mut stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        stay_silent(stream);
    });
    let found = ask(&probe_of(check(None)), address).await;
    assert!(matches!(found, Err(ProbeFailure::Malformed(_))), "{found:?}");

    let (address, _) = origin(|mut stream| {
        read_until(&mut stream, b"SM\r\n\r\n");
    });
    let found = ask(&probe_of(check(None)), address).await;
    assert_eq!(found, Err(ProbeFailure::ClosedEarly));
}

#[tokio::test]
async fn silence_times_out() {
    let (address, _) = origin(stay_silent);
    let timed_out = ProbeFailure::TimedOut { stage: ProbeStage::Answering };
    assert_eq!(ask(&hasty(check(None)), address).await, Err(timed_out));
}

#[tokio::test]
async fn it_is_asked_over_tls_where_http2_is_offered() {
    let identity = Identity::of(&["shop.test"]);
    let tls = TlsProbe {
        sni: Some("shop.test".to_owned()),
        ca_file: Some(identity.file.clone()),
        ..TlsProbe::default()
    };
    let probe = probe_of(check(Some(tls)));
    let address = serve(SERVING, Some(identity.acceptor(b"h2"))).await;
    assert_eq!(ask(&probe, address).await, Ok(()));
    for protocol in [&b""[..], b"http/1.1"] {
        let address = serve(SERVING, Some(identity.acceptor(protocol))).await;
        let found = ask(&probe, address).await;
        assert!(matches!(found, Err(ProbeFailure::Tls(_))), "{found:?}");
    }
}

/// A probe that is over must not leave a connection behind.
#[tokio::test]
async fn a_probe_given_up_ends_its_connection() {
    let (address, origin) = origin(stay_silent);
    let probe = hasty(check(None));
    assert!(ask(&probe, address).await.is_err());
    origin.join().expect("the stream has ended");
}
