//! TCP sockets: listening, opening, addresses, the options that std does not know. Nothing
//! here waits for anybody.

use super::source::{self, NotMade};
use crate::engine::{Socket, Source};
use socket2::{Domain, Protocol, SockAddr, SockRef, TcpKeepalive, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

/// How connections are spread over the listening sockets of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// By the kernel's hash of both addresses and ports.
    Hash,
    /// To the socket of the shard on the CPU that took the packet. Right where the network card's
    /// queues are bound to the shards' cores.
    Cpu,
}

pub(super) fn borrowed(socket: Socket) -> BorrowedFd<'static> {
    // JUSTIFICATION: a `Socket` is a number that is open for as long as its owner has not closed
    // it through the engine.
    // SAFETY: the borrow is used within the call that makes it; the owner is who calls us, so it
    // has not closed the socket.
    unsafe { BorrowedFd::borrow_raw(socket.0) }
}

/// Whether clients may use several paths at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multipath {
    /// TCP.
    No,
    /// MPTCP (RFC 8684): those that do not ask for it get TCP.
    Yes,
}

fn stream(address: SocketAddr, protocol: Multipath) -> io::Result<socket2::Socket> {
    let protocol = match protocol {
        Multipath::No => None,
        Multipath::Yes => Some(Protocol::from(libc::IPPROTO_MPTCP)),
    };
    socket2::Socket::new(Domain::for_address(address), Type::STREAM, protocol)
}

/// Whether the kernel has MPTCP.
///
/// # Errors
/// It was built without it, or `net.mptcp.enabled` is 0.
pub fn check_multipath(address: SocketAddr) -> io::Result<()> {
    stream(address, Multipath::Yes).map(drop)
}

/// A listening socket that shares its address with its siblings. TCP_NODELAY is set and is
/// inherited by what it accepts.
///
/// # Errors
/// What the kernel says of the address: in use, not ours, not allowed.
pub fn listen(address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    listen_by(Multipath::No, address, backlog)
}

/// The same, by MPTCP or not.
///
/// # Errors
/// As [`listen`].
pub fn listen_by(protocol: Multipath, address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    let socket = stream(address, protocol)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    never_sleep(&socket.as_fd());
    Ok(socket.into())
}

/// The kernel's shortest time: a timer's tick.
const AT_ONCE: Duration = Duration::from_micros(1);

/// Has [`accept_now`] come back where nobody waits any more. The socket may be shared with other
/// shards, and with other processes if it was passed to this one, any of which may take the
/// connection that was there a moment ago. `O_NONBLOCK` would do, but io_uring then gives an accept
/// up instead of waiting for a connection.
fn never_sleep(listener: &BorrowedFd<'_>) {
    // A failure would mean that it is no socket, which whoever uses it finds out.
    let _ = SockRef::from(listener).set_read_timeout(Some(AT_ONCE));
}

/// The index of a network interface that no machine has.
const NOWHERE: libc::c_int = libc::c_int::MAX;

/// Has new connections go past all listening sockets of one address: to other sockets that listen
/// on the same port, or to nobody. Connections that wait in their backlogs and those in the middle
/// of the handshake are theirs all the same (the kernel looks for a listening socket only when a
/// handshake begins). It needs no privilege, and cannot be taken back without one.
///
/// # Errors
/// What the kernel says: it is older than Linux 5.7, or a socket is bound to an interface. Then
/// some of them still get connections.
pub fn turn_away(listeners: &[Socket]) -> io::Result<()> {
    let share = |shares| {
        listeners.iter().try_for_each(|one| SockRef::from(&borrowed(*one)).set_reuse_port(shares))
    };
    // As long as one of them is found, the kernel picks any of those that share its address, also
    // one that is bound elsewhere, whose answer to the client would go nowhere: so they share
    // nothing while they are bound one by one. Later ones on the address must share it with them.
    share(false)?;
    let bound = listeners.iter().try_for_each(|one| bind_to_interface(*one, NOWHERE));
    share(true)?;
    bound
}

/// Has a socket get only what comes over one interface (socket(7), `SO_BINDTOIFINDEX`).
fn bind_to_interface(socket: Socket, index: libc::c_int) -> io::Result<()> {
    // JUSTIFICATION: socket2 offers this by an interface's name only, which must be one.
    // SAFETY: the kernel reads one integer of the size that it is told.
    let result = unsafe {
        libc::setsockopt(
            socket.0,
            libc::SOL_SOCKET,
            libc::SO_BINDTOIFINDEX,
            (&raw const index).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Fails if anybody listens on an address, also if it would be shared.
///
/// # Errors
/// What the kernel says of the address.
pub fn check_free(address: SocketAddr) -> io::Result<()> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

/// Takes over a listening socket that was passed to the process under this number.
pub fn adopt(number: std::os::fd::RawFd) -> OwnedFd {
    // JUSTIFICATION: what systemd passes is a number in the environment (sd_listen_fds(3)).
    // SAFETY: the caller got the number from there, once, so nobody else owns the descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    never_sleep(&socket.as_fd());
    socket
}

/// Why neither connections can be accepted from a descriptor nor datagrams received.
#[derive(Debug)]
pub enum NoListener {
    /// It is no socket, or the kernel does not tell of it.
    NoSocket(io::Error),
    /// It carries neither a stream nor datagrams.
    OtherType,
    /// It is a connection.
    Connected,
    /// Nobody has called listen() for it.
    NotListening,
    /// It has no port yet.
    NotBound,
    /// It is of another family, as a Unix socket.
    NoInternet,
}

impl fmt::Display for NoListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSocket(error) => write!(f, "is not a socket ({error})"),
            Self::OtherType => f.write_str("is neither a stream socket nor one of datagrams"),
            Self::Connected => f.write_str("is a connection"),
            Self::NotListening => f.write_str("does not listen"),
            Self::NotBound => f.write_str("is not bound to a port"),
            Self::NoInternet => f.write_str("is not an internet socket"),
        }
    }
}

/// The address of a socket that TCP connections can be accepted from (socket(7), `SO_TYPE` and
/// `SO_ACCEPTCONN`).
///
/// # Errors
/// If it is something else.
pub fn check_listening(socket: &OwnedFd) -> Result<SocketAddr, NoListener> {
    let asked = SockRef::from(socket);
    if asked.r#type().map_err(NoListener::NoSocket)? != Type::STREAM {
        return Err(NoListener::OtherType);
    }
    let address = asked.local_addr().map_err(NoListener::NoSocket)?;
    let address = address.as_socket().ok_or(NoListener::NoInternet)?;
    match asked.is_listener().map_err(NoListener::NoSocket)? {
        true => Ok(address),
        false if asked.peer_addr().is_ok() => Err(NoListener::Connected),
        false => Err(NoListener::NotListening),
    }
}

/// The address that a listening socket got, where port 0 was asked.
pub fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    SockRef::from(socket)
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("not an internet socket"))
}

/// Has a listening socket get the connections whose packets a core takes, before its siblings on
/// the same address (socket(7), `SO_INCOMING_CPU`; of kernels before 6.2 some ignore it and go by
/// the hash). Connections on a core of none of them go by the hash.
///
/// # Errors
/// What the kernel says of the core.
pub fn prefer_core(socket: &OwnedFd, core: usize) -> io::Result<()> {
    SockRef::from(socket).set_cpu_affinity(core)
}

/// A socket to connect to `address` with, TCP_NODELAY set.
///
/// # Errors
/// See [`NotMade`].
pub fn open(address: SocketAddr, source: Source) -> Result<Socket, NotMade> {
    let open = || {
        let domain = Domain::for_address(address);
        let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        Ok(socket)
    };
    let socket = open().map_err(NotMade::NoSocket)?;
    source::bind(&socket, address, source)?;
    Ok(Socket(socket.into_raw_fd()))
}

/// An address in the form the kernel reads.
pub fn raw_address(address: SocketAddr) -> SockAddr {
    address.into()
}

/// The other end's address, none if it is gone.
pub fn peer_address(socket: Socket) -> Option<SocketAddr> {
    SockRef::from(&borrowed(socket)).peer_addr().ok()?.as_socket()
}

/// The address of this end of a connection.
pub fn own_address(socket: Socket) -> Option<SocketAddr> {
    SockRef::from(&borrowed(socket)).local_addr().ok()?.as_socket()
}

/// Takes a waiting connection of a listener from [`listen`] or [`adopt`], none if there is none.
/// Does not wait for one; where somebody else takes it at the same moment, for a tick at most.
pub fn accept_now(listener: Socket) -> Option<Socket> {
    let mut poll = libc::pollfd { fd: listener.0, events: libc::POLLIN, revents: 0 };
    // JUSTIFICATION: the listener is a blocking socket for the ring's sake; this asks first.
    // SAFETY: one valid pollfd.
    let is_there = unsafe { libc::poll(&mut poll, 1, 0) } == 1;
    if is_there { accept(listener) } else { None }
}

/// Takes a waiting connection; where there is none, waits a tick for one.
fn accept(listener: Socket) -> Option<Socket> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let nowhere = std::ptr::null_mut();
    // JUSTIFICATION: std's accept makes an owner of the descriptor, which sockets here have not.
    // SAFETY: without a place for the address none is written.
    let fd = unsafe { libc::accept4(listener.0, nowhere, std::ptr::null_mut(), flags) };
    (fd >= 0).then_some(Socket(fd))
}

/// Sends as much as the socket takes at once. A failure means that the stream has ended anyway.
pub fn send_at_once(socket: Socket, bytes: &[u8]) {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let _ = SockRef::from(&borrowed(socket)).send_with_flags(bytes, flags);
}

/// Probes in a row that a peer may leave unanswered, each a third of the silence before the first
/// one later: a dead peer is found within twice that silence.
const KEEPALIVE_PROBES: u32 = 3;

/// Has the kernel probe the peer after a silence of `idle`, whole seconds (tcp(7), `TCP_KEEPIDLE`,
/// `TCP_KEEPINTVL`, `TCP_KEEPCNT`); zero: never. What a listening socket has is inherited by the
/// connections that it accepts. Not with `TCP_USER_TIMEOUT`, which would also end a connection
/// whose peer is alive and has closed its window for so long.
pub fn keep_alive(socket: Socket, idle: Duration) {
    let borrowed = borrowed(socket);
    let socket = SockRef::from(&borrowed);
    let result = if idle.is_zero() {
        socket.set_keepalive(false)
    } else {
        let interval = Duration::from_secs((idle.as_secs() / u64::from(KEEPALIVE_PROBES)).max(1));
        let rules = TcpKeepalive::new().with_time(idle).with_interval(interval);
        socket.set_tcp_keepalive(&rules.with_retries(KEEPALIVE_PROBES))
    };
    if let Err(error) = result {
        // A socket of MPTCP has its defaults on kernels that know no others for it.
        tracing::debug!(%error, "keepalive");
    }
}

/// Ends our direction of the stream. A failure means that the stream has ended anyway.
pub fn shutdown_write(socket: Socket) {
    let _ = SockRef::from(&borrowed(socket)).shutdown(std::net::Shutdown::Write);
}

/// Makes the coming close cut the stream with a reset.
pub fn reset_on_close(socket: Socket) {
    let _ = SockRef::from(&borrowed(socket)).set_linger(Some(std::time::Duration::ZERO));
}

/// Closes the descriptor.
pub fn close(socket: Socket) {
    // JUSTIFICATION: sockets are plain numbers here, so nothing closes them by being dropped.
    // SAFETY: the caller owns the socket and forgets it now; nobody else closes it.
    unsafe { libc::close(socket.0) };
}

/// The level of options of MPTCP, and that of its state (linux/socket.h, linux/mptcp.h).
const SOL_MPTCP: libc::c_int = 284;
const MPTCP_INFO: libc::c_int = 1;
/// Where `mptcpi_snd_una` is in `struct mptcp_info` (linux/mptcp.h, since 5.16): behind 6 single
/// bytes and a hole of 2, 2 numbers of 4 bytes and one of 8.
const SND_UNA: usize = 8 + 2 * 4 + 8;
/// Where `tcpi_bytes_acked` is in `struct tcp_info` (linux/tcp.h, since 4.1): behind 8 single
/// bytes, 24 numbers of 4 bytes and 2 of 8. libc's own struct ends before it.
const BYTES_ACKED: usize = 8 + 24 * 4 + 2 * 8;
/// The first byte of `struct tcp_info` for a connection that is over (net/tcp_states.h).
const TCP_CLOSE: u8 = 7;

/// A number that grows by the bytes that the peer acknowledges; 0 if that cannot be known.
pub fn acknowledged(socket: Socket) -> u64 {
    // Of MPTCP, TCP_INFO is that of one path.
    let by_mptcp = part_of(socket, SOL_MPTCP, MPTCP_INFO, SND_UNA);
    let by_tcp = || part_of(socket, libc::IPPROTO_TCP, libc::TCP_INFO, BYTES_ACKED);
    by_mptcp.or_else(by_tcp).map_or(0, u64::from_ne_bytes)
}

/// Bytes that were sent and that the peer has not acknowledged; 0 if that cannot be known, or the
/// connection is broken.
pub fn unacknowledged(socket: Socket) -> u32 {
    let mut bytes: libc::c_int = 0;
    // JUSTIFICATION: no library offers this request for sockets (TIOCOUTQ, tcp(7)).
    // SAFETY: the kernel writes one number of this size.
    let result = unsafe { libc::ioctl(socket.0, libc::TIOCOUTQ, &raw mut bytes) };
    let is_left = result == 0 && bytes > 0;
    if is_left && !is_closed(socket) { bytes.unsigned_abs() } else { 0 }
}

/// True for a connection of TCP that was reset or has timed out.
fn is_closed(socket: Socket) -> bool {
    let by_mptcp: Option<[u8; 8]> = part_of(socket, SOL_MPTCP, MPTCP_INFO, SND_UNA);
    let state = || part_of(socket, libc::IPPROTO_TCP, libc::TCP_INFO, 0);
    by_mptcp.is_none() && state() == Some([TCP_CLOSE])
}

/// Bytes in what the kernel says of a socket; none if it says less.
fn part_of<const BYTES: usize>(
    socket: Socket,
    level: libc::c_int,
    option: libc::c_int,
    offset: usize,
) -> Option<[u8; BYTES]> {
    const LENGTH_MAX: usize = BYTES_ACKED + 8;
    let mut info = [0u8; LENGTH_MAX];
    let mut length = (offset + BYTES) as libc::socklen_t;
    assert!(length as usize <= LENGTH_MAX, "there is room for it");
    // JUSTIFICATION: no library offers these parts of TCP_INFO (tcp(7)) and MPTCP_INFO.
    // SAFETY: the kernel writes at most `length` bytes into `info`, which has as many.
    let result =
        unsafe { libc::getsockopt(socket.0, level, option, info.as_mut_ptr().cast(), &mut length) };
    let part = info.get(offset..offset + BYTES)?;
    (result == 0 && length as usize >= offset + BYTES).then(|| part.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::core;
    use std::net::TcpStream;
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn an_accept_whose_connection_somebody_else_took_does_not_wait_for_the_next_one() {
        let own = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let passed = adopt(own.try_clone().unwrap().into_raw_fd());
        // As if both had been asked, and the other one had been faster.
        assert_eq!(accept(Socket(own.as_raw_fd())), None);
        assert_eq!(accept(Socket(passed.as_raw_fd())), None);
    }

    #[test]
    fn of_two_who_take_from_one_queue_each_comes_back_and_all_are_served() {
        const CLIENTS: usize = 200;
        let own = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = local_address(&own).unwrap();
        let other = own.try_clone().unwrap();
        let served = AtomicUsize::new(0);
        let take = &|listener: &OwnedFd| {
            while served.load(Ordering::Relaxed) < CLIENTS {
                match accept_now(Socket(listener.as_raw_fd())) {
                    Some(accepted) => {
                        close(accepted);
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    None => std::thread::yield_now(),
                }
            }
        };
        std::thread::scope(|scope| {
            for listener in [&own, &other] {
                scope.spawn(move || take(listener));
            }
            (0..CLIENTS).for_each(|_| drop(TcpStream::connect(address).unwrap()));
        });
        assert_eq!(served.into_inner(), CLIENTS);
    }

    /// A listening socket beside others, without waiting for its turn to accept.
    fn has_one(listener: &OwnedFd) -> bool {
        accept_now(Socket(listener.as_raw_fd())).map(close).is_some()
    }

    #[test]
    fn connections_go_past_sockets_that_turn_them_away_and_are_theirs_if_they_came_before() {
        for hosts in [["127.0.0.1", "0.0.0.0"], ["0.0.0.0", "127.0.0.1"], ["::1", "::"]] {
            let [old, new] = hosts.map(|host| host.parse::<std::net::IpAddr>().unwrap());
            let client = hosts.into_iter().find(|host| host.ends_with('1')).unwrap();
            let first = listen((old, 0).into(), 16).unwrap();
            let port = local_address(&first).unwrap().port();
            let group = [first, listen((old, port).into(), 16).unwrap()];
            let before = TcpStream::connect((client, port)).unwrap();
            let other = listen((new, port).into(), 16).unwrap();
            let sockets: Vec<Socket> = group.iter().map(|one| Socket(one.as_raw_fd())).collect();
            turn_away(&sockets).unwrap();
            for _ in 0..20 {
                let _client = TcpStream::connect((client, port)).unwrap();
                assert!(has_one(&other), "{hosts:?}");
            }
            assert_eq!(group.iter().filter(|one| has_one(one)).count(), 1, "{hosts:?}");
            drop(before);
            // Back on the first address, while the old sockets are still there.
            let again = listen((old, port).into(), 16).unwrap();
            turn_away(&[Socket(other.as_raw_fd())]).unwrap();
            let _client = TcpStream::connect((client, port)).unwrap();
            assert!(has_one(&again), "{hosts:?}");
            turn_away(&[Socket(again.as_raw_fd())]).unwrap();
            let refused = TcpStream::connect((client, port)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{hosts:?}");
        }
    }

    #[test]
    fn what_is_accepted_is_probed_as_its_listener_says() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let listening = Socket(listener.as_raw_fd());
        let address = local_address(&listener).unwrap();
        for seconds in [60, 1, 0] {
            keep_alive(listening, Duration::from_secs(seconds));
            let _client = TcpStream::connect(address).unwrap();
            let accepted = accept_now(listening).expect("it is there");
            let borrowed = borrowed(accepted);
            let probed = SockRef::from(&borrowed);
            assert_eq!(probed.keepalive().unwrap(), seconds > 0);
            if seconds > 0 {
                let interval = (seconds / 3).max(1);
                let [idle, between] = [seconds, interval].map(Duration::from_secs);
                assert_eq!(probed.tcp_keepalive_time().unwrap(), idle);
                assert_eq!(probed.tcp_keepalive_interval().unwrap(), between);
                assert_eq!(probed.tcp_keepalive_retries().unwrap(), 3);
            }
            close(accepted);
        }
    }

    /// The place of the socket that gets a connection whose packets are on `core`.
    fn socket_for(core: usize, sockets: &[OwnedFd]) -> usize {
        let address = local_address(&sockets[0]).unwrap();
        // A packet to loopback is taken by the core that sends it.
        core::pin_thread(core).unwrap();
        let _client = TcpStream::connect(address).unwrap();
        let has_it = |socket: &OwnedFd| match accept_now(Socket(socket.as_raw_fd())) {
            Some(accepted) => {
                close(accepted);
                true
            }
            None => false,
        };
        sockets.iter().position(has_it).expect("one of them has the connection")
    }

    /// A group of listening sockets, each with the core that it prefers.
    fn group(cores: &[Option<usize>]) -> Vec<OwnedFd> {
        let first = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = local_address(&first).unwrap();
        let siblings = (1..cores.len()).map(|_| listen(address, 16).unwrap());
        let sockets: Vec<OwnedFd> = std::iter::once(first).chain(siblings).collect();
        for (socket, core) in sockets.iter().zip(cores) {
            core.iter().for_each(|core| prefer_core(socket, *core).unwrap());
        }
        sockets
    }

    #[test]
    fn a_connection_goes_to_the_shard_on_its_core_in_whatever_order_the_cores_are() {
        for core in core::allowed().unwrap() {
            let (own, other) = (Some(core), Some(core + 1));
            assert_eq!(socket_for(core, &group(&[own, other])), 0);
            assert_eq!(socket_for(core, &group(&[other, own])), 1);
            assert_eq!(socket_for(core, &group(&[other, None, own])), 2);
            // As many as there may be, its own the last.
            let many: Vec<_> = (0..64).map(|n| Some(core + 63 - n)).collect();
            assert_eq!(socket_for(core, &group(&many)), 63);
            // No shard has its core: anyone does.
            socket_for(core, &group(&[other, other, other]));
            socket_for(core, &group(&[None, None]));
        }
    }

    #[test]
    fn it_still_does_when_some_of_them_have_closed() {
        for core in core::allowed().unwrap() {
            let (own, other) = (Some(core), Some(core + 1));
            for closed in 0..4 {
                let mut sockets = group(&[own, other, own, other]);
                let left: Vec<_> = (0..4).filter(|at| *at != closed).collect();
                drop(sockets.remove(closed));
                let found = left[socket_for(core, &sockets)];
                assert_eq!(found % 2, 0, "without {closed}, {found} has it");
            }
        }
    }
}
