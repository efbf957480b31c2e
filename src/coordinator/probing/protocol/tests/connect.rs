//! Probes that only connect, and what all probes have in common.

use super::*;
use crate::coordinator::probing::protocol::ProbeStage;
use socket2::{Domain, Socket, Type};

#[tokio::test]
async fn an_accepted_connection_passes_and_sends_nothing() {
    let (address, origin) = origin(|mut stream| {
        let mut seen = Vec::new();
        stream.read_to_end(&mut seen).expect("an end");
        seen
    });
    assert_eq!(ask(&probe_of(ProbeKind::Connect), address).await, Ok(()));
    assert!(origin.join().expect("served").is_empty());
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let refused = Err(ProbeFailure::Refused);
    assert_eq!(ask(&probe_of(ProbeKind::Connect), closed_port()).await, refused);
    let http = ProbeKind::Http(HttpProbe::default());
    assert_eq!(ask(&probe_of(http), closed_port()).await, refused);
    let grpc = ProbeKind::Grpc { service: String::new(), tls: None };
    assert_eq!(ask(&probe_of(grpc), closed_port()).await, refused);
}

#[tokio::test]
async fn without_a_question_every_backend_passes() {
    assert_eq!(ask(&probe_of(ProbeKind::None), closed_port()).await, Ok(()));
}

#[tokio::test]
async fn a_port_of_its_own_is_asked_instead() {
    let (address, origin) = origin(drop);
    let probe = Probe { port: Some(address.port()), ..probe_of(ProbeKind::Connect) };
    assert_eq!(ask(&probe, closed_port()).await, Ok(()));
    origin.join().expect("served");
}

#[tokio::test]
async fn a_full_backlog_times_out_connecting() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bound");
    listener.listen(0).expect("listening");
    let address = listener.local_addr().expect("bound").as_socket().expect("an address");
    // Linux lets one more in than the backlog says.
    let _filler = TcpStream::connect(address).expect("the only place");
    let timed_out = ProbeFailure::TimedOut { stage: ProbeStage::Connecting };
    assert_eq!(ask(&hasty(ProbeKind::Connect), address).await, Err(timed_out));
}

#[tokio::test]
async fn the_proxy_header_comes_first() {
    for (version, header) in [
        (ProxyProtocol::V1, &b"PROXY UNKNOWN\r\n"[..]),
        (ProxyProtocol::V2, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
    ] {
        for kind in [ProbeKind::Connect, ProbeKind::Http(HttpProbe::default())] {
            let is_http = matches!(kind, ProbeKind::Http(_));
            let (address, origin) = origin(|mut stream| {
                let mut seen = vec![0; header.len()];
                stream.read_exact(&mut seen).expect("a header");
                let request = read_until(&mut stream, b"\r\n\r\n");
                say(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                (seen, request)
            });
            let probe = Probe { proxy_protocol: version, ..probe_of(kind) };
            assert_eq!(ask(&probe, address).await, Ok(()));
            let (seen, request) = origin.join().expect("served");
            assert_eq!(seen, header);
            assert_eq!(request.starts_with(b"GET / "), is_http);
        }
    }
}
