//! TLS of a client's connection, from its ClientHello on. What it asks for by name decides which
//! configuration answers it; then the link opens and seals, and the rest sees content only.
//!
//! A handshake costs as much as ten requests: only so many begin in a turn, and the others wait
//! in the order in which they came, so that the shard's other clients are served between them.

use super::preface::{Held, Preface};
use super::{Client, State, Step};
use crate::access_log;
use crate::engine::{Engine, Slice};
use crate::head::RequestHead;
use crate::link::{OpenFault, Opened, Secure};
use crate::local::{How, Local};
use crate::message::{self, RequestOutcome, RequestSide};
use crate::snapshot::{Challenges, Protocol};
use crate::stats::{CloseReason, Counter};
use crate::tls::{
    Answer, CHALLENGE_PROTOCOL, ClientSide, Fault, FaultKind, Handshake, Session, Site, Suite,
};
use crate::tls_hello::{Hello, Verdict, alert_internal_error, alert_unrecognized_name};
use std::sync::Arc;

/// The answer to a request that comes without TLS.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Content-Length: 59\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS, and the request came without TLS.\r\n";

/// How a connection goes on after its ClientHello.
enum Greeting {
    Incomplete,
    PlainHttp,
    NotTls,
    UnknownName(Box<[u8]>),
    /// The certificate for this name was not fetched yet.
    Awaited(Box<[u8]>),
    /// With what answers this name.
    Begin(Option<Arc<str>>, Arc<Site>),
}

/// The reason for the end of a connection whose handshake failed. A certificate that is not
/// accepted is the client's: Ringway is the server here.
fn reason_of(fault: &Fault) -> CloseReason {
    if fault.is_of_no_certificate() {
        return CloseReason::ClientCertificateMissing;
    }
    match FaultKind::of(fault) {
        FaultKind::Closed => CloseReason::ClientClosed,
        FaultKind::Expired | FaultKind::NotYetValid => CloseReason::ClientCertificateExpired,
        FaultKind::UnknownAuthority => CloseReason::ClientCertificateUnknownAuthority,
        FaultKind::Revoked => CloseReason::ClientCertificateRevoked,
        FaultKind::OtherName | FaultKind::BadCertificate => CloseReason::ClientCertificateInvalid,
        _ => CloseReason::TlsHandshakeFailed,
    }
}

/// What answers the challenge tls-alpn-01, if a client asks for it and nothing else.
#[cold]
fn challenge_answer<'c>(challenges: &'c Challenges, hello: Hello<'_>) -> Option<&'c Arc<Site>> {
    let mut offered = hello.alpn;
    let is_asked = offered.next() == Some(CHALLENGE_PROTOCOL) && offered.next().is_none();
    challenges.tls_answer(hello.server_name?).filter(|_| is_asked)
}

/// Judges the head of a request of a connection with this TLS, or without any: see
/// [`message::request`].
#[inline]
pub(super) fn request(
    head: &RequestHead<'_, '_>,
    output: &mut [u8],
    side: &RequestSide<'_>,
    client: Option<&mut ClientSide>,
) -> RequestOutcome {
    let names = side.listener.and_then(|listener| listener.tls.as_ref());
    let (Some(client), Some(names)) = (client, names) else {
        return message::request(head, output, side);
    };
    match client.serves(head.host, names, side.snapshot.generation.0) {
        true => {
            let client_certificate = client.fields();
            message::request(head, output, &RequestSide { client_certificate, ..*side })
        }
        false => message::misdirected(head, side.snapshot),
    }
}

impl Client {
    /// True if the connection's TLS ends here.
    pub(super) fn terminates_tls<E: Engine>(&self, local: &Local<E>) -> bool {
        local.current.listener(self.listener).is_some_and(|one| one.protocol == Protocol::Https)
    }

    /// Reads the ClientHello, and begins the handshake if the shard has time for it.
    pub(super) fn greet<E: Engine>(&mut self, held: Held, local: &mut Local<E>) {
        let mut held = held;
        let greet = |bytes: &[u8], hello: Verdict<'_>| self.greeting(bytes, hello, local);
        match held.read_hello(&local.wire, greet) {
            Greeting::Incomplete => {
                self.set_preface_aside(held, local);
            }
            Greeting::Begin(..) if !local.handshakes.may_begin() => self.defer(held, local),
            Greeting::Begin(name, site) => self.begin_handshake(name, site, held, local),
            refused => {
                held.release(&mut local.wire);
                self.refuse_hello(refused, local);
            }
        }
    }

    fn greeting<E: Engine>(&self, bytes: &[u8], hello: Verdict<'_>, local: &Local<E>) -> Greeting {
        let names = local.current.listener(self.listener).and_then(|one| one.tls.as_ref());
        let hello = match hello {
            Verdict::Incomplete => return Greeting::Incomplete,
            Verdict::NotTls if bytes[0].is_ascii_uppercase() => return Greeting::PlainHttp,
            Verdict::NotTls | Verdict::Malformed(_) => return Greeting::NotTls,
            Verdict::Hello(hello) => hello,
        };
        let name = hello.server_name;
        let challenges = local.current.snapshot().challenges.as_deref();
        let challenge = challenges.and_then(|all| challenge_answer(all, hello));
        let answer = names.and_then(|names| names.answer(name));
        if challenge.is_none() && matches!(answer, Some(Answer::Awaited)) {
            return Greeting::Awaited(name.unwrap_or_default().as_bytes().into());
        }
        let site = challenge.or(answer.and_then(Answer::site));
        match site.cloned() {
            Some(site) => Greeting::Begin(name.map(Into::into), site),
            None => Greeting::UnknownName(name.unwrap_or_default().as_bytes().into()),
        }
    }

    fn refuse_hello<E: Engine>(&mut self, greeting: Greeting, local: &mut Local<E>) {
        local.count(Counter::TlsHandshakeFailures);
        let (words, name, reason) = match greeting {
            Greeting::PlainHttp => (PLAIN_HTTP, Box::default(), CloseReason::NotTls),
            Greeting::UnknownName(name) => {
                (alert_unrecognized_name(), name, CloseReason::UnknownServerName)
            }
            Greeting::Awaited(name) => {
                (alert_internal_error(), name, CloseReason::CertificateAwaited)
            }
            _ => return self.give_up(How::Close, CloseReason::NotTls, local),
        };
        if let Some(words) = local.wire.private(words) {
            self.put(words, local);
        }
        self.leave_preface(&name, reason, None, local);
        self.linger(reason, local);
    }

    /// Keeps a complete ClientHello until its turn comes.
    fn defer<E: Engine>(&mut self, held: Held, local: &mut Local<E>) {
        self.set_preface_aside(held, local);
        self.pause(local);
        self.state = State::Preface(Preface::Deferred);
        local.handshakes.defer(self.link.key);
    }

    /// The turn of a handshake that was deferred has come.
    pub fn resume_handshake<E: Engine>(&mut self, local: &mut Local<E>) {
        if self.state != State::Preface(Preface::Deferred) {
            return;
        }
        self.state = State::Preface(Preface::Hello);
        self.take_more(local);
        let hello = self.beginning.take().unwrap_or_default();
        self.greet(Held::Heap(hello), local);
    }

    /// Begins the handshake, which the shard has time for.
    fn begin_handshake<E: Engine>(
        &mut self,
        name: Option<Arc<str>>,
        site: Arc<Site>,
        held: Held,
        local: &mut Local<E>,
    ) {
        let Ok(handshake) = Handshake::server(site.config.clone()) else {
            held.release(&mut local.wire);
            let name = name.unwrap_or_default().as_bytes().into();
            return self.refuse_hello(Greeting::UnknownName(name), local);
        };
        let client = ClientSide::new(name, site);
        self.state = State::Preface(Preface::Handshake);
        self.link.secure = Some(Secure::new(Session::new(handshake), Some(client)).into());
        let begun = match held {
            Held::Buffer(slice) => local.wire.open(&mut self.link, slice).fault,
            Held::Heap(mut hello) => local.wire.open_bytes(&mut self.link, hello.bytes_mut()).err(),
        };
        if let Some(fault) = begun {
            self.session_failed(fault, local);
        }
    }

    /// What the access log has of the connection's TLS; none if it has none.
    pub fn logged_tls(&self) -> Option<access_log::Tls> {
        let secure = self.link.secure.as_ref()?;
        let (client, facts) = (secure.client.as_ref()?, secure.session().facts());
        Some(access_log::Tls {
            version: facts.map(|facts| facts.version.name()),
            cipher: facts.and_then(|facts| Suite::name_of(facts.suite)),
            server_name: client.server_name.clone(),
            is_resumed: facts.is_some_and(|facts| facts.is_resumed),
            client_certificate: client.identity.as_ref().map(|own| own.fingerprint.clone()),
        })
    }

    /// Opens received bytes of a connection with TLS. The caller owns the content; what has failed
    /// behind it is for [`Client::session_failed`], once the content is delivered.
    pub fn open<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) -> Opened {
        let mut opened = local.wire.open(&mut self.link, slice);
        if self.state == State::Preface(Preface::Handshake) {
            match opened.fault {
                None => self.go_on_if_secured(local),
                // Nothing is served before the handshake is complete.
                Some(_) => local.wire.drop_chain(&mut opened.content),
            }
        }
        opened
    }

    /// Begins to read requests once the handshake is complete.
    fn go_on_if_secured<E: Engine>(&mut self, local: &mut Local<E>) {
        let session = self.link.secure.as_ref().and_then(|secure| secure.session().facts());
        let Some(facts) = session else { return };
        local.count(Counter::TlsHandshakes);
        if facts.is_resumed {
            local.count(Counter::TlsResumptions);
        }
        let speaks_http2 = facts.alpn.as_deref() == Some(b"h2");
        if facts.alpn.as_deref() == Some(CHALLENGE_PROTOCOL) {
            return self.give_up(How::Close, CloseReason::ChallengeAnswered, local);
        }
        if let Some(secure) = &mut self.link.secure {
            secure.note_client_certificate();
        }
        self.state = State::Http1(Step::AwaitingHead);
        if speaks_http2 {
            self.begin_http2(local);
        }
        self.set_deadline(local.current.timeouts().request_head, local);
    }

    /// Ends a connection whose session has failed.
    pub fn session_failed<E: Engine>(&mut self, fault: OpenFault, local: &mut Local<E>) {
        let is_handshaking = matches!(self.state, State::Preface(_));
        let (how, reason) = match fault {
            OpenFault::OutOfBuffers => (How::Abort, CloseReason::OutOfBuffers),
            OpenFault::Tls(fault) => {
                tracing::debug!(client = %self.address, %fault, "TLS");
                self.note_fault(&fault, is_handshaking, local)
            }
        };
        self.give_up(how, reason, local);
    }

    /// What waits to be sent has an alert with it: it is sent before the connection ends.
    fn note_fault<E: Engine>(
        &mut self,
        fault: &Fault,
        is_handshaking: bool,
        local: &Local<E>,
    ) -> (How, CloseReason) {
        if is_handshaking {
            local.count(Counter::TlsHandshakeFailures);
            let how = if *fault == Fault::Closed { How::Close } else { How::Cut };
            return (how, reason_of(fault));
        }
        (How::Cut, CloseReason::TlsBroken)
    }
}
