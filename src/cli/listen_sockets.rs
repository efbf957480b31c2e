//! Opens the sockets of listeners: one per shard for each, or uses those passed by systemd.

use super::descriptors::MORE_DESCRIPTORS;
use super::passed::PassedSockets;
use ringway::config::{Endpoint, Listener, Steering, Transport};
use ringway::coordinator::{ListenSockets, OpenListener};
use ringway::engine::Socket;
use ringway::sys::rlimit::is_for_want_of_descriptors;
use ringway::sys::socket::Multipath;
use ringway::sys::{socket, udp};
use std::collections::HashSet;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};

/// See the module.
pub(crate) struct SystemSockets {
    /// The core of each shard.
    cores: Vec<Option<usize>>,
    backlog: i32,
    passed: PassedSockets,
    /// Endpoints on which this process listens, or listened.
    own: HashSet<Endpoint>,
    /// Sockets that were opened here, and not passed.
    opened: HashSet<Socket>,
}

impl SystemSockets {
    /// For shards on these cores, with the sockets that were passed.
    pub(crate) fn new(cores: Vec<Option<usize>>, backlog: u32, passed: PassedSockets) -> Self {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        Self { cores, backlog, passed, own: HashSet::new(), opened: HashSet::new() }
    }

    fn open_all(&mut self, listener: &Listener) -> io::Result<OpenListener> {
        let number = |socket: OwnedFd| Socket(socket.into_raw_fd());
        if let Some(passed) = self.passed.for_shards(listener, self.cores.len())? {
            self.warn_of_passed(listener);
            let bound = socket::local_address(&passed[0])?;
            let sockets: Vec<Socket> = passed.into_iter().map(number).collect();
            // The kernel reuses numbers of closed descriptors.
            self.opened.retain(|socket| !sockets.contains(socket));
            return Ok(OpenListener { bound, sockets, is_passed: true });
        }
        let wanted = listener.endpoint();
        self.check_free(wanted)?;
        let multipath = multipath(listener);
        let first = self.open_one(wanted, multipath)?;
        // Port 0 gets its number from the kernel; the siblings share it.
        let address = socket::local_address(&first)?;
        let bound = Endpoint { address, ..wanted };
        let siblings = (1..self.cores.len()).map(|_| self.open_one(bound, multipath));
        let sockets: Vec<OwnedFd> =
            std::iter::once(Ok(first)).chain(siblings).collect::<io::Result<_>>()?;
        self.own.insert(bound);
        if listener.steering == Steering::Cpu {
            for (socket, core) in sockets.iter().zip(&self.cores) {
                core.map_or(Ok(()), |core| socket::prefer_core(socket, core))?;
            }
        }
        let sockets: Vec<Socket> = sockets.into_iter().map(number).collect();
        self.opened.extend(&sockets);
        Ok(OpenListener { bound: address, sockets, is_passed: false })
    }

    fn open_one(&self, endpoint: Endpoint, multipath: Multipath) -> io::Result<OwnedFd> {
        let Endpoint { transport, address } = endpoint;
        match transport {
            Transport::Tcp => socket::listen_by(multipath, address, self.backlog),
            Transport::Udp => udp::receive_on(address),
        }
    }

    /// Warns where passed sockets do not serve a listener as its own would.
    fn warn_of_passed(&self, listener: &Listener) {
        let (name, shards) = (&listener.name, self.cores.len());
        if listener.steering == Steering::Cpu {
            tracing::warn!(
                "listener \"{name}\": steering = \"cpu\" has no effect on a socket that was \
                 passed: all shards share it"
            );
        }
        if listener.mptcp {
            tracing::warn!(
                "listener \"{name}\": mptcp has no effect on a socket that was passed: it is one \
                 of MPTCP or not"
            );
        }
        let count = self.passed.count_for(listener);
        if listener.endpoint().transport == Transport::Udp && count < shards {
            tracing::warn!(
                "listener \"{name}\": {count} of {shards} shards serve it, as each needs a socket \
                 of UDP of its own: pass {shards} on its address with ReusePort=yes, or none"
            );
        }
    }

    /// Fails if another process listens on an address. `SO_REUSEPORT` shares an address with every
    /// process: a second one started by mistake would silently take half of the connections. A
    /// listener of this process may be the one that overlaps, as all addresses of a port and a
    /// single one; then the check is left to the kernel.
    fn check_free(&self, endpoint: Endpoint) -> io::Result<()> {
        let checked = match endpoint.transport {
            Transport::Tcp => socket::check_free(endpoint.address),
            Transport::Udp => udp::check_free(endpoint.address),
        };
        match checked {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let is_own = self.own.iter().any(|own| own.overlaps(&endpoint));
                if is_own { Ok(()) } else { Err(error) }
            }
            other => other,
        }
    }
}

/// MPTCP, if it is asked for and the kernel has it.
fn multipath(listener: &Listener) -> Multipath {
    if !listener.mptcp {
        return Multipath::No;
    }
    match socket::check_multipath(listener.address) {
        Ok(()) => Multipath::Yes,
        Err(error) => {
            tracing::warn!("listener \"{}\": {}", listener.name, no_multipath(&error));
            Multipath::No
        }
    }
}

/// Why a listener has no MPTCP, and the remedy.
pub(super) fn no_multipath(error: &io::Error) -> String {
    format!(
        "the kernel has no MPTCP ({error}), so that it takes TCP alone: set net.mptcp.enabled = 1, \
         or take a kernel that is built with CONFIG_MPTCP"
    )
}

impl ListenSockets for SystemSockets {
    fn open(&mut self, listener: &Listener) -> Result<OpenListener, String> {
        let refused = |error: io::Error| {
            let (name, address) = (&listener.name, listener.address);
            let port = address.port();
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    let kind = match listener.endpoint().transport {
                        Transport::Tcp => "-ltnp",
                        Transport::Udp => "-lunp",
                    };
                    format!("; find the owner with: ss {kind} 'sport = :{port}'")
                }
                _ if is_for_want_of_descriptors(&error) => format!("; {MORE_DESCRIPTORS}"),
                io::ErrorKind::AddrNotAvailable => "; it is no address of this machine".into(),
                io::ErrorKind::PermissionDenied => {
                    format!("; ports below 1024 need root or CAP_NET_BIND_SERVICE, {port} is one")
                }
                _ => String::new(),
            };
            format!("listener \"{name}\" cannot listen on {address}: {error}{hint}")
        };
        self.open_all(listener).map_err(refused)
    }

    fn is_passed_the_same(&self, one: &Listener, other: &Listener) -> bool {
        self.passed.are_the_same(one, other)
    }

    fn follow(&mut self, sockets: &[Socket], listener: &Listener) {
        if listener.endpoint().transport == Transport::Tcp {
            sockets.iter().for_each(|one| socket::keep_alive(*one, listener.keepalive));
        }
    }

    fn note_open(&mut self, listeners: &[Listener]) {
        self.passed.warn_unused(listeners);
    }

    fn turn_away(&mut self, sockets: &[Socket]) {
        // A passed socket also belongs to the process that passed it, and stays open there.
        if !sockets.iter().all(|socket| self.opened.contains(socket)) {
            return;
        }
        if let Err(error) = socket::turn_away(sockets) {
            tracing::warn!(
                "the kernel still gives connections to a listener that closes ({error}): some may \
                 be reset"
            );
        }
    }

    fn close(&mut self, open: OpenListener) {
        open.sockets.into_iter().for_each(socket::close);
    }

    fn close_unused(&mut self) {
        self.passed.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway::config::{Config, Listener, Protocol};
    use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

    /// A listener, as of a configuration, at this address.
    fn listener(address: SocketAddr) -> Listener {
        let backend = ringway::config::Backend { address: ([10, 0, 0, 1], 80).into(), weight: 1 };
        let config = Config::quick(&[address], &[backend], Default::default());
        config.expect("it is well").listeners.remove(0)
    }

    #[test]
    fn a_listener_of_udp_has_a_socket_for_each_shard_beside_one_of_tcp() {
        let mut listen_sockets = SystemSockets::new(vec![None; 3], 16, PassedSockets::default());
        let stream = listener(([127, 0, 0, 1], 0).into());
        let stream = listen_sockets.open(&stream).expect("any port");
        let datagrams = Listener { protocol: Protocol::Udp, ..listener(stream.bound) };
        let datagrams = listen_sockets.open(&datagrams).expect("ports of UDP are others");
        assert_eq!((datagrams.bound, datagrams.sockets.len()), (stream.bound, 3));
        let other = UdpSocket::bind(("127.0.0.1", 0)).expect("a port");
        let taken = other.local_addr().expect("bound");
        let taken = Listener { protocol: Protocol::Udp, ..listener(taken) };
        let error = listen_sockets.open(&taken).err().expect("another socket has it");
        assert!(error.contains("find the owner with: ss -lunp"), "{error}");
        [stream, datagrams].into_iter().for_each(|open| listen_sockets.close(open));
    }

    #[test]
    fn all_addresses_of_a_port_and_a_single_one_are_open_together_in_either_order() {
        let hosts = |texts: [&str; 2]| texts.map(|text| text.parse::<IpAddr>().expect("one"));
        for order in [["0.0.0.0", "127.0.0.1"], ["127.0.0.1", "0.0.0.0"], ["::", "::1"]] {
            let mut listen_sockets =
                SystemSockets::new(vec![None, None], 16, PassedSockets::default());
            let [first, second] = hosts(order);
            let first = listen_sockets.open(&listener((first, 0).into())).expect("any port");
            let beside = (second, first.bound.port()).into();
            let second =
                listen_sockets.open(&listener(beside)).expect("it is this process's own port");
            let loopback = hosts(["127.0.0.1", "::1"]);
            let client = loopback[usize::from(beside.is_ipv6())];
            let _client = TcpStream::connect((client, beside.port())).expect("it listens");
            let taken = |open: &OpenListener| {
                open.sockets.iter().any(|listening| match socket::accept_now(*listening) {
                    Some(accepted) => {
                        socket::close(accepted);
                        true
                    }
                    None => false,
                })
            };
            let single = if first.bound.ip().is_unspecified() { &second } else { &first };
            assert!(taken(single), "{order:?}: the single address goes before all of them");
            [first, second].into_iter().for_each(|open| listen_sockets.close(open));
        }
    }
}
