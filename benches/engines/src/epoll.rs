//! The bare relay on bare epoll: level-triggered, one read and one write for each message, and
//! writability watched only where a write fell short. Each client has one connection to a backend;
//! the end of either ends both. Does not: look at the bytes.

use crate::backends::Backends;
use crate::sys::{self, Epoll, Interest};
use crate::{BACKLOG, BUFFER_SIZE, Plan};
use ringway::sys::socket;
use slab::Slab;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

const EVENTS_PER_WAIT: usize = 1024;
const WAIT_MAX: Duration = Duration::from_millis(500);
/// The number of the listener; a slab never gets there.
const LISTENER: u64 = u64::MAX;
const READABLE: Interest = Interest { readable: true, writable: false };

/// One end of one connection.
struct End {
    stream: TcpStream,
    /// None once the other side is closed; this one is closed when nothing is unsent.
    peer: Option<usize>,
    /// What did not fit into the socket. Its peer is paused meanwhile.
    unsent: Vec<u8>,
}

struct Relay {
    epoll: Epoll,
    listener: TcpListener,
    backends: Backends,
    ends: Slab<End>,
    buffer: Vec<u8>,
}

/// Relays until the process ends.
pub fn relay(plan: Plan) -> io::Result<()> {
    let listener = TcpListener::from(socket::listen(plan.listen, BACKLOG)?);
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EVENTS_PER_WAIT)?;
    epoll.add(listener.as_fd(), LISTENER, READABLE)?;
    let mut relay = Relay {
        epoll,
        listener,
        backends: plan.backends,
        ends: Slab::with_capacity(1024),
        buffer: vec![0; BUFFER_SIZE],
    };
    loop {
        relay.turn()?;
    }
}

impl Relay {
    fn turn(&mut self) -> io::Result<()> {
        let count = self.epoll.wait(WAIT_MAX)?;
        for at in 0..count {
            let ready = self.epoll.ready(at);
            if ready.number == LISTENER {
                self.accept_all()?;
                continue;
            }
            let index = ready.number as usize;
            // A connection may have been closed, and its place taken, earlier in this turn: then
            // there is nothing to be read or sent, and nothing happens.
            if ready.writable && self.ends.contains(index) {
                self.send_rest(index)?;
            }
            if ready.readable && self.ends.contains(index) {
                self.receive(index)?;
            }
        }
        Ok(())
    }

    fn accept_all(&mut self) -> io::Result<()> {
        loop {
            match sys::accept(&self.listener) {
                Ok(client) => self.open(client)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn open(&mut self, client: TcpStream) -> io::Result<()> {
        let (_, address) = self.backends.next();
        let Ok(upstream) = connect(address) else { return Ok(()) };
        let client = self.insert(client)?;
        let upstream = self.insert(upstream)?;
        self.ends[client].peer = Some(upstream);
        self.ends[upstream].peer = Some(client);
        Ok(())
    }

    fn insert(&mut self, stream: TcpStream) -> io::Result<usize> {
        let index = self.ends.insert(End { stream, peer: None, unsent: Vec::new() });
        self.watch_new(index)?;
        Ok(index)
    }

    fn watch_new(&self, index: usize) -> io::Result<()> {
        self.epoll.add(self.ends[index].stream.as_fd(), index as u64, READABLE)
    }

    /// Reads while the peer has taken all, and sends while something is left.
    fn watch(&self, index: usize) -> io::Result<()> {
        let end = &self.ends[index];
        let interest = Interest {
            readable: end.peer.is_some_and(|peer| self.ends[peer].unsent.is_empty()),
            writable: !end.unsent.is_empty(),
        };
        self.epoll.modify(end.stream.as_fd(), index as u64, interest)
    }

    /// Reads once, or again while the buffer comes back full and the peer takes all.
    fn receive(&mut self, from: usize) -> io::Result<()> {
        loop {
            let end = &self.ends[from];
            let Some(to) = end.peer else { return Ok(()) };
            match (&end.stream).read(&mut self.buffer) {
                Ok(0) => return self.close(from, to),
                Ok(length) => {
                    let is_all_sent = self.send(from, to, length)?;
                    if length < self.buffer.len() || !is_all_sent {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return self.close(from, to),
            }
        }
    }

    /// Sends what was read; true if all of it went. Else the source is paused.
    fn send(&mut self, from: usize, to: usize, length: usize) -> io::Result<bool> {
        let end = &mut self.ends[to];
        let sent = if end.unsent.is_empty() {
            match (&end.stream).write(&self.buffer[..length]) {
                Ok(sent) => sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(_) => {
                    self.close(to, from)?;
                    return Ok(false);
                }
            }
        } else {
            0
        };
        if sent == length {
            return Ok(true);
        }
        end.unsent.extend_from_slice(&self.buffer[sent..length]);
        self.watch(to)?;
        self.watch(from)?;
        Ok(false)
    }

    fn send_rest(&mut self, index: usize) -> io::Result<()> {
        let end = &mut self.ends[index];
        match (&end.stream).write(&end.unsent) {
            Ok(sent) => drop(end.unsent.drain(..sent)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => end.unsent.clear(),
        }
        if !end.unsent.is_empty() {
            return Ok(());
        }
        let Some(peer) = end.peer else {
            self.ends.remove(index);
            return Ok(());
        };
        self.watch(index)?;
        self.watch(peer)
    }

    /// Closes the end whose stream has ended, and the other one when all is sent.
    fn close(&mut self, ended: usize, peer: usize) -> io::Result<()> {
        self.ends.remove(ended);
        let end = &mut self.ends[peer];
        end.peer = None;
        if end.unsent.is_empty() {
            self.ends.remove(peer);
            return Ok(());
        }
        self.watch(peer)
    }
}

/// Begins to connect; on loopback that is done at once. Sends meanwhile find no room and wait.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&SockAddr::from(address)) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}
