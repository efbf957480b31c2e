//! Probes and their files: not what they should be, or changed.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, await_that, connect, ok, read_request, read_until, status};
use crate::loopback::load::{Operated, OriginProcess, signed};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};

/// An origin that answers over TLS, and the certificate that it shows (PEM).
fn tls_origin() -> (Origin, String) {
    let identity = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).expect("made");
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], PrivateKeyDer::Pkcs8(key));
    let config = Arc::new(config.expect("a key"));
    let origin = Origin::start(move |mut socket| {
        let mut connection = ServerConnection::new(config.clone()).expect("a configuration");
        let mut stream = Stream::new(&mut connection, &mut socket);
        let mut request = Vec::new();
        let mut bytes = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            // Whoever does not trust the certificate ends the handshake.
            let Ok(length @ 1..) = stream.read(&mut bytes) else { return };
            request.extend_from_slice(&bytes[..length]);
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    (origin, identity.cert.pem())
}

#[test]
fn a_reload_reads_the_trusted_certificates_anew() {
    let (origin, pem) = tls_origin();
    let (_, foreign) = tls_origin();
    let probe = format!("{QUICK}protocol = \"https\"\nsni = \"shop.test\"\nca_file = \"ca.pem\"\n");
    let operated = Operated::start_with(&config(&[origin.address], "", &probe), |folder, _| {
        std::fs::write(folder.join("ca.pem"), &pem).expect("written");
    });
    operated.await_standing(origin.address, "serving");
    for (trusted, standing) in [(foreign, "down"), (pem, "serving")] {
        let file = operated.file.with_file_name("ca.pem");
        std::fs::write(file, trusted).expect("written");
        operated.done(&["reload"]);
        operated.await_standing(origin.address, standing);
    }
}

#[test]
fn a_file_without_certificates_is_refused() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    let file = operated.file.with_file_name("ca.pem");
    std::fs::write(file, "hello").expect("written");
    let over_tls = format!("{QUICK}protocol = \"https\"\nca_file = \"ca.pem\"\n");
    operated.rewrite(&config(&[origin.address], "", &over_tls));
    let (status, text) = operated.verb(&["reload"]);
    assert!(status == 1 && text.contains("`ca.pem` is not PEM"), "{text}");
}

#[test]
fn a_probe_that_cannot_be_made_leaves_the_one_before_until_it_can() {
    let origin = OriginProcess::start();
    let plain = config(&[origin.address], "", QUICK);
    let mut roots = None;
    let operated = Operated::start_with(&plain, |folder, command| {
        let file = roots.insert(folder.join("roots.pem"));
        std::fs::write(&*file, "hello").expect("written");
        command.env("SSL_CERT_FILE", file);
    });
    operated.await_standing(origin.address, "serving");
    let over_tls = config(&[origin.address], "", &format!("{QUICK}protocol = \"https\"\n"));
    operated.rewrite(&over_tls);
    operated.done(&["reload"]);
    let told = || operated.done(&["events"]).matches("no trusted certificates").count();
    await_that("it is told", || told() == 1);
    operated.done(&["reload"]);
    await_that("who reloads is told anew", || told() == 2);
    origin.kill();
    operated.await_standing(origin.address, "down");
    origin.restart();
    operated.await_standing(origin.address, "serving");
    let identity = rcgen::generate_simple_self_signed(["shop.test".to_owned()]);
    let pem = identity.expect("a certificate").cert.pem();
    std::fs::write(roots.expect("it was prepared"), pem).expect("written");
    // The origin speaks no TLS.
    operated.await_standing(origin.address, "down");
    assert_eq!(told(), 2, "once for each time that somebody might have mended it");
}

/// An origin that hangs, and says so to its probes, once it is asked for `/poison`, until `over`.
fn poisonable(poisoned: &Arc<AtomicUsize>, over: &Arc<(Mutex<bool>, Condvar)>) -> Origin {
    let (poisoned, over) = (poisoned.clone(), over.clone());
    let hangs = AtomicBool::new(false);
    Origin::http(move |head, _| {
        if head.contains(" /poison ") {
            hangs.store(true, Ordering::SeqCst);
            poisoned.fetch_add(1, Ordering::SeqCst);
            let (is_over, told) = &*over;
            let is_over = is_over.lock().expect("no panic");
            drop(told.wait_while(is_over, |is_over| !*is_over).expect("no panic"));
        }
        if hangs.load(Ordering::SeqCst) {
            return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        signed("one", b"x")
    })
}

#[test]
fn a_request_that_takes_its_backends_down_is_given_to_two_of_them_at_most() {
    let (poisoned, over) = (Arc::default(), Arc::default());
    let origins: Vec<Origin> = (0..5).map(|_| poisonable(&poisoned, &over)).collect();
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let probe = format!("{QUICK}protocol = \"http\"\n");
    let operated = Operated::start(&config(&addresses, "slow_start = \"0s\"", &probe));
    for method in ["GET", "DELETE"] {
        let before = poisoned.load(Ordering::SeqCst);
        let mut client = connect(operated.ringway.address);
        let request = format!("{method} /poison HTTP/1.1\r\nHost: t\r\n\r\n");
        client.write_all(request.as_bytes()).expect("sent");
        let answer = read_until(&mut client, b"\r\n\r\n");
        assert_eq!(status(&answer), 502, "{}", String::from_utf8_lossy(&answer));
        assert_eq!(poisoned.load(Ordering::SeqCst), before + 2);
    }
    assert_eq!(operated.ringway.status_of("/"), 200, "one of five is left");
    *over.0.lock().expect("no panic") = true;
    over.1.notify_all();
}

/// Asserts that a backend serves, is down once `is_well` is not, and comes back with it.
fn follows(operated: &Operated, origin: &Origin, is_well: &AtomicBool) {
    operated.await_standing(origin.address, "serving");
    is_well.store(false, Ordering::SeqCst);
    operated.await_standing(origin.address, "down");
    is_well.store(true, Ordering::SeqCst);
    operated.await_standing(origin.address, "serving");
}

/// Asserts that a backend is down by this probe in place of one that it passes.
fn fails_by(operated: &Operated, origin: &Origin, probe: &str) {
    operated.await_standing(origin.address, "serving");
    operated.rewrite(&config(&[origin.address], "", &format!("{QUICK}{probe}")));
    operated.done(&["reload"]);
    operated.await_standing(origin.address, "down");
}

fn started_with(origin: &Origin, probe: &str) -> Operated {
    Operated::start(&config(&[origin.address], "", &format!("{QUICK}{probe}")))
}

fn wellness() -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(true));
    (is_well.clone(), is_well)
}

#[test]
fn a_probe_of_bytes_sends_what_it_is_told_and_waits_for_what_it_expects() {
    let (is_well, shown) = wellness();
    let origin = Origin::start(move |mut stream| {
        let mut asked = [0; 6];
        let is_asked = stream.read_exact(&mut asked).is_ok() && asked == *b"PING\r\n";
        let is_right = is_asked && shown.load(Ordering::SeqCst);
        let _ = stream.write_all(if is_right { b"+PONG\r\n" } else { b"-BUSY\r\n" });
    });
    let probe = |send| format!("protocol = \"tcp\"\nsend = \"{send}\"\nexpect = \"PONG\"\n");
    let operated = started_with(&origin, &probe("PING\\r\\n"));
    follows(&operated, &origin, &is_well);
    fails_by(&operated, &origin, &probe("HELO\\r\\n"));
}

/// Answers if a connection begins with the header that belongs before its request.
fn behind_header(mut stream: TcpStream, header: &[u8], is_well: bool) {
    let mut begun = vec![0; header.len()];
    let has_header = stream.read_exact(&mut begun).is_ok() && begun == header;
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let request = read_request(&mut reader);
    let is_asked = request.is_some_and(|(head, _)| head.starts_with("GET /live HTTP/1.1\r\n"));
    let _ = stream.write_all(&match has_header && is_asked && is_well {
        true => ok(b""),
        false => b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
}

#[test]
fn a_probe_says_by_the_proxy_protocol_that_nobody_is_behind_it() {
    let v1 = &b"PROXY UNKNOWN\r\n"[..];
    let v2 = &b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..];
    for (version, other, header) in [("v1", "v2", v1), ("v2", "none", v2)] {
        let (is_well, shown) = wellness();
        let origin = Origin::start(move |stream| {
            behind_header(stream, header, shown.load(Ordering::SeqCst));
        });
        let probe = |version| format!("path = \"/live\"\nproxy_protocol = \"{version}\"\n");
        let operated = started_with(&origin, &probe(version));
        follows(&operated, &origin, &is_well);
        fails_by(&operated, &origin, &probe(other));
    }
}

#[test]
fn a_probe_of_another_port_decides_for_the_backend_that_is_never_asked_itself() {
    let (is_well, shown) = wellness();
    let asked = Origin::http(move |head, _| match shown.load(Ordering::SeqCst) {
        true if head.starts_with("GET /live ") => ok(b""),
        _ => b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let probe = |port| format!("path = \"/live\"\nport = {port}\n");
    let operated = started_with(&origin, &probe(asked.address.port()));
    follows(&operated, &origin, &is_well);
    assert_eq!(origin.connections(), 0, "probes go elsewhere");
    assert_eq!(operated.ringway.status_of("/"), 200);
    assert_eq!(origin.connections(), 1, "and requests to the backend");
    is_well.store(false, Ordering::SeqCst);
    operated.await_standing(origin.address, "down");
    operated.rewrite(&config(&[origin.address], "", &format!("{QUICK}{}", probe(0))));
    operated.done(&["reload"]);
    operated.await_standing(origin.address, "serving");
}

type HealthReply = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

/// What a server with a service `shop` says of its health (grpc.health.v1).
async fn health(request: Request<Incoming>, is_well: bool) -> Result<HealthReply, Infallible> {
    let is_check = request.uri().path() == "/grpc.health.v1.Health/Check";
    let asked = request.into_body().collect().await;
    let is_known = asked.is_ok_and(|asked| asked.to_bytes() == b"\0\0\0\0\x06\x0A\x04shop"[..]);
    // SERVING, NOT_SERVING and SERVICE_UNKNOWN.
    let message = match (is_known, is_well) {
        (true, true) => &b"\0\0\0\0\x02\x08\x01"[..],
        (true, false) => b"\0\0\0\0\x02\x08\x02",
        (false, _) => b"\0\0\0\0\x02\x08\x03",
    };
    let mut trailers = HeaderMap::new();
    let status = if is_check { "0" } else { "12" };
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let body = Full::new(Bytes::from_static(message)).with_trailers(async { Some(Ok(trailers)) });
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(body.boxed()).expect("the parts are constants"))
}

/// Serves one connection of HTTP/2.
fn serve_health(stream: TcpStream, is_well: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        stream.set_nonblocking(true).expect("allowed");
        let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream).expect("a socket"));
        let service = service_fn(|request| health(request, is_well));
        let server = http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(stream, service).await;
    });
}

#[test]
fn a_probe_by_grpc_asks_for_its_service() {
    let (is_well, shown) = wellness();
    let origin = Origin::start(move |stream| {
        let is_well = shown.load(Ordering::SeqCst);
        // On a stack that is large enough.
        let served = std::thread::spawn(move || serve_health(stream, is_well)).join();
        served.expect("it does not panic");
    });
    let probe = |service| format!("protocol = \"grpc\"\nservice = \"{service}\"\n");
    let operated = started_with(&origin, &probe("shop"));
    follows(&operated, &origin, &is_well);
    assert!(operated.done(&["events"]).contains("NOT_SERVING"));
    fails_by(&operated, &origin, &probe("till"));
    assert!(operated.done(&["events"]).contains("SERVICE_UNKNOWN"));
}
