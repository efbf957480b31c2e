//! What stands before a client's protocol: the beginning of a connection, until it is known what it
//! speaks and where its bytes go.

use super::Client;
use crate::engine::{Engine, Slice};
use crate::local::{How, Local, Signal};
use crate::snapshot::Protocol;
use crate::snapshot::Target;
use crate::stats::CloseReason;

/// Where the bytes of a client go.
pub struct Dial {
    /// The target.
    pub target: Target,
    /// The name that the client asked for in its TLS handshake.
    pub server_name: Option<Box<[u8]>>,
}

impl Client {
    /// Begins as the listener demands. Returns where the bytes go, if that is known.
    pub(super) fn begin<E: Engine>(&mut self, local: &mut Local<E>) -> Option<Dial> {
        let listener = local.current.listener(self.listener)?;
        match listener.protocol {
            Protocol::Http => None,
            Protocol::Tcp => {
                let target = listener.routes.lookup(b"", b"/");
                if target.is_none() {
                    local.work.push(Signal::End(self.id(), How::Abort, CloseReason::NoBackend));
                }
                target.map(|target| Dial { target, server_name: None })
            }
            Protocol::TlsPassthrough => None,
        }
    }

    /// Reads what stands before the protocol. Returns where the bytes go, once that is known.
    pub fn read_preface<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) -> Option<Dial> {
        local.wire.engine.release(slice.buffer);
        None
    }
}
