//! TCP sockets: listening, opening, addresses, the options that std does not know. Everything
//! here returns at once.

use super::check;
use crate::engine::Socket;
use crate::limits::SHARDS_MAX;
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

/// How connections are spread over the listening sockets of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// By the kernel's hash of both addresses and ports.
    Hash,
    /// To the socket of the shard on the CPU that took the packet. Right where the network card's
    /// queues are bound to the shards' cores.
    Cpu,
}

fn borrowed(socket: Socket) -> BorrowedFd<'static> {
    // JUSTIFICATION: a `Socket` is a number that is open for as long as its owner has not closed
    // it through the engine.
    // SAFETY: the borrow is used within the call that makes it; the owner is who calls us, so it
    // has not closed the socket.
    unsafe { BorrowedFd::borrow_raw(socket.0) }
}

/// A listening socket that shares its address with its siblings. TCP_NODELAY is set and is
/// inherited by what it accepts.
///
/// # Errors
/// What the kernel says of the address: in use, not ours, not allowed.
pub fn listen(address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
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
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// The address that a listening socket got, where port 0 was asked.
pub fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    SockRef::from(socket)
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("not an internet socket"))
}

/// Steers by CPU over the group of listening sockets of one address, of which `socket` is one.
/// `cores` has the core of each, in the order in which they began to listen, which is how the
/// kernel numbers them; none for one whose shard is not pinned. A packet on a core of none of them
/// goes to the socket whose number is that core, modulo their count.
///
/// # Errors
/// What the kernel says of the program.
pub fn steer_by_cpu(socket: &OwnedFd, cores: &[Option<usize>]) -> io::Result<()> {
    let mut code = steering_program(cores);
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    // JUSTIFICATION: neither std nor socket2 attach a program to a reuseport group.
    // SAFETY: `program` points at `code`, both live over the call, which copies them.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as u32,
        )
    })?;
    Ok(())
}

/// Two instructions a core, far from the 4,096 that a program may have (`BPF_MAXINSNS`).
const _: () = assert!(2 * SHARDS_MAX + 3 <= 4096);

/// Classic BPF (socket(7), SO_ATTACH_REUSEPORT_CBPF): `A = CPU`; for each core `if A == core
/// return its socket`; then `return A % sockets`.
fn steering_program(cores: &[Option<usize>]) -> Vec<libc::sock_filter> {
    let step = |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let cpu = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;
    let mut program = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, cpu)];
    let pinned = cores.iter().enumerate().filter_map(|(at, core)| Some((at, (*core)?)));
    for (at, core) in pinned {
        // If not equal, the return is skipped.
        program.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, core as u32));
        program.push(step(libc::BPF_RET | libc::BPF_K, 0, at as u32));
    }
    program.push(step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, 0, cores.len().max(1) as u32));
    program.push(step(libc::BPF_RET | libc::BPF_A, 0, 0));
    program
}

/// A socket to connect to `address` with, TCP_NODELAY set.
pub fn open(address: &SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(*address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
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

/// Takes a waiting connection, none if there is none. Does not block.
pub fn accept_now(listener: Socket) -> Option<Socket> {
    let mut poll = libc::pollfd { fd: listener.0, events: libc::POLLIN, revents: 0 };
    // JUSTIFICATION: the listener is a blocking socket for the ring's sake; this asks first.
    // SAFETY: one valid pollfd; accept4 without a place for the address takes none.
    let fd = unsafe {
        if libc::poll(&mut poll, 1, 0) != 1 {
            return None;
        }
        libc::accept4(
            listener.0,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        )
    };
    (fd >= 0).then_some(Socket(fd))
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

/// Bytes that the peer has acknowledged since the connection began; 0 if that cannot be known.
pub fn acknowledged(socket: Socket) -> u64 {
    // Where `tcpi_bytes_acked` is in `struct tcp_info` (linux/tcp.h, since 4.1): behind 8 single
    // bytes, 24 numbers of 4 bytes and 2 of 8. libc's own struct ends before it.
    const OFFSET: usize = 8 + 24 * 4 + 2 * 8;
    let mut info = [0u8; OFFSET + 8];
    let mut length = info.len() as libc::socklen_t;
    // JUSTIFICATION: no library offers this part of TCP_INFO (tcp(7)).
    // SAFETY: the kernel writes at most `length` bytes into `info`, which has as many.
    let result = unsafe {
        libc::getsockopt(
            socket.0,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut length,
        )
    };
    if result != 0 || (length as usize) < info.len() {
        return 0;
    }
    info[OFFSET..].try_into().map_or(0, u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core_affinity::CoreId;
    use std::net::TcpStream;

    /// The number of the socket that gets a connection whose packets are on `core`.
    fn socket_for(core: CoreId, cores: &[Option<usize>]) -> usize {
        let first = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = local_address(&first).unwrap();
        let siblings = (1..cores.len()).map(|_| listen(address, 16).unwrap());
        let sockets: Vec<OwnedFd> = std::iter::once(first).chain(siblings).collect();
        steer_by_cpu(&sockets[0], cores).unwrap();
        // A packet to loopback is taken by the core that sends it.
        assert!(core_affinity::set_for_current(core));
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

    #[test]
    fn a_connection_goes_to_the_shard_on_its_core_in_whatever_order_the_cores_are() {
        for core in core_affinity::get_core_ids().expect("Linux has them") {
            let (own, other) = (Some(core.id), Some(core.id + 1));
            assert_eq!(socket_for(core, &[own, other]), 0);
            assert_eq!(socket_for(core, &[other, own]), 1);
            assert_eq!(socket_for(core, &[other, None, own]), 2);
            // As many as there may be, its own the last.
            let many: Vec<_> = (0..64).map(|n| Some(core.id + 63 - n)).collect();
            assert_eq!(socket_for(core, &many), 63);
            // No shard has its core.
            assert_eq!(socket_for(core, &[other, other, other]), core.id % 3);
            assert_eq!(socket_for(core, &[None, None]), core.id % 2);
        }
    }

    #[test]
    fn the_kernel_takes_the_program_of_as_many_shards_as_there_may_be() {
        let socket = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let cores: Vec<_> = (0..SHARDS_MAX).map(|core| Some(core * 16)).collect();
        steer_by_cpu(&socket, &cores).unwrap();
    }
}
