//! Probes that send a datagram.

use super::*;
use crate::coordinator::probing::protocol::ProbeStage;
use std::net::UdpSocket;

fn kind(send: &[u8], expect: &[u8]) -> ProbeKind {
    ProbeKind::Datagram { send: send.to_vec(), expect: expect.to_vec() }
}

/// Receives one datagram on its own thread, and answers with these.
fn server(answers: &'static [&'static [u8]]) -> (SocketAddr, JoinHandle<(Vec<u8>, UdpSocket)>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = socket.local_addr().expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let thread = std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        let (length, client) = socket.recv_from(&mut bytes).expect("a datagram in time");
        for answer in answers {
            socket.send_to(answer, client).expect("sent");
        }
        (bytes[..length].to_vec(), socket)
    });
    (address, thread)
}

#[tokio::test]
async fn the_expected_answer_passes_also_after_another_datagram() {
    const ANSWERS: [&[&[u8]]; 2] = [&[b"+PONG"], &[b"news", b"", b"... +PONG ..."]];
    for answers in ANSWERS {
        let (address, server) = server(answers);
        assert_eq!(ask(&probe_of(kind(b"PING", b"+PONG")), address).await, Ok(()));
        assert_eq!(server.join().expect("served").0, b"PING");
    }
}

#[tokio::test]
async fn another_answer_is_shown_and_silence_times_out() {
    let (address, first) = server(&[b"-NO\x00"]);
    let shown = ProbeFailure::Unexpected("-NO\\x00".to_owned());
    let mut probe = probe_of(kind(b"PING", b"+PONG"));
    // Long enough for the answer on the busiest machine.
    probe.rules.timeout = Duration::from_secs(2);
    assert_eq!(ask(&probe, address).await, Err(shown));
    drop(first);
    let (address, second) = server(&[]);
    let timed_out = ProbeFailure::TimedOut { stage: ProbeStage::Answering };
    assert_eq!(ask(&hasty(kind(b"", b"+PONG")), address).await, Err(timed_out));
    drop(second);
}

#[tokio::test]
async fn a_port_without_a_socket_fails_at_once_whatever_is_expected() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = socket.local_addr().expect("bound");
    drop(socket);
    for expect in [&b""[..], b"+PONG"] {
        let result = ask(&probe_of(kind(b"", expect)), address).await;
        assert_eq!(result, Err(ProbeFailure::PortUnreachable));
    }
}

#[tokio::test]
async fn without_an_expectation_any_answer_passes_and_so_does_silence() {
    let (address, first) = server(&[b""]);
    assert_eq!(ask(&probe_of(kind(b"", b"")), address).await, Ok(()));
    assert_eq!(first.join().expect("served").0, b"");
    let (address, second) = server(&[]);
    assert_eq!(ask(&hasty(kind(b"a", b"")), address).await, Ok(()));
    drop(second);
}

#[tokio::test]
async fn the_header_stands_in_the_same_datagram_and_the_port_may_be_another() {
    let (address, server) = server(&[b"ok"]);
    let probe = Probe {
        port: Some(address.port()),
        proxy_protocol: ProxyProtocol::V2,
        ..probe_of(kind(b"PING", b"ok"))
    };
    let backend = SocketAddr::from(([127, 0, 0, 1], 9));
    assert_eq!(ask(&probe, backend).await, Ok(()));
    let (bytes, _) = server.join().expect("served");
    assert_eq!(bytes, [crate::proxy_protocol::LOCAL_V2, b"PING"].concat());
}
