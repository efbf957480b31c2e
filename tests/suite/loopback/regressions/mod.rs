//! What once went wrong, as a user would notice it.

mod backends;
mod clients;
mod heads;
mod process;

use super::harness::*;
use std::io::BufReader;
use std::net::{SocketAddr, TcpStream};

/// A client that takes in little at a time, so that the front door notices when it does not read.
fn small_reader(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.set_recv_buffer_size(64 * 1024).expect("allowed");
    // As on a real network: segments of loopback are so large that few acknowledgements come.
    socket.set_tcp_mss(1_460).expect("allowed");
    socket.connect(&address.into()).expect("it listens");
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// The head of the first request; none on a connection that only looks whether somebody listens.
fn first_head(stream: &TcpStream) -> Option<String> {
    // Nothing is read ahead that somebody else would miss.
    let mut reader = BufReader::with_capacity(1, stream.try_clone().expect("a second handle"));
    read_request(&mut reader).map(|(head, _)| head)
}
