//! A level-triggered epoll set whose events carry a number chosen by the caller.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// What to wait for on a socket. Errors and hang-ups are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read, or the end of the stream.
    Readable,
    /// Room to write, or the end of a connect.
    Writable,
}

impl Interest {
    fn bits(self) -> u32 {
        match self {
            Interest::Readable => libc::EPOLLIN as u32,
            Interest::Writable => libc::EPOLLOUT as u32,
        }
    }
}

/// An epoll instance. A socket leaves it by being closed.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    /// A new, empty set.
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was just made and nobody else owns it.
        Ok(Epoll { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Starts watching a socket.
    pub fn add(&self, socket: BorrowedFd<'_>, interest: Interest, number: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, interest, number)
    }

    /// Changes what a watched socket is watched for.
    pub fn modify(
        &self,
        socket: BorrowedFd<'_>,
        interest: Interest,
        number: u64,
    ) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket, interest, number)
    }

    /// Waits and puts the numbers of ready sockets into `ready`; none after a signal or `timeout`.
    pub fn wait(&self, ready: &mut Ready, timeout: Duration) -> io::Result<()> {
        let milliseconds = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
        ready.count = 0;
        // SAFETY: the kernel writes at most `len` events to a buffer that holds `len` events.
        let count = check(unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                ready.events.as_mut_ptr(),
                ready.events.len() as libc::c_int,
                milliseconds,
            )
        });
        match count {
            Ok(count) => ready.count = count as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn control(
        &self,
        operation: libc::c_int,
        socket: BorrowedFd<'_>,
        interest: Interest,
        number: u64,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: number };
        // SAFETY: `event` lives over the call and both descriptors are open.
        check(unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), operation, socket.as_raw_fd(), &mut event)
        })?;
        Ok(())
    }
}

/// The sockets found ready by one wait.
pub struct Ready {
    events: Vec<libc::epoll_event>,
    count: usize,
}

impl Ready {
    /// Room for `capacity` events in one wait.
    pub fn with_capacity(capacity: usize) -> Ready {
        Ready { events: vec![libc::epoll_event { events: 0, u64: 0 }; capacity], count: 0 }
    }

    /// The numbers of the ready sockets.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.events[..self.count].iter().map(|event| event.u64)
    }
}
