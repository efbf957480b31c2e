//! Non-blocking UDP on IPv4. Batches, so that the origin and the load generator are not what limits
//! a proxy.

use super::{check, socket};
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Datagrams in one batch.
pub const BATCH: usize = 64;
/// Bytes of the longest one.
const DATAGRAM: usize = 2048;
/// Socket buffers: a burst of the load must not be lost at its own ends.
const BUFFER_BYTES: libc::c_int = 4 * 1024 * 1024;

/// A socket that is connected to `target`.
pub fn connect(target: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = open()?;
    let address = socket::raw(target);
    // SAFETY: the address lives over the call and its true length is passed.
    check(unsafe {
        libc::connect(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_in>() as libc::socklen_t,
        )
    })?;
    Ok(socket)
}

/// A socket that is bound to `address`.
pub fn bind(address: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = open()?;
    let address = socket::raw(address);
    // SAFETY: the address lives over the call and its true length is passed.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_in>() as libc::socklen_t,
        )
    })?;
    Ok(socket)
}

fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    // SAFETY: the descriptor was just made and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let bytes = BUFFER_BYTES;
    for option in [libc::SO_RCVBUF, libc::SO_SNDBUF] {
        // SAFETY: the option's value lives over the call and its true length is passed.
        check(unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const bytes).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        })?;
    }
    Ok(socket)
}

/// Room for a batch of datagrams and their senders.
pub struct Batch {
    messages: Vec<libc::mmsghdr>,
    // The kernel writes to these by the pointers in `messages` and `vectors`, which stay where they
    // are: none of these grows.
    _vectors: Vec<libc::iovec>,
    _addresses: Vec<libc::sockaddr_in>,
    _bytes: Vec<u8>,
}

impl Batch {
    /// An empty one.
    pub fn new() -> Batch {
        let mut bytes = vec![0u8; BATCH * DATAGRAM];
        // SAFETY: plain C structures, for which all zeroes is a value.
        let (address, message) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let mut addresses: Vec<libc::sockaddr_in> = vec![address; BATCH];
        let mut messages: Vec<libc::mmsghdr> = vec![message; BATCH];
        let mut vectors: Vec<libc::iovec> = bytes
            .chunks_exact_mut(DATAGRAM)
            .map(|chunk| libc::iovec { iov_base: chunk.as_mut_ptr().cast(), iov_len: DATAGRAM })
            .collect();
        for (at, message) in messages.iter_mut().enumerate() {
            message.msg_hdr.msg_iov = &raw mut vectors[at];
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = (&raw mut addresses[at]).cast();
        }
        Batch { messages, _vectors: vectors, _addresses: addresses, _bytes: bytes }
    }

    /// Sends back what waits in a socket, each datagram to its sender. True if there may be more.
    pub fn echo(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        for (message, vector) in self.messages.iter_mut().zip(&mut self._vectors) {
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            vector.iov_len = DATAGRAM;
        }
        // SAFETY: each message has room for an address and a datagram, which live in `self`.
        let came = check(unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.messages.as_mut_ptr(),
                BATCH as u32,
                0,
                std::ptr::null_mut(),
            )
        })? as usize;
        for (message, vector) in self.messages[..came].iter().zip(&mut self._vectors) {
            vector.iov_len = message.msg_len as usize;
        }
        let mut sent = 0;
        while sent < came {
            // SAFETY: these messages were filled by the kernel, and live in `self`.
            sent += check(unsafe {
                let rest = self.messages[sent..].as_mut_ptr();
                libc::sendmmsg(socket.as_raw_fd(), rest, (came - sent) as u32, 0)
            })? as usize;
        }
        Ok(came == BATCH)
    }
}
