//! UDP sockets: those of listeners, and their options. Does not: send or receive.

use super::socket::NoListener;
use crate::limits::DATAGRAM_BUFFER_BYTES;
use socket2::{Domain, SockRef, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A socket that receives at an address and shares it with its siblings: the kernel's hash of both
/// addresses decides which of them gets a datagram. The control data of each datagram has the
/// address that it was sent to.
///
/// The socket blocks: io_uring then waits for datagrams instead of reporting that there are none.
///
/// # Errors
/// As reported by the kernel for the address: in use, not of this machine, not permitted.
pub fn receive_on(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    prepare(&socket.as_fd(), address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// A socket without an address: nothing can be sent to it.
///
/// # Errors
/// The process has no descriptor left.
pub fn unreachable(address: SocketAddr) -> io::Result<OwnedFd> {
    Ok(socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None)?.into())
}

/// Fails if any socket receives at an address, also one that would share it.
///
/// # Errors
/// As reported by the kernel for the address.
pub fn check_free(address: SocketAddr) -> io::Result<()> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

/// The address of a socket that datagrams can be received from (socket(7), `SO_TYPE`).
///
/// # Errors
/// If it is something else.
pub fn check_receiving(socket: &OwnedFd) -> Result<SocketAddr, NoListener> {
    let asked = SockRef::from(socket);
    if asked.r#type().map_err(NoListener::NoSocket)? != Type::DGRAM {
        return Err(NoListener::OtherType);
    }
    let address = asked.local_addr().map_err(NoListener::NoSocket)?;
    let address = address.as_socket().ok_or(NoListener::NoInternet)?;
    match asked.peer_addr() {
        Ok(_) => Err(NoListener::Connected),
        Err(_) if address.port() == 0 => Err(NoListener::NotBound),
        Err(_) => Ok(address),
    }
}

/// Sets the options of [`receive_on`] for a socket that was passed to the process.
///
/// # Errors
/// As reported by the kernel.
pub fn adopt(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    SockRef::from(socket).set_nonblocking(false)?;
    prepare(&socket.as_fd(), address)
}

fn prepare(socket: &BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => switch_on(socket, libc::IPPROTO_IP, libc::IP_PKTINFO)?,
        SocketAddr::V6(_) => switch_on(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?,
    }
    // The kernel takes what its limits allow, and refuses nothing.
    let socket = SockRef::from(socket);
    socket.set_recv_buffer_size(DATAGRAM_BUFFER_BYTES)?;
    socket.set_send_buffer_size(DATAGRAM_BUFFER_BYTES)
}

fn switch_on(socket: &BorrowedFd<'_>, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // JUSTIFICATION: socket2 offers IP_PKTINFO for no address family.
    // SAFETY: the kernel reads one integer of the size that it is told.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    super::check(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket::local_address;
    use std::net::UdpSocket;

    /// The places of the sockets that have got a datagram, and what each has got.
    fn received(sockets: &[UdpSocket]) -> Vec<(usize, Vec<u8>)> {
        let mut all = Vec::new();
        for (place, socket) in sockets.iter().enumerate() {
            socket.set_nonblocking(true).expect("allowed");
            let mut bytes = [0; 64];
            while let Ok(length) = socket.recv(&mut bytes) {
                all.push((place, bytes[..length].to_vec()));
            }
        }
        all
    }

    #[test]
    fn each_flow_meets_one_socket_of_the_group_and_the_flows_meet_all() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let first = receive_on(host.parse().unwrap()).unwrap();
            let address = local_address(&first).unwrap();
            let rest = (1..4).map(|_| receive_on(address).unwrap());
            let sockets: Vec<UdpSocket> =
                std::iter::once(first).chain(rest).map(UdpSocket::from).collect();
            let clients: Vec<UdpSocket> =
                (0..64).map(|_| UdpSocket::bind(host).expect("a port")).collect();
            for _ in 0..3 {
                for (n, client) in clients.iter().enumerate() {
                    client.send_to(&[n as u8], address).expect("sent");
                }
            }
            let got = received(&sockets);
            assert_eq!(got.len(), 3 * clients.len(), "{host}");
            let places = |n: usize| got.iter().filter(move |(_, bytes)| bytes[0] == n as u8);
            for n in 0..clients.len() {
                let mut met = places(n).map(|(place, _)| *place);
                let first = met.next();
                assert!(met.all(|place| Some(place) == first), "{host}: flow {n} has one socket");
            }
            assert!((0..4).all(|place| got.iter().any(|(met, _)| *met == place)), "{host}");
        }
    }

    #[test]
    fn an_address_that_is_used_is_not_free_and_nothing_reaches_an_unreachable_socket() {
        let address = "127.0.0.1:0".parse().unwrap();
        let socket = receive_on(address).unwrap();
        let address = local_address(&socket).unwrap();
        assert_eq!(check_free(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(check_receiving(&socket).unwrap(), address);
        let without = unreachable(address).unwrap();
        assert!(matches!(check_receiving(&without), Err(NoListener::NotBound)));
        drop(socket);
        check_free(address).expect("it is free again");
    }
}
