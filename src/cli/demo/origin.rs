//! A small HTTP/1.1 server whose answer has its name and the request. Enough for a demo: a request
//! with a chunked body is answered and its connection closed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

const HEAD_BYTES_MAX: usize = 32 * 1024;
const FIELDS_MAX: usize = 128;

/// One of the servers of the demo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) name: &'static str,
    /// Its share of the requests.
    pub(super) weight: u32,
    /// How long it takes to answer.
    pub(super) latency: Duration,
}

/// Starts the origins on free ports of the loopback interface, in a thread of their own that ends
/// with the process.
pub(super) fn start(origins: &'static [Origin]) -> io::Result<Vec<SocketAddr>> {
    let bind = |_| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let listeners: Vec<TcpListener> = origins.iter().map(bind).collect::<io::Result<_>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("demo-origins".to_owned()).spawn(move || {
        runtime.block_on(async {
            for (origin, listener) in origins.iter().zip(listeners) {
                tokio::spawn(accept(*origin, listener));
            }
            std::future::pending::<()>().await;
        });
    })?;
    Ok(addresses)
}

async fn accept(origin: Origin, listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(origin, stream))),
            // Most likely out of descriptors: a pause before the next try.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Answers the requests of one connection.
async fn converse(origin: Origin, stream: TcpStream) -> io::Result<()> {
    let mut received = Vec::new();
    while let Some(request) = next_request(&stream, &mut received).await? {
        let head: Vec<u8> = received.drain(..request.head_bytes).collect();
        if request.expects_continue {
            send(&stream, b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        discard(&stream, &mut received, request.body_bytes).await?;
        tokio::time::sleep(origin.latency).await;
        send(&stream, &answer(&origin, &request, &head)).await?;
        if request.closes {
            break;
        }
    }
    Ok(())
}

/// The first request in `received`, completed if necessary; none at the end of the stream.
async fn next_request(stream: &TcpStream, received: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some(request) = Request::parse(received)? {
            return Ok(Some(request));
        }
        if received.len() > HEAD_BYTES_MAX || receive(stream, received).await? == 0 {
            return Ok(None);
        }
    }
}

async fn discard(stream: &TcpStream, received: &mut Vec<u8>, bytes: u64) -> io::Result<()> {
    let mut left = bytes;
    loop {
        let here = received.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        received.drain(..here);
        left -= here as u64;
        if left == 0 {
            return Ok(());
        }
        if receive(stream, received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Receives the next bytes. 0: the client has ended its stream.
async fn receive(stream: &TcpStream, received: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 4096];
    let count = stream.async_io(Interest::READABLE, || stream.try_read(&mut chunk)).await?;
    received.extend_from_slice(&chunk[..count]);
    Ok(count)
}

async fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = stream.async_io(Interest::WRITABLE, || stream.try_write(rest)).await?;
        rest = &rest[count..];
    }
    Ok(())
}

/// The parts of a request head that matter.
#[derive(Debug, Default, PartialEq)]
struct Request {
    head_bytes: usize,
    body_bytes: u64,
    /// The answer has no content (HEAD).
    wants_no_content: bool,
    expects_continue: bool,
    /// The connection ends with the answer.
    closes: bool,
}

impl Request {
    /// None as long as the head is not complete.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Request::new(&mut fields);
        let Ok(parsed) = head.parse(bytes) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let httparse::Status::Complete(head_bytes) = parsed else { return Ok(None) };
        let mut request = Self {
            head_bytes,
            wants_no_content: head.method == Some("HEAD"),
            closes: head.version == Some(0),
            ..Self::default()
        };
        for field in head.headers.iter() {
            let value = std::str::from_utf8(field.value).unwrap_or_default().trim();
            match field.name.to_ascii_lowercase().as_str() {
                "content-length" => request.body_bytes = value.parse().unwrap_or(0),
                "transfer-encoding" => request.closes = true,
                "connection" => request.closes |= value.eq_ignore_ascii_case("close"),
                "expect" => request.expects_continue = true,
                _ => {}
            }
        }
        Ok(Some(request))
    }
}

fn answer(origin: &Origin, request: &Request, head: &[u8]) -> Vec<u8> {
    let Origin { name, weight, latency } = origin;
    let head = String::from_utf8_lossy(head);
    let content = format!(
        "I am {name} (weight {weight}, {} ms), and this is what I was asked:\n\n{}\n\
         with a body of {} bytes\n",
        latency.as_millis(),
        head.replace("\r\n", "\n").trim_end(),
        request.body_bytes
    );
    let connection = if request.closes { "Connection: close\r\n" } else { "" };
    let fields = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         X-Origin: {name}\r\n{connection}\r\n",
        content.len()
    );
    let content = if request.wants_no_content { String::new() } else { content };
    (fields + &content).into_bytes()
}
