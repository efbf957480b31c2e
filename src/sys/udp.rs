//! UDP sockets: those of listeners, and their options; those of flows. Does not: send or receive.

use super::socket::{NoListener, borrowed};
use super::source::{self, NotMade};
use crate::engine::{Socket, Source};
use crate::limits::DATAGRAM_BUFFER_BYTES;
use socket2::{Domain, Protocol, SockRef, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

/// Errors of a socket that are dropped at once.
const ERRORS_AT_ONCE_MAX: usize = 64;

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

/// Fails if any socket receives at an address, also one that would share it. A socket that has
/// turned datagrams away, from which another process still answers while it drains, does not.
///
/// # Errors
/// As reported by the kernel for the address.
pub fn check_free(address: SocketAddr) -> io::Result<()> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    match socket.bind(&address.into()) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // A socket of the other family is in the way only if it has both, which Ringway's do
            // not: one of its own there must not count.
            let table = match address {
                SocketAddr::V4(_) => "/proc/self/net/udp",
                SocketAddr::V6(_) => "/proc/self/net/udp6",
            };
            let table = std::fs::read_to_string(table);
            let is_free = table.is_ok_and(|table| !has_receiver(&table, address));
            if is_free { Ok(()) } else { Err(error) }
        }
        bound => bound,
    }
}

/// True if a table of sockets (proc_net_udp(5)) has one that is bound to an address, or to all
/// addresses, and not connected.
fn has_receiver(table: &str, address: SocketAddr) -> bool {
    /// `TCP_CLOSE`, which stands for no connection.
    const UNCONNECTED: &str = "07";
    table.lines().skip(1).any(|line| {
        let mut words = line.split_ascii_whitespace();
        let (Some(local), Some(state)) = (words.nth(1), words.nth(1)) else { return false };
        let Some((ip, port)) = local.split_once(':') else { return false };
        let of_port = u16::from_str_radix(port, 16) == Ok(address.port());
        let is_any = ip.bytes().all(|byte| byte == b'0');
        let overlaps = is_any || address.ip().is_unspecified() || ip == in_table(address.ip());
        of_port && state == UNCONNECTED && overlaps
    })
}

/// An address as these tables have it: words of four bytes, each as a number of this machine.
fn in_table(ip: IpAddr) -> String {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).filter_map(|word| word.try_into().ok());
    words.map(|word| format!("{:08X}", u32::from_ne_bytes(word))).collect()
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

/// A UDP socket that receives from `address` only, and sends there. It reports every ICMP message
/// for what it has sent: without `IP_RECVERR` (ip(7)) the kernel keeps to itself that a host or a
/// network is unreachable.
///
/// # Errors
/// No descriptor or memory is left, no route leads there, (`EAGAIN`) no local port is left, or it
/// cannot come from `source`.
pub fn connect(address: SocketAddr, source: Source) -> Result<Socket, NotMade> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP));
    let socket = socket.map_err(NotMade::NoSocket)?;
    source::bind(&socket, address, source)?;
    let (level, option) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    switch_on(&socket.as_fd(), level, option).map_err(NotMade::NoSocket)?;
    socket.connect(&address.into()).map_err(NotMade::NoSocket)?;
    Ok(Socket(socket.into_raw_fd()))
}

/// Drops what waits in the error queue of a socket of [`connect`]. As long as something does, the
/// kernel takes the socket for one with something to receive.
pub fn drop_errors(socket: Socket) {
    let socket = borrowed(socket);
    let socket = SockRef::from(&socket);
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    for _ in 0..ERRORS_AT_ONCE_MAX {
        if socket.recv_with_flags(&mut [], flags).is_err() {
            return;
        }
    }
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
    use crate::sys::socket::{close, local_address, own_address};
    use std::net::UdpSocket;
    use std::time::Duration;

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
        let address = peer.local_addr().expect("bound");
        let flow = connect(address, Source::Any).expect("a port");
        let own = own_address(flow).expect("bound");
        let other = UdpSocket::bind("127.0.0.1:0").expect("a port");
        other.connect(own).expect("connected");
        other.send(b"foreign").expect("sent");
        let refused = other.recv(&mut [0; 16]).expect_err("it is not for others");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        close(flow);
    }

    #[test]
    fn an_error_that_was_reported_and_dropped_makes_a_socket_readable_no_more() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let gone = UdpSocket::bind(host).expect("a port").local_addr().expect("bound");
            let flow = connect(gone, Source::Any).expect("a port");
            let borrowed = borrowed(flow);
            let socket = SockRef::from(&borrowed);
            let has_error = || {
                let mut asked = libc::pollfd { fd: flow.0, events: libc::POLLIN, revents: 0 };
                // SAFETY: one structure, which outlives the call.
                let count = unsafe { libc::poll(&raw mut asked, 1, 0) };
                count == 1 && asked.revents & libc::POLLERR != 0
            };
            socket.send(b"ask").expect("sent");
            let refused = socket.recv(&mut []).expect_err("nobody is there");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            assert!(has_error(), "{host}");
            drop_errors(flow);
            assert!(!has_error(), "{host}");
            close(flow);
        }
    }

    #[test]
    fn an_address_that_is_only_answered_from_is_free() {
        for host in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let socket = receive_on(host.parse().unwrap()).unwrap();
            let address = local_address(&socket).unwrap();
            assert!(check_free(address).is_err(), "{host}");
            turn_away(Socket(socket.as_raw_fd())).expect("a socket of ours");
            check_free(address).unwrap_or_else(|error| panic!("{host}: {error}"));
            let _next = receive_on(address).expect("it shares the port");
            assert!(check_free(address).is_err(), "{host}");
        }
    }

    #[test]
    fn a_socket_of_the_other_family_takes_no_address_that_is_only_answered_from() {
        for [host, other] in [["0.0.0.0", "::"], ["::", "0.0.0.0"]]
            .map(|hosts| hosts.map(|host| host.parse::<IpAddr>().expect(host)))
        {
            let leaving = receive_on((host, 0).into()).unwrap();
            let address = local_address(&leaving).unwrap();
            turn_away(Socket(leaving.as_raw_fd())).expect("a socket of ours");
            let _successor = receive_on((other, address.port()).into()).expect("a port");
            check_free(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        }
    }

    #[test]
    fn receivers_are_found_in_the_tables_of_the_kernel() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n\
            1: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000\n\
            2: 00000000:14EB 00000000:0000 07 00000000:00000000 00:00000000\n\
            3: 0200007F:0035 0200007F:0035 01 00000000:00000000 00:00000000\n";
        for (address, expected) in [
            ("127.0.0.1:53", true),
            ("127.0.0.2:53", false),
            ("0.0.0.0:53", true),
            ("192.0.2.1:5355", true),
            ("127.0.0.1:54", false),
        ] {
            let is_big_endian = cfg!(target_endian = "big");
            let found = has_receiver(table, address.parse().unwrap());
            assert!(found == expected || is_big_endian, "{address}");
        }
        assert_eq!(in_table("::1".parse().unwrap()).len(), 32);
    }
}
