//! What stands before a client's protocol: a PROXY header, the beginning of a TLS handshake. Until
//! both have been read, it is not known whose bytes these are and where they go. A client that
//! sends them in pieces holds no buffer.

use super::{Client, State, Step};
use crate::access_log::Record;
use crate::engine::{Engine, Slice};
use crate::link::Wire;
use crate::local::{How, Local, Signal};
use crate::proxy_protocol;
use crate::snapshot::{Protocol, ProxyTlv, Target};
use crate::stats::{CloseReason, Counter};
use crate::tls_hello::{Reader, Verdict, alert_unrecognized_name};
use std::net::SocketAddr;

/// The part of the preface that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// The header of the PROXY protocol.
    ProxyHeader,
    /// The ClientHello of a TLS handshake.
    Hello,
    /// The ClientHello has come, and waits until the shard has time for its handshake.
    Deferred,
    /// The rest of a TLS handshake.
    Handshake,
}

/// Where the bytes of a client go.
pub struct Dial {
    /// The target.
    pub target: Target,
    /// The client's wishes in its TLS handshake.
    pub asked: Asked,
}

/// The wishes of a client in its TLS handshake.
#[derive(Debug, Default)]
pub struct Asked {
    /// The name of the server.
    pub server_name: Option<Box<[u8]>>,
    /// The first protocol that it offers, if the backends of its target are told.
    pub(super) alpn: Option<Box<[u8]>>,
}

/// What follows from a ClientHello, or from what is none.
enum Heard {
    Incomplete,
    To(Dial),
    /// The name has no route, or there is none.
    NoName(Box<[u8]>),
    Closed(CloseReason),
}

/// Bytes of the preface that came in pieces, and how far they were read.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    bytes: Vec<u8>,
    hello: Reader,
}

impl Beginning {
    /// The bytes, which are used up with this.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// Bytes of the preface, and what follows them.
pub(super) enum Held {
    Buffer(Slice),
    Heap(Box<Beginning>),
}

impl Held {
    pub(super) fn bytes<'a, E: Engine>(&'a self, wire: &'a Wire<E>) -> &'a [u8] {
        match self {
            Self::Buffer(slice) => wire.bytes(*slice),
            Self::Heap(beginning) => &beginning.bytes,
        }
    }

    /// Reads the hello on from where the last read ended.
    pub(super) fn read_hello<E: Engine, T>(
        &mut self,
        wire: &Wire<E>,
        judge: impl FnOnce(&[u8], Verdict<'_>) -> T,
    ) -> T {
        match self {
            Self::Buffer(slice) => {
                let bytes = wire.bytes(*slice);
                judge(bytes, Reader::default().read(bytes))
            }
            Self::Heap(beginning) => {
                let Beginning { bytes, hello } = &mut **beginning;
                judge(bytes, hello.read(bytes))
            }
        }
    }

    /// Skips bytes before the hello.
    fn skip(&mut self, length: usize) {
        match self {
            Self::Buffer(slice) => slice.start += length as u32,
            Self::Heap(beginning) => drop(beginning.bytes.drain(..length)),
        }
    }

    pub(super) fn release<E: Engine>(self, wire: &mut Wire<E>) {
        if let Self::Buffer(slice) = self {
            wire.engine.release(slice.buffer);
        }
    }
}

impl Client {
    /// Begins as the listener demands. Returns where the bytes go, if that is known already.
    pub(super) fn begin<E: Engine>(&mut self, local: &mut Local<E>) -> Option<Dial> {
        let listener = local.current.listener(self.listener)?;
        if !listener.requires_proxy_header {
            return self.begin_protocol(local);
        }
        self.state = State::Preface(Preface::ProxyHeader);
        let mut trusted = local.current.settings().trusted_proxies.iter();
        if !trusted.any(|network| network.contains(self.address.ip())) {
            self.refuse_header("the connection comes from none of `trusted_proxies`", local);
        }
        None
    }

    fn begin_protocol<E: Engine>(&mut self, local: &mut Local<E>) -> Option<Dial> {
        let listener = local.current.listener(self.listener)?;
        match listener.protocol {
            Protocol::Http => {
                self.state = State::Http1(Step::AwaitingHead);
                None
            }
            Protocol::TlsPassthrough | Protocol::Https => {
                self.state = State::Preface(Preface::Hello);
                None
            }
            // A listener of UDP accepts no connection.
            Protocol::Tcp | Protocol::Udp => {
                let target = listener.routes.lookup(b"", b"/");
                if target.is_none() {
                    self.give_up(How::Abort, CloseReason::NoBackend, local);
                }
                target.map(|target| Dial { target, asked: Asked::default() })
            }
        }
    }

    /// Reads what stands before the protocol. Returns where the bytes go, once that is known.
    pub fn read_preface<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) -> Option<Dial> {
        let mut held = match self.beginning.take() {
            None => Held::Buffer(slice),
            Some(mut beginning) => {
                beginning.bytes.extend_from_slice(local.wire.bytes(slice));
                local.wire.engine.release(slice.buffer);
                Held::Heap(beginning)
            }
        };
        loop {
            let dial = match self.state {
                State::Preface(Preface::ProxyHeader) => {
                    let is_read = self.read_proxy_header(&mut held, local);
                    let dial = if is_read { self.begin_protocol(local) } else { None };
                    // It is incomplete, or the connection ends.
                    if dial.is_none() && self.state == State::Preface(Preface::ProxyHeader) {
                        return self.set_preface_aside(held, local);
                    }
                    dial
                }
                State::Preface(Preface::Hello) if self.terminates_tls(local) => {
                    self.greet(held, local);
                    return None;
                }
                State::Preface(Preface::Hello) => match self.read_hello(&mut held, local) {
                    Some(dial) => Some(dial),
                    None => return self.set_preface_aside(held, local),
                },
                _ => None,
            };
            if dial.is_some() || !matches!(self.state, State::Preface(_)) {
                self.deliver(held, local);
                return dial;
            }
        }
    }

    /// Keeps what has come of the preface; drops it if the connection ends.
    pub(super) fn set_preface_aside<E: Engine>(
        &mut self,
        held: Held,
        local: &mut Local<E>,
    ) -> Option<Dial> {
        match held {
            held if !matches!(self.state, State::Preface(_)) => held.release(&mut local.wire),
            Held::Heap(beginning) if beginning.bytes.is_empty() => {}
            Held::Heap(beginning) => self.beginning = Some(beginning),
            Held::Buffer(slice) if slice.is_empty() => local.wire.engine.release(slice.buffer),
            Held::Buffer(slice) => {
                let bytes = local.wire.bytes(slice).into();
                self.beginning = Some(Box::new(Beginning { bytes, hello: Reader::default() }));
                local.wire.engine.release(slice.buffer);
            }
        }
        None
    }

    /// Keeps what is to be forwarded, or read as requests, from its first byte on.
    fn deliver<E: Engine>(&mut self, held: Held, local: &mut Local<E>) {
        let is_kept = match held {
            Held::Buffer(slice) if slice.is_empty() => {
                local.wire.engine.release(slice.buffer);
                true
            }
            Held::Buffer(slice) => {
                let kept = local.wire.copy_out(slice);
                kept.map(|slice| local.wire.push_back(&mut self.inbox, slice)).is_some()
            }
            Held::Heap(beginning) => {
                let most = local.wire.engine.buffer_size();
                beginning.bytes.chunks(most).all(|part| {
                    let kept = local.wire.private(part);
                    kept.map(|slice| local.wire.push_back(&mut self.inbox, slice)).is_some()
                })
            }
        };
        if !is_kept {
            return self.give_up(How::Abort, CloseReason::OutOfBuffers, local);
        }
        if matches!(self.state, State::Http1(_)) {
            self.serve_what_waits(local);
        }
    }

    // --- the PROXY header ---

    /// Reads the header, and takes the address in it for the client's. False if it is incomplete,
    /// or the connection ends.
    fn read_proxy_header<E: Engine>(&mut self, held: &mut Held, local: &mut Local<E>) -> bool {
        match proxy_protocol::read(held.bytes(&local.wire)) {
            Ok(None) => false,
            Ok(Some(header)) => {
                let (addresses, length) = (header.addresses, header.length);
                self.note_header(&header, local.current.settings().keeps_tlvs);
                held.skip(length);
                self.announce(addresses.map_or(self.address, |both| both.source), local)
            }
            Err(fault) => {
                self.refuse_header(fault.text(), local);
                false
            }
        }
    }

    /// Ends a connection whose PROXY header is refused for this reason.
    fn refuse_header<E: Engine>(&mut self, text: &'static str, local: &mut Local<E>) {
        tracing::debug!(client = %self.address, text, "PROXY header");
        let reason = CloseReason::MalformedProxyHeader;
        self.leave_preface(b"", reason, Some(text), local);
        self.give_up(How::Abort, reason, local);
    }

    /// Counts the connection for the client that a proxy has announced. False if that has as many
    /// as it may have.
    fn announce<E: Engine>(&mut self, address: SocketAddr, local: &mut Local<E>) -> bool {
        self.address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let mailbox = &local.reports.mailbox;
        self.is_counted = mailbox.shared.clients.admit(mailbox.shard(), self.address.ip());
        if !self.is_counted {
            local.count(Counter::ClientLimitRejections);
            self.give_up(How::Abort, CloseReason::RequestRefused, local);
        }
        self.is_counted
    }

    // --- the TLS handshake ---

    /// Reads the hello, and finds where it leads. None if it is incomplete, or the connection
    /// ends.
    fn read_hello<E: Engine>(&mut self, held: &mut Held, local: &mut Local<E>) -> Option<Dial> {
        match held.read_hello(&local.wire, |_, hello| self.hear(hello, local)) {
            Heard::Incomplete => None,
            Heard::To(dial) => Some(dial),
            Heard::Closed(reason) => {
                self.give_up(How::Close, reason, local);
                None
            }
            Heard::NoName(name) => {
                if let Some(alert) = local.wire.private(alert_unrecognized_name()) {
                    self.put(alert, local);
                }
                let reason = CloseReason::UnknownServerName;
                self.leave_preface(&name, reason, None, local);
                self.linger(reason, local);
                None
            }
        }
    }

    fn hear<E: Engine>(&self, hello: Verdict<'_>, local: &Local<E>) -> Heard {
        let Some(listener) = local.current.listener(self.listener) else {
            return Heard::Closed(CloseReason::ListenerRemoved);
        };
        let (name, offered) = match hello {
            Verdict::Incomplete => return Heard::Incomplete,
            Verdict::NotTls if listener.routes_not_tls => {
                let target = listener.routes.without_tls();
                return target.map_or(Heard::Closed(CloseReason::NotTls), |target| {
                    Heard::To(Dial { target, asked: Asked::default() })
                });
            }
            Verdict::NotTls | Verdict::Malformed(_) => return Heard::Closed(CloseReason::NotTls),
            Verdict::Hello(hello) if hello.server_name.is_none() && !listener.routes_no_sni => {
                return Heard::NoName(Box::default());
            }
            Verdict::Hello(hello) => (hello.server_name, hello.alpn),
        };
        let wanted = name.unwrap_or_default().as_bytes();
        match listener.routes.lookup_server_name(wanted, offered.clone()) {
            Some(target) => {
                let pool = local.current.snapshot().pool(target.pool);
                let is_told = pool.is_some_and(|pool| pool.announces(ProxyTlv::Alpn));
                let mut names = offered.filter(|name| is_told && !is_reserved(name));
                let alpn = names.next().map(Into::into);
                let server_name = name.map(|name| name.as_bytes().into());
                Heard::To(Dial { target, asked: Asked { server_name, alpn } })
            }
            None => Heard::NoName(wanted.into()),
        }
    }

    /// The preface did not come in time. Returns where the bytes go, if a client that may speak no
    /// TLS is served all the same: its server may have to speak first, or answer what only begins
    /// like a ClientHello.
    pub fn preface_expired<E: Engine>(&mut self, local: &mut Local<E>) -> Option<Dial> {
        if self.is_starved() {
            // Nothing was read for lack of buffers: the delay is the proxy's, not the client's.
            self.set_deadline(local.current.timeouts().between_bytes, local);
            return None;
        }
        let listener = local.current.listener(self.listener);
        let is_at_hello = self.state == State::Preface(Preface::Hello);
        let listener = listener.filter(|listener| is_at_hello && listener.routes_not_tls);
        let target = listener.and_then(|one| one.routes.without_tls());
        match (target, self.beginning.take()) {
            (None, _) => self.close_now(CloseReason::HeadTimeout, local),
            (Some(_), Some(beginning)) => self.deliver(Held::Heap(beginning), local),
            (Some(_), None) => {}
        }
        target.map(|target| Dial { target, asked: Asked::default() })
    }

    /// The connection ends before its bytes could go anywhere: it is recorded, once, with the
    /// server name that it asked for, and with the fault of what it began with. One of HTTP has had
    /// no request, and has a record only if it was refused, or its PROXY header did not come.
    pub(super) fn leave_preface<E: Engine>(
        &mut self,
        server_name: &[u8],
        reason: CloseReason,
        refusal: Option<&'static str>,
        local: &Local<E>,
    ) {
        let State::Preface(preface) = self.state else { return };
        self.state = State::Lingering;
        let has_no_header = preface == Preface::ProxyHeader && reason == CloseReason::HeadTimeout;
        let is_refused = is_refusal(reason) || has_no_header;
        if is_refused {
            local.reports.listener_cell(self.listener).refused.add(1);
        }
        let protocol = local.current.listener(self.listener).map(|listener| listener.protocol);
        let is_recorded = is_refused || protocol.is_some_and(|one| one != Protocol::Http);
        if is_recorded && local.reports.has_access_log() {
            let asked = self.link.secure.as_ref().and_then(|secure| secure.client.as_ref());
            let asked = asked.and_then(|client| client.server_name.as_deref());
            let server_name = match server_name {
                [] => asked.unwrap_or_default().as_bytes(),
                name => name,
            };
            let listener = local.current.listener_words(self.listener);
            let (client, failure) = (self.address, reason.label());
            let record = Record::unforwarded(listener, client, server_name, failure);
            local.reports.record(Record { refusal, tls: self.logged_tls(), ..record });
        }
    }

    /// Ends the connection. Not at once: the caller still has bytes of it.
    pub(super) fn give_up<E: Engine>(
        &mut self,
        how: How,
        reason: CloseReason,
        local: &mut Local<E>,
    ) {
        local.work.push(Signal::End(self.id(), how, reason));
    }
}

/// True if a connection that ends in its preface for this reason was refused: it is not wanted, or
/// nobody knows where its bytes go.
fn is_refusal(reason: CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::MalformedProxyHeader
            | CloseReason::NotTls
            | CloseReason::UnknownServerName
            | CloseReason::CertificateAwaited
            | CloseReason::RequestRefused
            | CloseReason::ClientCertificateMissing
            | CloseReason::ClientCertificateExpired
            | CloseReason::ClientCertificateUnknownAuthority
            | CloseReason::ClientCertificateRevoked
            | CloseReason::ClientCertificateInvalid
    )
}

/// True for a name that a client offers only to see that it is ignored (GREASE, RFC 8701 §2).
fn is_reserved(protocol: &[u8]) -> bool {
    matches!(protocol, [one, other] if one == other && one & 0x0f == 0x0a)
}
