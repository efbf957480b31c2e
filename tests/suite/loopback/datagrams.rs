//! Servers and clients of UDP in this process. Whatever is started is ended.

use super::harness::PATIENCE;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes of the longest datagram over IPv4.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// A server: a thread that answers each datagram.
pub struct Server {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
    is_ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Answers with what `answer` makes of a datagram and its sender, datagram for datagram.
    pub fn start(
        ip: &str,
        answer: impl Fn(&[u8], SocketAddr) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        Self::on(UdpSocket::bind((ip, 0)).expect("a port"), answer)
    }

    /// The same on a bound socket.
    pub fn on(
        socket: UdpSocket,
        answer: impl Fn(&[u8], SocketAddr) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        let address = socket.local_addr().expect("bound");
        let (asked, is_ended) = <(Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let (count, end) = (asked.clone(), is_ended.clone());
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                for datagram in answer(&buffer[..length], from) {
                    let _ = socket.send_to(&datagram, from);
                }
            }
        });
        Self { address, asked, is_ended, thread: Some(thread) }
    }

    /// Sends back what it gets.
    pub fn echo() -> Self {
        Self::start("127.0.0.1", |bytes, _| vec![bytes.to_vec()])
    }

    /// Answers with its name and the port that it was asked from: another port is another flow.
    pub fn naming(name: &'static str) -> Self {
        Self::start("127.0.0.1", move |_, from| vec![format!("{name} {}", from.port()).into()])
    }

    /// Datagrams that have come.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_ended.store(true, Ordering::Relaxed);
        // Its thread looks at the flag when something comes.
        if let Ok(socket) = UdpSocket::bind((self.address.ip(), 0)) {
            let _ = socket.send_to(b"", self.address);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client that talks to one address.
pub struct Client(pub UdpSocket);

impl Client {
    pub fn of(address: SocketAddr) -> Self {
        let any = match address.ip() {
            IpAddr::V4(_) => "127.0.0.1:0",
            IpAddr::V6(_) => "[::1]:0",
        };
        let socket = UdpSocket::bind(any).expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // It hears nobody else.
        socket.connect(address).expect("an address of this host");
        Self(socket)
    }

    pub fn send(&self, bytes: &[u8]) {
        self.0.send(bytes).expect("sent");
    }

    /// The next datagram.
    pub fn hear(&self) -> Vec<u8> {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
        let length = self.0.recv(&mut buffer).expect("an answer");
        buffer.truncate(length);
        buffer
    }

    pub fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        self.send(bytes);
        self.hear()
    }

    /// The answer of a naming server: its name, and the port that it saw.
    pub fn names(&self) -> (String, u16) {
        let text = String::from_utf8(self.ask(b"who")).expect("text");
        let (name, port) = text.split_once(' ').expect("two words");
        (name.to_owned(), port.parse().expect("a port"))
    }
}
