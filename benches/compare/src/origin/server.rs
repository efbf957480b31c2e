//! The origin behind the proxies: one thread, one epoll set, and as little work as can be done.
//!
//! `GET /bytes/N` is answered with N bytes, `GET /served` with the number of other requests so far;
//! every other path with an empty 200, so that a proxy's health probe passes whatever it asks for.
//! Requests must not have a body. This is no web server: it reads the first line and looks for
//! `Connection: close`, and that is all. Records of TLS before a request are skipped: they have
//! served the proxy.

use crate::sys::datagrams::{self, Batch};
use crate::sys::epoll::{Epoll, Interest, Ready};
use crate::sys::socket;
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

/// Ports the origin listens on: each is one backend of the proxies.
pub const PORTS: usize = 4;

const BACKLOG: i32 = 4096;
const READ_BUFFER: usize = 16 * 1024;
const EVENTS_PER_WAIT: usize = 1024;
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The number of the first socket for datagrams.
const ECHOES: u64 = 1 << 32;
/// Keeps a mistaken path from asking for all the memory of the machine.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Prints where it listens on one line, then serves until the process is ended. `addresses`: so
/// many, each with one port, in place of the ports of one.
pub fn serve(addresses: Option<usize>) -> Result<()> {
    let ips = match addresses {
        Some(count) => (0..count).map(own_address).collect(),
        None => vec![Ipv4Addr::LOCALHOST; PORTS],
    };
    let listeners = ips.into_iter().map(listen).collect::<Result<Vec<_>>>()?;
    // Datagrams come back on the same ports.
    let echoes = match addresses {
        Some(_) => Vec::new(),
        None => listeners.iter().map(echo_beside).collect::<Result<Vec<_>>>()?,
    };
    let places = listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.to_string()))
        .collect::<io::Result<Vec<_>>>()?;
    println!("{}", places.join(" "));
    Origin::new(listeners, echoes)?.serve()
}

/// The address of a number, in 127.1.0.0/16.
fn own_address(number: usize) -> Ipv4Addr {
    let [.., high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

fn echo_beside(listener: &TcpListener) -> Result<OwnedFd> {
    let SocketAddr::V4(address) = listener.local_addr()? else { bail!("it is IPv4") };
    datagrams::bind(address).with_context(|| format!("cannot get datagrams on {address}"))
}

fn listen(ip: Ipv4Addr) -> Result<TcpListener> {
    let listener = TcpListener::bind((ip, 0)).with_context(|| format!("cannot listen on {ip}"))?;
    listener.set_nonblocking(true)?;
    socket::set_backlog(&listener, BACKLOG)?;
    socket::set_no_delay(&listener)?;
    Ok(listener)
}

/// The answers that were asked for so far; each is built once.
#[derive(Default)]
struct Answers {
    by_length: HashMap<usize, Rc<[u8]>>,
    /// Requests so far.
    served: u64,
}

impl Answers {
    fn to(&mut self, request: &[u8]) -> Rc<[u8]> {
        if request.starts_with(b"GET /served ") {
            let text = self.served.to_string();
            let length = text.len();
            return format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}")
                .into_bytes()
                .into();
        }
        self.served += 1;
        self.with_length(asked_length(request))
    }

    fn with_length(&mut self, len: usize) -> Rc<[u8]> {
        let build = || {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\
                 Content-Length: {len}\r\n\r\n"
            );
            let mut answer = head.into_bytes();
            answer.resize(answer.len() + len, b'x');
            answer.into()
        };
        Rc::clone(self.by_length.entry(len).or_insert_with(build))
    }
}

/// One connection from a proxy.
struct Connection {
    socket: OwnedFd,
    /// The beginning of a request that has not come whole; nearly always empty.
    partial_request: Vec<u8>,
    /// What is left to send of an answer that did not fit: the answer and the bytes sent.
    unsent: Option<(Rc<[u8]>, usize)>,
    close_after_answer: bool,
}

/// Whether a connection lives on after an event.
#[derive(PartialEq, Eq)]
enum Fate {
    Stays,
    Ends,
}

struct Origin {
    epoll: Epoll,
    listeners: Vec<TcpListener>,
    /// Numbered from [`ECHOES`] on.
    echoes: Vec<OwnedFd>,
    batch: Batch,
    /// By number of the event less the number of listeners; the free places are in `free`.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    answers: Answers,
    buffer: Vec<u8>,
}

impl Origin {
    fn new(listeners: Vec<TcpListener>, echoes: Vec<OwnedFd>) -> Result<Origin> {
        let epoll = Epoll::new()?;
        for (number, listener) in listeners.iter().enumerate() {
            epoll.add(listener.as_fd(), Interest::Readable, number as u64)?;
        }
        for (number, echo) in echoes.iter().enumerate() {
            epoll.add(echo.as_fd(), Interest::Readable, ECHOES + number as u64)?;
        }
        Ok(Origin {
            epoll,
            listeners,
            echoes,
            batch: Batch::new(),
            connections: Vec::new(),
            free: Vec::new(),
            answers: Answers::default(),
            buffer: vec![0; READ_BUFFER],
        })
    }

    fn serve(mut self) -> Result<()> {
        let mut ready = Ready::with_capacity(EVENTS_PER_WAIT);
        loop {
            self.epoll.wait(&mut ready, LONGEST_WAIT).context("epoll wait")?;
            for number in ready.numbers() {
                if let Some(echo) = number.checked_sub(ECHOES) {
                    let socket = self.echoes[echo as usize].as_fd();
                    // An error ends this turn of it; the load side sees what is missing.
                    while self.batch.echo(socket).unwrap_or(false) {}
                    continue;
                }
                let number = number as usize;
                match number.checked_sub(self.listeners.len()) {
                    None => self.accept_all(number),
                    Some(place) => self.handle_event(place),
                }
            }
        }
    }

    fn accept_all(&mut self, number: usize) {
        // Ends with the empty queue. Any other error shows as a missing answer at the load side.
        while let Ok(socket) = socket::accept(&self.listeners[number]) {
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let event_number = (place + self.listeners.len()) as u64;
            if self.epoll.add(socket.as_fd(), Interest::Readable, event_number).is_err() {
                self.free.push(place);
                continue;
            }
            self.connections[place] = Some(Connection {
                socket,
                partial_request: Vec::new(),
                unsent: None,
                close_after_answer: false,
            });
        }
    }

    fn handle_event(&mut self, place: usize) {
        let event_number = (place + self.listeners.len()) as u64;
        let Some(connection) = &mut self.connections[place] else { return };
        let fate = if connection.unsent.is_some() {
            connection.send_rest(&self.epoll, event_number)
        } else {
            connection.read(&self.epoll, event_number, &mut self.buffer, &mut self.answers)
        };
        if !matches!(fate, Ok(Fate::Stays)) {
            self.connections[place] = None;
            self.free.push(place);
        }
    }
}

impl Connection {
    fn read(
        &mut self,
        epoll: &Epoll,
        number: u64,
        buffer: &mut [u8],
        answers: &mut Answers,
    ) -> io::Result<Fate> {
        let len = match socket::receive(self.socket.as_fd(), buffer) {
            Ok(0) => return Ok(Fate::Ends),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Fate::Stays),
            Err(error) => return Err(error),
        };
        let request = if self.partial_request.is_empty() {
            &buffer[..len]
        } else {
            self.partial_request.extend_from_slice(&buffer[..len]);
            &self.partial_request[..]
        };
        if !request.ends_with(b"\r\n\r\n") {
            if self.partial_request.is_empty() {
                self.partial_request.extend_from_slice(&buffer[..len]);
            }
            return Ok(Fate::Stays);
        }
        let request = behind_records(request);
        let answer = answers.to(request);
        self.close_after_answer = asks_for_close(request);
        self.partial_request.clear();
        self.send(epoll, number, answer)
    }

    fn send(&mut self, epoll: &Epoll, number: u64, answer: Rc<[u8]>) -> io::Result<Fate> {
        let sent = match socket::send(self.socket.as_fd(), &answer) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if sent == answer.len() {
            return Ok(self.fate_after_answer());
        }
        self.unsent = Some((answer, sent));
        epoll.modify(self.socket.as_fd(), Interest::Writable, number)?;
        Ok(Fate::Stays)
    }

    fn send_rest(&mut self, epoll: &Epoll, number: u64) -> io::Result<Fate> {
        let Some((answer, sent)) = &mut self.unsent else { return Ok(Fate::Stays) };
        match socket::send(self.socket.as_fd(), &answer[*sent..]) {
            Ok(len) => *sent += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Fate::Stays),
            Err(error) => return Err(error),
        }
        if *sent < answer.len() {
            return Ok(Fate::Stays);
        }
        self.unsent = None;
        epoll.modify(self.socket.as_fd(), Interest::Readable, number)?;
        Ok(self.fate_after_answer())
    }

    fn fate_after_answer(&self) -> Fate {
        if self.close_after_answer { Fate::Ends } else { Fate::Stays }
    }
}

/// What follows records of a TLS handshake.
fn behind_records(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [22, _, _, high, low, behind @ ..] = rest {
        rest = behind.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
    }
    rest
}

/// The N of `GET /bytes/N`, 0 for any other path.
fn asked_length(request: &[u8]) -> usize {
    let Some(rest) = request.strip_prefix(b"GET /bytes/") else { return 0 };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_usize, |number, digit| {
        number.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
    });
    number.min(MAX_BODY)
}

fn asks_for_close(request: &[u8]) -> bool {
    const FIELD: &[u8] = b"connection: close";
    let is_field = |line: &[u8]| {
        line.get(..FIELD.len()).is_some_and(|start| start.eq_ignore_ascii_case(FIELD))
    };
    request.split(|byte| *byte == b'\n').any(is_field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_read_from_the_path() {
        assert_eq!(asked_length(b"GET /bytes/128 HTTP/1.1\r\n\r\n"), 128);
        assert_eq!(asked_length(b"GET /bytes/ HTTP/1.1\r\n\r\n"), 0);
        assert_eq!(asked_length(b"GET /healthz HTTP/1.1\r\n\r\n"), 0);
        assert_eq!(asked_length(b"GET /bytes/99999999999999999999999 HTTP/1.1\r\n"), MAX_BODY);
    }

    #[test]
    fn a_request_is_read_behind_records_of_tls() {
        assert_eq!(behind_records(b"\x16\x03\x01\0\x02abGET /"), b"GET /");
        assert_eq!(behind_records(b"GET /"), b"GET /");
    }

    #[test]
    fn a_close_is_seen_in_any_case_of_letters() {
        assert!(asks_for_close(b"GET / HTTP/1.1\r\nHost: a\r\nconnection: Close\r\n\r\n"));
        assert!(!asks_for_close(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn every_backend_has_an_address_of_its_own_and_requests_are_counted() {
        assert_eq!(own_address(0), Ipv4Addr::new(127, 1, 0, 0));
        assert_eq!(own_address(4_999), Ipv4Addr::new(127, 1, 19, 135));
        let mut answers = Answers::default();
        answers.to(b"GET /healthz HTTP/1.1\r\n\r\n");
        answers.to(b"GET /served HTTP/1.1\r\n\r\n");
        assert!(answers.to(b"GET /served HTTP/1.1\r\n\r\n").ends_with(b"\r\n\r\n1"));
    }

    #[test]
    fn an_answer_has_the_promised_length() {
        let answer = Answers::default().with_length(5);
        assert!(answer.ends_with(b"Content-Length: 5\r\n\r\nxxxxx"));
    }
}
