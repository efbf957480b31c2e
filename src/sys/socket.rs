//! TCP sockets: listening, opening, addresses, the options that std does not know. Everything
//! here returns at once.

use super::check;
use crate::engine::Socket;
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

/// How connections are spread over the listening sockets of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// By the kernel's hash of both addresses and ports.
    Hash,
    /// To the socket whose number is the CPU that took the packet, modulo their count. Right
    /// where the network card's queues are bound to the shards' cores.
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

/// Steers by CPU over a group of `sockets` listening sockets, of which `socket` is one.
pub fn steer_by_cpu(socket: &OwnedFd, sockets: u32) -> io::Result<()> {
    // A = CPU; A %= sockets; return A (classic BPF, socket(7) SO_ATTACH_REUSEPORT_CBPF).
    let load_cpu = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let modulo = (libc::BPF_ALU | libc::BPF_MOD) as u16;
    let ret_a = (libc::BPF_RET | libc::BPF_A) as u16;
    let cpu = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;
    let mut code = [
        libc::sock_filter { code: load_cpu, jt: 0, jf: 0, k: cpu },
        libc::sock_filter { code: modulo, jt: 0, jf: 0, k: sockets.max(1) },
        libc::sock_filter { code: ret_a, jt: 0, jf: 0, k: 0 },
    ];
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
