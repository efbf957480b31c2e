//! Datagrams that are received, or sent, in one system call. IPv4 alone, as the comparison is.
#![allow(unsafe_code)]

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Datagrams in one batch.
const ROOM: usize = 64;
/// Bytes of the longest one.
pub const DATAGRAM_BYTES_MAX: usize = 2048;

/// See the module.
pub struct Batch {
    messages: Vec<libc::mmsghdr>,
    // The kernel reads and writes these by the pointers in `messages`: none of them grows.
    vectors: Vec<libc::iovec>,
    addresses: Vec<libc::sockaddr_in>,
    bytes: Vec<u8>,
    len: usize,
}

impl Batch {
    /// An empty one.
    pub fn new() -> Self {
        let mut bytes = vec![0; ROOM * DATAGRAM_BYTES_MAX];
        // SAFETY: plain C structures, for which all zeroes is a value.
        let (address, message) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let mut addresses: Vec<libc::sockaddr_in> = vec![address; ROOM];
        let mut messages: Vec<libc::mmsghdr> = vec![message; ROOM];
        let mut vectors: Vec<libc::iovec> = bytes
            .chunks_exact_mut(DATAGRAM_BYTES_MAX)
            .map(|part: &mut [u8]| libc::iovec {
                iov_base: part.as_mut_ptr().cast(),
                iov_len: DATAGRAM_BYTES_MAX,
            })
            .collect();
        for (at, message) in messages.iter_mut().enumerate() {
            message.msg_hdr.msg_iov = &raw mut vectors[at];
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = (&raw mut addresses[at]).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        Self { messages, vectors, addresses, bytes, len: 0 }
    }

    /// How many datagrams it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if no further one can be added.
    pub fn is_full(&self) -> bool {
        self.len == ROOM
    }

    /// Takes out all datagrams.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Takes what waits in a socket in place of what it had.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        for (message, vector) in self.messages.iter_mut().zip(&mut self.vectors) {
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            vector.iov_len = DATAGRAM_BYTES_MAX;
        }
        let nowhere = std::ptr::null_mut();
        // SAFETY: each message has room for an address and a datagram, which live in `self`.
        let came = unsafe {
            let messages = self.messages.as_mut_ptr();
            libc::recvmmsg(socket.as_raw_fd(), messages, ROOM as u32, 0, nowhere)
        };
        self.len = count(came)?;
        Ok(())
    }

    /// A datagram that was received, and its sender.
    pub fn at(&self, at: usize) -> (SocketAddr, &[u8]) {
        let address = &self.addresses[at];
        let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
        let sender = SocketAddrV4::new(ip, u16::from_be(address.sin_port));
        let start = at * DATAGRAM_BYTES_MAX;
        (sender.into(), &self.bytes[start..start + self.messages[at].msg_len as usize])
    }

    /// Adds one to be sent.
    pub fn add(&mut self, receiver: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let SocketAddr::V4(receiver) = receiver else {
            return Err(ErrorKind::Unsupported.into());
        };
        let address = &mut self.addresses[self.len];
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = receiver.port().to_be();
        address.sin_addr.s_addr = u32::from(*receiver.ip()).to_be();
        let start = self.len * DATAGRAM_BYTES_MAX;
        self.bytes[start..start + payload.len()].copy_from_slice(payload);
        self.vectors[self.len].iov_len = payload.len();
        self.len += 1;
        Ok(())
    }

    /// Sends all of them. What finds no room is lost.
    pub fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let all = std::mem::take(&mut self.len);
        let mut sent = 0;
        while sent < all {
            // SAFETY: these messages have an address and a datagram, which live in `self`.
            let result = unsafe {
                let rest = self.messages[sent..].as_mut_ptr();
                libc::sendmmsg(socket.as_raw_fd(), rest, (all - sent) as u32, 0)
            };
            match count(result)? {
                0 => return Ok(()),
                more => sent += more,
            }
        }
        Ok(())
    }
}

/// What a call did; nothing if it would have had to wait.
fn count(result: i32) -> io::Result<usize> {
    if result >= 0 {
        return Ok(result as usize);
    }
    Ok(crate::sys::without_wait(Err(io::Error::last_os_error()))?.unwrap_or(0))
}
