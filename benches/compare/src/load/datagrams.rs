//! The load of datagrams: so many clients, each a socket of its own and so a flow, which send
//! datagrams that come back.
//!
//! A closed loop, as for connections, or paced: half of what the closed loop reaches, whether
//! answers come or not. Then every datagram that does not come back is an error.

use super::{
    EVENTS_PER_WAIT, LONGEST_WAIT, Load, MAX_ERRORS, OPENING_AT_ONCE, Pattern, Plan, STALL, Tally,
};
use crate::sys::epoll::{Epoll, Interest, Ready};
use crate::sys::{datagrams, signal, socket};
use anyhow::{Context, Result, anyhow};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Datagrams whose time of sending is remembered, a power of two.
const REMEMBERED: usize = 1 << 16;
/// How long a closed loop runs to see what is reached.
const SOUNDING: Duration = Duration::from_secs(1);
/// How often a paced load sends.
const BEAT: Duration = Duration::from_millis(1);
/// How long what was sent last may take to come back.
const TRAVEL: Duration = Duration::from_millis(500);

struct Client {
    socket: OwnedFd,
    /// The number of its last datagram, unless that has come back.
    waits_for: Option<u64>,
    has_had_answer: bool,
}

/// How datagrams are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// Each client when it has its answer.
    Closed,
    /// So many in a second, by one client after another.
    Paced(f64),
}

/// The running load. Dropping it closes every socket.
pub struct Datagrams {
    plan: Plan,
    epoll: Epoll,
    ready: Ready,
    clients: Vec<Client>,
    mode: Mode,
    /// The number of the next datagram.
    next: u64,
    came: u64,
    /// By number: when it was sent.
    sent_at: Vec<Instant>,
    payload: Vec<u8>,
    tally: Tally,
}

impl Datagrams {
    /// Opens the sockets (the first of them, if they are opened to rest), each with a datagram.
    pub fn start(plan: Plan) -> Result<Datagrams> {
        let at_once = match plan.pattern {
            Pattern::RequestOnceThenRest => OPENING_AT_ONCE.min(plan.connections),
            _ => plan.connections,
        };
        let mut load = Datagrams {
            epoll: Epoll::new().context("cannot make an epoll set")?,
            ready: Ready::with_capacity(EVENTS_PER_WAIT),
            clients: Vec::with_capacity(plan.connections),
            mode: Mode::Closed,
            next: 0,
            came: 0,
            sent_at: vec![Instant::now(); REMEMBERED],
            payload: vec![b'x'; plan.body_len.max(size_of::<u64>())],
            tally: Tally::new(),
            plan,
        };
        for _ in 0..at_once {
            load.open_another()?;
        }
        Ok(load)
    }

    fn open_another(&mut self) -> Result<()> {
        if self.clients.len() < self.plan.connections {
            let client = self.open(self.clients.len())?;
            self.clients.push(client);
            self.send(self.clients.len() - 1);
        }
        Ok(())
    }

    fn open(&self, index: usize) -> Result<Client> {
        let socket = datagrams::connect(self.plan.target).context("cannot open a socket")?;
        self.epoll.add(socket.as_fd(), Interest::Readable, index as u64)?;
        Ok(Client { socket, waits_for: None, has_had_answer: false })
    }

    fn send(&mut self, index: usize) {
        let number = self.next;
        self.next += 1;
        self.payload[..size_of::<u64>()].copy_from_slice(&number.to_ne_bytes());
        self.sent_at[number as usize % REMEMBERED] = Instant::now();
        let client = &mut self.clients[index];
        client.waits_for = Some(number);
        if let Err(error) = socket::send(client.socket.as_fd(), &self.payload) {
            self.tally.count_error(&anyhow!(error).context("cannot send"));
        }
    }

    fn turn(&mut self, longest: Duration) -> Result<()> {
        signal::check_interrupt()?;
        let mut ready = std::mem::replace(&mut self.ready, Ready::with_capacity(0));
        self.epoll.wait(&mut ready, longest).context("epoll wait")?;
        for number in ready.numbers() {
            self.receive(number as usize)?;
        }
        self.ready = ready;
        Ok(())
    }

    /// Takes what has come to a client.
    fn receive(&mut self, index: usize) -> Result<()> {
        let mut buffer = [0; 2048];
        loop {
            let length = match socket::receive(self.clients[index].socket.as_fd(), &mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    self.tally.count_error(&anyhow!(error).context("cannot receive"));
                    return Ok(());
                }
            };
            let number = buffer[..length].first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
            let number = number.filter(|number| *number < self.next);
            let Some(number) = number.filter(|_| length == self.payload.len()) else {
                self.tally.count_error(&anyhow!("a datagram of {length} bytes came"));
                continue;
            };
            self.came += 1;
            let sent_at = self.sent_at[number as usize % REMEMBERED];
            self.tally.count_answer(200, sent_at.elapsed());
            if self.handle_answer(index, number)? == Sequel::AnotherSocket {
                return Ok(());
            }
        }
    }

    fn handle_answer(&mut self, index: usize, number: u64) -> Result<Sequel> {
        let client = &mut self.clients[index];
        client.has_had_answer = true;
        // One that was given up may come all the same.
        let is_awaited = client.waits_for == Some(number);
        if is_awaited {
            client.waits_for = None;
        }
        match self.plan.pattern {
            Pattern::RequestOnceThenRest => self.open_another()?,
            Pattern::ConnectionPerRequest if is_awaited => {
                self.clients[index] = self.open(index)?;
                self.clients[index].has_had_answer = true;
                self.send(index);
                return Ok(Sequel::AnotherSocket);
            }
            _ if is_awaited && self.mode == Mode::Closed => self.send(index),
            _ => {}
        }
        Ok(Sequel::SameSocket)
    }

    /// Sends again where nothing has come for long, which is counted.
    fn send_lost(&mut self) {
        for index in 0..self.clients.len() {
            let Some(number) = self.clients[index].waits_for else { continue };
            if self.sent_at[number as usize % REMEMBERED].elapsed() > STALL {
                self.tally.stalled += 1;
                self.send(index);
            }
        }
    }

    fn run_closed(&mut self, end: Instant) -> Result<()> {
        let mut next_look = Instant::now() + STALL;
        while self.tally.socket_errors < MAX_ERRORS {
            let now = Instant::now();
            if now >= end {
                break;
            }
            if now >= next_look {
                self.send_lost();
                next_look = now + STALL;
            }
            self.turn((end - now).min(LONGEST_WAIT))?;
        }
        Ok(())
    }

    /// Sends `rate` datagrams in a second until `end`, and waits until the last ones are back.
    fn run_paced(&mut self, rate: f64, end: Instant) -> Result<()> {
        let (begun, first, came_before) = (Instant::now(), self.next, self.came);
        while Instant::now() < end {
            let due = (begun.elapsed().as_secs_f64() * rate) as u64;
            while self.next - first < due {
                let index = self.next as usize % self.clients.len();
                self.send(index);
            }
            self.turn(BEAT)?;
        }
        let sent = self.next - first;
        let patience = Instant::now() + TRAVEL;
        while self.came - came_before < sent && Instant::now() < patience {
            self.turn(BEAT)?;
        }
        for _ in self.came - came_before..sent {
            self.tally.count_error(&anyhow!("a datagram was lost"));
        }
        Ok(())
    }

    fn take_tally(&mut self) -> Tally {
        std::mem::replace(&mut self.tally, Tally::new())
    }
}

/// What follows an answer.
#[derive(PartialEq, Eq)]
enum Sequel {
    SameSocket,
    AnotherSocket,
}

impl Load for Datagrams {
    fn run_until_served(&mut self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        let is_served = |load: &Self| load.clients.iter().all(|client| client.has_had_answer);
        while !is_served(self) && Instant::now() < end {
            self.send_lost();
            self.turn(LONGEST_WAIT)?;
        }
        if self.plan.pattern == Pattern::HalfPace {
            let (begun, before) = (Instant::now(), self.came);
            self.run_closed(begun + SOUNDING)?;
            let rate = (self.came - before) as f64 / begun.elapsed().as_secs_f64();
            self.mode = Mode::Paced(rate / 2.0);
            // What is still under way belongs to the closed loop.
            let patience = Instant::now() + TRAVEL;
            while Instant::now() < patience {
                self.turn(BEAT)?;
            }
        }
        Ok(())
    }

    fn run_for(&mut self, duration: Duration) -> Result<Tally> {
        let end = Instant::now() + duration;
        match self.mode {
            Mode::Closed => self.run_closed(end)?,
            Mode::Paced(rate) => self.run_paced(rate, end)?,
        }
        Ok(self.take_tally())
    }

    fn run_until_resting(&mut self, limit: Duration) -> Result<Tally> {
        let end = Instant::now() + limit;
        while self.count_resting() < self.plan.connections && Instant::now() < end {
            self.send_lost();
            self.turn(LONGEST_WAIT)?;
        }
        Ok(self.take_tally())
    }

    fn count_resting(&self) -> usize {
        self.clients.iter().filter(|client| client.has_had_answer).count()
    }
}
