//! UDP sockets of flows: connected to a backend. And how a listener's socket gives up its place.
//! Does not: send or receive.

use super::socket::borrowed;
use crate::engine::Socket;
use socket2::{Domain, Protocol, SockRef, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::IntoRawFd;

/// A UDP socket that receives from `address` only, and sends there.
///
/// # Errors
/// No descriptor or memory is left, no route leads there, or (`EAGAIN`) no local port is left.
pub fn connect(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.connect(&address.into())?;
    Ok(Socket(socket.into_raw_fd()))
}

/// Has new datagrams go past a bound socket: to others on the same address, or to nobody. It keeps
/// those that wait in it, and can still send from its address. A connected socket receives from its
/// peer only (udp(7)), and the kernel gives it no share of its siblings' datagrams: this one's peer
/// is itself.
///
/// # Errors
/// As reported by the kernel.
pub fn turn_away(socket: Socket) -> io::Result<()> {
    let borrowed = borrowed(socket);
    let socket = SockRef::from(&borrowed);
    let own = socket.local_addr()?.as_socket();
    let mut own = own.ok_or_else(|| io::Error::other("not an internet socket"))?;
    match own.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => own.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => own.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    socket.connect(&own.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket::close;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    /// A guard against hanging.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn shared(address: SocketAddr) -> UdpSocket {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None);
        let socket = socket.expect("a descriptor");
        socket.set_reuse_port(true).expect("an option");
        socket.bind(&address.into()).expect("a port");
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(PATIENCE)).expect("an option");
        socket
    }

    fn read(socket: &UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 16];
        let length = socket.recv(&mut buffer).expect("a datagram");
        buffer[..length].to_vec()
    }

    #[test]
    fn a_socket_that_turns_datagrams_away_keeps_those_it_has_and_still_sends() {
        for [bound, reached] in
            [["127.0.0.1", "127.0.0.1"], ["0.0.0.0", "127.0.0.9"], ["::", "::1"]]
        {
            let [bound, reached] = [bound, reached].map(|ip| ip.parse::<IpAddr>().expect(ip));
            let old = shared((bound, 0).into());
            let port = old.local_addr().expect("bound").port();
            let client = || UdpSocket::bind((reached, 0)).expect("a port");
            let first = client();
            first.send_to(b"waits", (reached, port)).expect("sent");
            let new = shared((bound, port).into());
            turn_away(Socket(old.as_raw_fd())).expect("a socket of ours");
            // Were both to get a share, hardly all of them would go to one.
            for _ in 0..40 {
                client().send_to(b"new", (reached, port)).expect("sent");
                assert_eq!(read(&new), b"new");
            }
            assert_eq!(read(&old), b"waits");
            first.set_read_timeout(Some(PATIENCE)).expect("an option");
            old.send_to(b"answer", first.local_addr().expect("bound")).expect("sent");
            assert_eq!(read(&first), b"answer");
            drop(new);
            old.set_nonblocking(true).expect("an option");
            first.connect((reached, port)).expect("connected");
            first.send(b"nobody").expect("sent");
            let refused = first.recv(&mut [0; 16]).expect_err("nobody is there");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            assert!(old.recv(&mut [0; 16]).is_err(), "{bound}");
        }
    }

    #[test]
    fn a_connected_socket_hears_its_peer_only() {
        let peer = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let flow = connect(peer.local_addr().expect("bound")).expect("a port");
        let own = crate::sys::socket::own_address(flow).expect("bound");
        let other = UdpSocket::bind("127.0.0.1:0").expect("a port");
        other.connect(own).expect("connected");
        other.send(b"foreign").expect("sent");
        let refused = other.recv(&mut [0; 16]).expect_err("it is not for others");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        close(flow);
    }
}
