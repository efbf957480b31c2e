//! Probes of origins on the loopback address, each with a script.

mod connect;
mod datagram;
mod exchange;
mod failure;
mod grpc;
mod http;
mod tls;

use super::{Asked, ProbeFailure, Prober, Trusted};
use crate::config::{HttpProbe, Probe, ProbeKind, ProxyProtocol};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// Far longer than anything takes that is not meant to time out.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of probes that are meant to time out.
const HASTE: Duration = Duration::from_millis(50);

/// Serves one connection on its own thread.
fn origin<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        serve(stream)
    });
    (address, thread)
}

/// Reads up to `ending`; what was read.
fn read_until(stream: &mut TcpStream, ending: &[u8]) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(ending) && stream.read(&mut byte).expect("bytes in time") == 1 {
        seen.push(byte[0]);
    }
    seen
}

/// Says nothing until the other side goes.
fn stay_silent(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Writes as far as the other side listens.
fn say(stream: &mut TcpStream, text: &[u8]) {
    let _ = stream.write_all(text);
}

fn probe_of(kind: ProbeKind) -> Probe {
    let mut probe = Probe { kind, ..Probe::default() };
    probe.rules.timeout = PATIENCE;
    probe
}

fn hasty(kind: ProbeKind) -> Probe {
    let mut probe = probe_of(kind);
    probe.rules.timeout = HASTE;
    probe
}

async fn ask(probe: &Probe, backend: SocketAddr) -> Result<(), ProbeFailure> {
    Prober::new(probe, &mut Trusted::default()).expect("a good probe").probe(asked(backend)).await
}

fn mend(kind: ProbeKind) -> String {
    Prober::new(&probe_of(kind), &mut Trusted::default()).map(drop).expect_err("something to mend")
}

/// A port at which nothing listens.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound")
}

/// A backend that was found by its address.
fn asked(address: SocketAddr) -> Asked {
    Asked { address, name: None }
}
