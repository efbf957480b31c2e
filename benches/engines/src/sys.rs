//! System calls that no library offers in the form a bare relay wants: epoll, and an accept that
//! gives a non-blocking socket in one call. Does not: know what the sockets are for.
#![allow(unsafe_code)]

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// What is waited for on a socket; an error or a full close is always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Bytes, or the end of the stream.
    pub readable: bool,
    /// Room to send.
    pub writable: bool,
}

impl Interest {
    fn bits(self) -> u32 {
        let readable = if self.readable { libc::EPOLLIN } else { 0 };
        let writable = if self.writable { libc::EPOLLOUT } else { 0 };
        (readable | writable) as u32
    }
}

/// What is ready on a socket.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The number that the socket was added with.
    pub number: u64,
    /// Something can be read, or the end or an error is there.
    pub readable: bool,
    /// Something can be sent.
    pub writable: bool,
}

/// A level-triggered epoll set with room for the answers of one wait.
pub struct Epoll {
    set: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    /// An empty set that reports at most `events` sockets at once.
    pub fn new(events: usize) -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor that comes back is owned by nobody else.
        let set = unsafe {
            let fd = check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
            OwnedFd::from_raw_fd(fd)
        };
        let empty = libc::epoll_event { events: 0, u64: 0 };
        Ok(Self { set, events: vec![empty; events] })
    }

    /// Watches a socket. It leaves the set when it is closed.
    pub fn add(&self, socket: BorrowedFd<'_>, number: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, number, interest)
    }

    /// Watches a socket for something else.
    pub fn modify(&self, fd: BorrowedFd<'_>, number: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, number, interest)
    }

    fn control(
        &self,
        operation: i32,
        socket: BorrowedFd<'_>,
        number: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: number };
        // SAFETY: both descriptors are open, and the call only reads `event`.
        let result = unsafe {
            libc::epoll_ctl(self.set.as_raw_fd(), operation, socket.as_raw_fd(), &mut event)
        };
        check(result).map(drop)
    }

    /// Waits until something is ready, or `longest`; how many [`Epoll::ready`] are valid.
    pub fn wait(&mut self, longest: Duration) -> io::Result<usize> {
        let room = self.events.len() as i32;
        let millis = longest.as_millis() as i32;
        // SAFETY: the kernel writes at most `room` events into a vector of that many.
        let count = unsafe {
            libc::epoll_wait(self.set.as_raw_fd(), self.events.as_mut_ptr(), room, millis)
        };
        match check(count) {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// One answer of the last wait.
    pub fn ready(&self, at: usize) -> Ready {
        let libc::epoll_event { events, u64: number } = self.events[at];
        let has = |bits: i32| events & bits as u32 != 0;
        Ready {
            number,
            readable: has(libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR),
            writable: has(libc::EPOLLOUT),
        }
    }
}

/// Takes a waiting connection as a non-blocking socket; an error of `WouldBlock` if none waits.
pub fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let nowhere = std::ptr::null_mut();
    // SAFETY: without a place for the address the kernel writes none; the descriptor that comes
    // back is owned by nobody else.
    unsafe {
        let fd = libc::accept4(listener.as_raw_fd(), nowhere, nowhere.cast(), flags);
        Ok(TcpStream::from(OwnedFd::from_raw_fd(check(fd)?)))
    }
}

/// The value of a call, if it did not have to wait for anything.
pub fn without_wait<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
