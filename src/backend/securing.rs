//! TLS on a connection to a backend: it counts as being made until its handshake is complete, so a
//! failure of that is one to connect, and nothing of a request has been sent.

use super::Connection;
use crate::engine::{Engine, Slice};
use crate::link::{Life, OpenFault, Opened, Secure};
use crate::local::Local;
use crate::stats::Counter;
use crate::tls::{BackendTls, FaultKind};

/// Why TLS with a backend does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFault {
    /// The session has failed.
    Tls(FaultKind),
    /// No buffer is left here.
    OutOfBuffers,
}

/// What was agreed on about the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// Nothing: there is no TLS.
    Nothing,
    /// HTTP/2.
    Http2,
    /// Another one, or none.
    Other,
}

impl Connection {
    /// Begins the handshake on a connection that has just been made. Its PROXY header goes before
    /// it.
    ///
    /// # Errors
    /// It cannot begin.
    pub fn begin_tls<E: Engine>(
        &mut self,
        tls: &BackendTls,
        local: &mut Local<E>,
    ) -> Result<(), SessionFault> {
        let session = tls.session(self.address).map_err(|error| {
            tracing::debug!(address = %self.address, %error, "TLS to a backend");
            SessionFault::Tls(FaultKind::Protocol)
        })?;
        self.link.life = Life::Securing;
        let header = self.header.take().and_then(|_| local.wire.pop_front(&mut self.link.outbox));
        self.link.secure = Some(Secure::new(session, None).into());
        if let Some(header) = header {
            local.wire.send_unsealed(&mut self.link, header);
        }
        let begun = local.wire.open_bytes(&mut self.link, &mut []);
        begun.map_err(|fault| self.session_fault(&fault))?;
        local.wire.receive(&mut self.link);
        Ok(())
    }

    /// Opens received bytes. The caller owns the content; behind it the session may have failed.
    pub fn open<E: Engine>(
        &mut self,
        slice: Slice,
        local: &mut Local<E>,
    ) -> (Opened, Option<SessionFault>) {
        let mut opened = local.wire.open(&mut self.link, slice);
        let fault = opened.fault.take().map(|fault| {
            // Its operator may learn from that what is wrong.
            local.wire.send_alert(&mut self.link);
            self.session_fault(&fault)
        });
        if fault.is_some() && self.is_securing() {
            // Nothing can have been asked for before the handshake is complete.
            local.wire.drop_chain(&mut opened.content);
        }
        (opened, fault)
    }

    /// True once, when the handshake is complete.
    pub fn is_made_secure<E: Engine>(&mut self, local: &Local<E>) -> bool {
        let secure = self.link.secure.as_ref().filter(|_| self.link.life == Life::Securing);
        let Some(facts) = secure.and_then(|secure| secure.session().facts()) else { return false };
        local.count(Counter::UpstreamTlsHandshakes);
        if facts.is_resumed {
            local.count(Counter::UpstreamTlsResumptions);
        }
        self.link.life = Life::Open;
        true
    }

    /// The protocol that was agreed on in the handshake; none without TLS.
    pub fn agreed(&self) -> Agreed {
        let Some(secure) = &self.link.secure else { return Agreed::Nothing };
        match secure.session().facts().and_then(|facts| facts.alpn.as_deref()) {
            Some(b"h2") => Agreed::Http2,
            _ => Agreed::Other,
        }
    }

    fn session_fault(&self, fault: &OpenFault) -> SessionFault {
        match fault {
            OpenFault::Tls(fault) => {
                tracing::debug!(address = %self.address, %fault, "TLS to a backend");
                SessionFault::Tls(FaultKind::of(fault))
            }
            OpenFault::OutOfBuffers => SessionFault::OutOfBuffers,
        }
    }
}
