//! The relay of datagrams on bare epoll: the datagrams of clients are received and answered in
//! batches, as far as several wait; those of a flow one by one, since each has a socket of its own.

use super::Flows;
use super::batch::{Batch, DATAGRAM_BYTES_MAX};
use crate::sys::{Epoll, Interest};
use crate::{Plan, sys};
use ringway::sys::udp;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

const EVENTS_PER_WAIT: usize = 1024;
const WAIT_MAX: Duration = Duration::from_millis(500);
/// The number of the listener's socket; no flow gets there.
const LISTENER: u64 = u64::MAX;
const READABLE: Interest = Interest { readable: true, writable: false };

struct Relay {
    epoll: Epoll,
    listener: UdpSocket,
    flows: Flows<UdpSocket>,
    requests: Batch,
    responses: Batch,
}

/// Relays until the process ends.
pub fn relay(plan: Plan) -> io::Result<()> {
    let listener = UdpSocket::from(udp::receive_on(plan.listen)?);
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EVENTS_PER_WAIT)?;
    epoll.add(listener.as_fd(), LISTENER, READABLE)?;
    let flows = Flows::new(plan.backends);
    let (requests, responses) = (Batch::new(), Batch::new());
    let mut relay = Relay { epoll, listener, flows, requests, responses };
    loop {
        relay.turn()?;
    }
}

impl Relay {
    fn turn(&mut self) -> io::Result<()> {
        let count = self.epoll.wait(WAIT_MAX)?;
        for at in 0..count {
            match self.epoll.ready(at).number {
                LISTENER => self.send_on()?,
                flow => self.give_back(flow as usize)?,
            }
        }
        self.responses.send(self.listener.as_fd())
    }

    /// A batch of what clients have sent; epoll reports what is left again.
    fn send_on(&mut self) -> io::Result<()> {
        self.requests.receive(self.listener.as_fd())?;
        for at in 0..self.requests.len() {
            let (client, payload) = self.requests.at(at);
            let epoll = &self.epoll;
            let index = self.flows.of(client, |index, backend| open(epoll, index, backend))?;
            // A datagram that finds no room is lost, as datagrams may be.
            let _ = self.flows.all[index].1.send(payload);
        }
        self.requests.clear();
        Ok(())
    }

    fn give_back(&mut self, index: usize) -> io::Result<()> {
        let (client, socket) = &self.flows.all[index];
        if self.responses.is_full() {
            self.responses.send(self.listener.as_fd())?;
        }
        let mut room = [0; DATAGRAM_BYTES_MAX];
        match sys::without_wait(socket.recv(&mut room))? {
            Some(length) => self.responses.add(*client, &room[..length]),
            None => Ok(()),
        }
    }
}

fn open(epoll: &Epoll, index: usize, backend: SocketAddr) -> io::Result<UdpSocket> {
    let any = if backend.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let any: SocketAddr = any.parse().map_err(|_| ErrorKind::InvalidInput)?;
    let socket = UdpSocket::bind(any)?;
    socket.connect(backend)?;
    socket.set_nonblocking(true)?;
    epoll.add(socket.as_fd(), index as u64, READABLE)?;
    Ok(socket)
}
