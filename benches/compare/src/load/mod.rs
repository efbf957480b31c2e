//! The load generator: one thread, one epoll set, a fixed number of connections, each with one
//! request at a time (a closed loop).
//!
//! It runs on the calling thread, so the caller can read the clocks of the proxy at the very ends
//! of the measured window. It does not pace requests: percentiles are those of a saturated proxy
//! and say nothing about the latency at a given rate.

mod channel;
mod connection;
mod datagrams;
mod histogram;
mod response;
mod streams;

use crate::sys::epoll::{Epoll, Ready};
use crate::sys::signal;
use anyhow::{Context, Result, anyhow};
pub use channel::SERVER_NAME;
use connection::{Connection, Stage, Step};
use histogram::Histogram;
use rustls::ClientConfig;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One read takes at most so much: large answers come in few calls, yet no connection starves.
const READ_BUFFER: usize = 256 * 1024;
const EVENTS_PER_WAIT: usize = 1024;
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// A request that has waited so long at the end of a window is counted as stalled.
const STALL: Duration = Duration::from_secs(1);
/// With so many errors a measurement says nothing any more.
const MAX_ERRORS: u64 = 1_000;
/// Connections opened at the same time when thousands are opened to rest.
const OPENING_AT_ONCE: usize = 64;

/// What a connection does after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Sends the next request.
    KeepAlive,
    /// Waits for the proxy's close and connects again.
    ConnectionPerRequest,
    /// Stays open and sends nothing more.
    RequestOnceThenRest,
    /// Of datagrams: half as many in a second as a closed loop reaches, at a steady pace.
    HalfPace,
}

/// What carries the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Connections that speak HTTP.
    Tcp,
    /// The same behind a ClientHello, which is no more than the first bytes of the connection: what
    /// forwards them routes by it.
    BehindHello,
    /// The same with TLS.
    Tls {
        /// Each client takes up its last session with its next connection.
        resumes: bool,
    },
    /// Connections that speak HTTP/2, with 32 streams each.
    Streams,
    /// Datagrams that come back as they were sent.
    Udp,
}

/// What to send, and where to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The proxy.
    pub target: SocketAddrV4,
    /// Connections open at the same time.
    pub connections: usize,
    /// Bytes of the body of each answer.
    pub body_len: usize,
    /// What a connection does after an answer.
    pub pattern: Pattern,
    /// What carries the requests.
    pub transport: Transport,
}

/// A running load. Dropping it closes everything.
pub trait Load {
    /// Runs until each connection has had an answer, at most for `limit`. A proxy that accepts one
    /// connection for each turn of its loop needs long for hundreds that come at once; until then
    /// it would be measured with fewer connections than the others.
    fn run_until_served(&mut self, limit: Duration) -> Result<()>;

    /// Keeps the load up for `duration` and returns what came back since the last return; so an
    /// error at the opening is in the first tally.
    fn run_for(&mut self, duration: Duration) -> Result<Tally>;

    /// Runs until every connection is open and at rest, at most for `limit`.
    fn run_until_resting(&mut self, limit: Duration) -> Result<Tally>;

    /// The connections that have had their answer and are open still.
    fn count_resting(&self) -> usize;
}

/// Begins a load.
pub fn start(plan: Plan) -> Result<Box<dyn Load>> {
    Ok(match plan.transport {
        Transport::Tcp | Transport::BehindHello | Transport::Tls { .. } => {
            Box::new(Generator::start(plan)?)
        }
        Transport::Streams => Box::new(streams::Streams::start(plan)?),
        Transport::Udp => Box::new(datagrams::Datagrams::start(plan)?),
    })
}

impl Plan {
    fn request(&self) -> Vec<u8> {
        let Plan { target, body_len, .. } = self;
        let close = match self.pattern {
            Pattern::ConnectionPerRequest => "Connection: close\r\n",
            _ => "",
        };
        format!("GET /bytes/{body_len} HTTP/1.1\r\nHost: {target}\r\n{close}\r\n").into_bytes()
    }

    fn tls_configs(&self) -> Vec<Arc<ClientConfig>> {
        match self.transport {
            Transport::Tls { resumes } => {
                (0..self.connections).map(|_| channel::client_config(resumes)).collect()
            }
            Transport::Tcp | Transport::BehindHello | Transport::Streams | Transport::Udp => {
                Vec::new()
            }
        }
    }

    /// What a connection begins with.
    fn first_request(&self) -> Result<Vec<u8>> {
        let mut bytes = match self.transport {
            Transport::BehindHello => channel::client_hello()?,
            _ => Vec::new(),
        };
        bytes.extend(self.request());
        Ok(bytes)
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Answers that are complete, of whatever status.
    pub answers: u64,
    /// Of these, the ones that are not 2xx.
    pub not_2xx: u64,
    /// Connections lost to an error or an unexpected close.
    pub socket_errors: u64,
    /// Requests that had no answer for a second when the window closed.
    pub stalled: u64,
    /// The first error in words.
    pub first_error: Option<String>,
    /// From the request (or the connect that belongs to it) to the last byte of the answer.
    pub latency: Histogram,
}

impl Tally {
    fn new() -> Tally {
        Tally {
            answers: 0,
            not_2xx: 0,
            socket_errors: 0,
            stalled: 0,
            first_error: None,
            latency: Histogram::new(),
        }
    }

    fn count_answer(&mut self, status: u16, latency: Duration) {
        self.answers += 1;
        self.latency.record(latency);
        if !(200..300).contains(&status) {
            self.not_2xx += 1;
            self.first_error.get_or_insert_with(|| format!("status {status}"));
        }
    }

    fn count_error(&mut self, error: &anyhow::Error) {
        self.socket_errors += 1;
        self.first_error.get_or_insert_with(|| format!("{error:#}"));
    }
}

/// The running load. Dropping it closes every connection.
struct Generator {
    plan: Plan,
    /// The first one of each connection, with what goes before it.
    first_request: Vec<u8>,
    request: Vec<u8>,
    epoll: Epoll,
    ready: Ready,
    buffer: Vec<u8>,
    connections: Vec<Option<Connection>>,
    /// Which places have had an answer ever.
    served: Vec<bool>,
    /// By place, if there is TLS: sessions are a client's own.
    tls: Vec<Arc<ClientConfig>>,
    tally: Tally,
}

impl Generator {
    /// Opens the connections (the first of them, if they are opened to rest).
    fn start(plan: Plan) -> Result<Generator> {
        let at_once = match plan.pattern {
            Pattern::RequestOnceThenRest => OPENING_AT_ONCE.min(plan.connections),
            _ => plan.connections,
        };
        let mut generator = Generator {
            first_request: plan.first_request()?,
            request: plan.request(),
            epoll: Epoll::new().context("cannot make an epoll set")?,
            ready: Ready::with_capacity(EVENTS_PER_WAIT),
            buffer: vec![0; READ_BUFFER],
            connections: Vec::with_capacity(plan.connections),
            served: vec![false; plan.connections],
            tls: plan.tls_configs(),
            tally: Tally::new(),
            plan,
        };
        for _ in 0..at_once {
            generator.open_another();
        }
        Ok(generator)
    }

    fn turn(&mut self, longest: Duration) -> Result<()> {
        signal::check_interrupt()?;
        let mut ready = std::mem::replace(&mut self.ready, Ready::with_capacity(0));
        self.epoll.wait(&mut ready, longest).context("epoll wait")?;
        for number in ready.numbers() {
            self.handle_event(number as usize);
        }
        self.ready = ready;
        Ok(())
    }

    fn handle_event(&mut self, index: usize) {
        let Some(connection) = &mut self.connections[index] else { return };
        let step =
            connection.advance(&self.epoll, index as u64, &self.first_request, &mut self.buffer);
        match step {
            Ok(Step::Pending) => {}
            Ok(Step::Answered(status)) => self.handle_answer(index, status),
            Ok(Step::Ended) => self.reopen(index),
            Err(error) => self.handle_error(index, &error),
        }
    }

    fn handle_answer(&mut self, index: usize, status: u16) {
        let Some(connection) = &mut self.connections[index] else { return };
        self.tally.count_answer(status, connection.started.elapsed());
        let has_had_session = std::mem::replace(&mut self.served[index], true);
        if self.plan.transport == (Transport::Tls { resumes: true })
            && has_had_session
            && !connection.is_resumed()
        {
            self.tally.count_error(&anyhow!("a session was not resumed"));
        }
        match self.plan.pattern {
            Pattern::KeepAlive | Pattern::HalfPace => {
                if let Err(error) = connection.send_again(&self.request) {
                    self.handle_error(index, &error);
                }
            }
            Pattern::ConnectionPerRequest => connection.await_end(),
            Pattern::RequestOnceThenRest => {
                connection.rest();
                self.open_another();
            }
        }
    }

    /// A lost connection is opened again, but one that was opened to rest stays lost: its place
    /// would otherwise hide that the proxy does not keep connections.
    fn handle_error(&mut self, index: usize, error: &anyhow::Error) {
        self.tally.count_error(error);
        if self.plan.pattern == Pattern::RequestOnceThenRest {
            self.connections[index] = None;
            self.open_another();
        } else {
            self.reopen(index);
        }
    }

    fn reopen(&mut self, index: usize) {
        // Closed first, so that never more than the planned number is open.
        self.connections[index] = None;
        self.connections[index] = self.open(index);
    }

    fn open_another(&mut self) {
        if self.connections.len() < self.plan.connections {
            let connection = self.open(self.connections.len());
            self.connections.push(connection);
        }
    }

    fn open(&mut self, index: usize) -> Option<Connection> {
        let tls = self.tls.get(index);
        Connection::open(&self.epoll, index as u64, self.plan.target, tls, &self.first_request)
            .inspect_err(|error| self.tally.count_error(error))
            .ok()
    }

    /// Lost connections stay lost, so they are not waited for.
    fn all_resting(&self) -> bool {
        self.connections.len() == self.plan.connections
            && self.connections.iter().flatten().all(|one| one.stage() == Stage::Resting)
    }

    fn take_tally(&mut self) -> Tally {
        self.tally.stalled = self.count_stalled();
        std::mem::replace(&mut self.tally, Tally::new())
    }

    fn count_stalled(&self) -> u64 {
        let stalls =
            |one: &&Connection| one.stage() != Stage::Resting && one.started.elapsed() > STALL;
        self.connections.iter().flatten().filter(stalls).count() as u64
    }
}

impl Load for Generator {
    fn run_until_served(&mut self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while self.tally.socket_errors < MAX_ERRORS
            && self.served.contains(&false)
            && Instant::now() < end
        {
            self.turn(LONGEST_WAIT)?;
        }
        Ok(())
    }

    fn run_for(&mut self, duration: Duration) -> Result<Tally> {
        let end = Instant::now() + duration;
        while self.tally.socket_errors < MAX_ERRORS {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.turn(left.min(LONGEST_WAIT))?;
        }
        Ok(self.take_tally())
    }

    fn run_until_resting(&mut self, limit: Duration) -> Result<Tally> {
        let end = Instant::now() + limit;
        while self.tally.socket_errors < MAX_ERRORS && !self.all_resting() && Instant::now() < end {
            self.turn(LONGEST_WAIT)?;
        }
        Ok(self.take_tally())
    }

    fn count_resting(&self) -> usize {
        let open = self.connections.iter().flatten();
        open.filter(|one| one.stage() == Stage::Resting).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_connection_behind_a_hello_begins_with_one_record_of_it() {
        let target = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80);
        let (pattern, transport) = (Pattern::KeepAlive, Transport::BehindHello);
        let plan = Plan { target, connections: 1, body_len: 7, pattern, transport };
        let first = plan.first_request().unwrap();
        let length = usize::from(u16::from_be_bytes([first[3], first[4]]));
        assert!((22, 1) == (first[0], first[5]) && length > 1_216, "{length} bytes");
        assert_eq!(first[5 + length..], plan.request());
    }

    #[test]
    fn only_a_connection_per_request_asks_for_a_close() {
        let target = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80);
        let text = |pattern| {
            let transport = Transport::Tcp;
            let plan = Plan { target, connections: 1, body_len: 7, pattern, transport };
            String::from_utf8(plan.request()).unwrap()
        };
        let keep_alive = "GET /bytes/7 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n";
        assert_eq!(text(Pattern::KeepAlive), keep_alive);
        assert_eq!(text(Pattern::RequestOnceThenRest), keep_alive);
        assert!(text(Pattern::ConnectionPerRequest).contains("\r\nConnection: close\r\n"));
    }
}
