//! One connection to a backend, and what an exchange or a relay may do with it.

use super::http2::Http2;
use crate::base::BackendSlot;
use crate::engine::{BufferId, Close, Engine, Failure, Key, ReceiveFlags, Slice, Socket};
use crate::http1::Partial;
use crate::link::{Chain, Delivery, Life, Link, Write};
use crate::local::{Clock, Local};
use crate::stats::Counter;
use crate::table::{ConnectionId, ExchangeId, Operating, RelayId, RowId};
use crate::tls::BackendTls;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It carries an exchange.
    Exchange(ExchangeId),
    /// It carries exchanges on streams, or waits for them.
    Streams,
    /// It is one end of a relay.
    Relay(RelayId),
    /// It waits for its next exchange.
    Idle,
    /// What was queued for the backend is being sent; then it closes.
    Finishing,
    /// All was sent, and a reset is to follow: not before the backend has acknowledged it.
    Delivering(Delivery),
    /// It waits for its operations to end and is closed then.
    Closing,
}

/// A connection to a backend.
#[derive(Debug)]
pub struct Connection {
    /// Its socket and operations.
    pub link: Link,
    /// The backend.
    pub slot: BackendSlot,
    /// Its address.
    pub(super) address: SocketAddr,
    /// How it is secured, until that begins.
    secure_with: Option<Arc<BackendTls>>,
    /// What it is used for.
    pub used_for: Use,
    /// It has carried an exchange before the present one.
    pub is_reused: bool,
    /// The head of the response, and the bytes received, allow another use of it.
    pub is_reusable: bool,
    /// It is idle, and another shard may claim it: it is counted as that.
    pub(super) is_claimable: bool,
    /// It is for one client alone: its PROXY header, or its address, says who that is.
    pub(super) is_reserved: bool,
    /// The buffer of the PROXY header, as long as a part of it has not been sent: the first one
    /// that waits.
    pub(super) header: Option<BufferId>,
    /// At its last read, more bytes were there to be read.
    pub has_unread: bool,
    /// How its socket is closed in the end.
    pub(super) close: Close,
    /// How long it may be idle, as the backend states.
    pub idle_max: Duration,
    /// The part of a response's head, a size line or its trailer section from earlier reads.
    pub(super) partial: Option<Box<Partial>>,
    /// HTTP/2, if it speaks that, or is to.
    pub(super) http2: Option<Box<Http2>>,
    /// Received and not processed yet: what follows the head of a response that opens a tunnel.
    pub inbox: Chain,
    /// Its deadline while it is idle; the timer stays armed while the connection is used.
    pub(super) clock: Clock,
    pub(super) newer: Option<ConnectionId>,
    pub(super) older: Option<ConnectionId>,
}

impl Operating for Connection {
    fn key(&self) -> Key {
        self.link.key
    }
}

impl Connection {
    /// A connection that is being made.
    pub(super) fn new(
        socket: Socket,
        key: Key,
        (slot, address): (BackendSlot, SocketAddr),
        secure_with: Option<Arc<BackendTls>>,
        used_for: Use,
    ) -> Self {
        Self {
            link: Link::new(socket, key, Life::Connecting),
            slot,
            address,
            secure_with,
            used_for,
            is_reused: false,
            is_reusable: false,
            is_claimable: false,
            is_reserved: false,
            header: None,
            has_unread: false,
            close: Close::Graceful,
            idle_max: Duration::MAX,
            partial: None,
            http2: None,
            inbox: Chain::default(),
            clock: Clock::default(),
            newer: None,
            older: None,
        }
    }

    /// Reserves it for one client: it is not kept for others.
    pub fn reserve(&mut self) {
        self.is_reserved = true;
    }

    /// Its id.
    pub fn id(&self) -> ConnectionId {
        ConnectionId::from_row(self.link.key.index())
    }

    /// Queues a range for the backend.
    pub fn put<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        local.wire.send(&mut self.link, slice);
    }

    /// The same for a range that may have to be sent again: its buffer is kept until it is
    /// unpinned.
    pub fn put_pinned<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        local.wire.send_pinned(&mut self.link, slice);
    }

    /// Queues what another connection did not send.
    pub fn adopt<E: Engine>(&mut self, unsent: Chain, local: &mut Local<E>) {
        local.wire.adopt_outbox(&mut self.link, unsent);
    }

    /// Takes back what was queued and not sent, for another connection. Without a PROXY header:
    /// the other connection begins with its own.
    pub fn take_unsent<E: Engine>(&mut self, local: &mut Local<E>) -> Chain {
        if self.header.take().is_some()
            && let Some(header) = local.wire.pop_front(&mut self.link.outbox)
        {
            local.wire.engine.release(header.buffer);
        }
        std::mem::take(&mut self.link.outbox)
    }

    /// True if so much waits for the backend that its source should be paused.
    pub fn is_congested<E: Engine>(&self, local: &Local<E>) -> bool {
        local.wire.is_congested(&self.link)
    }

    /// True if its source may be resumed.
    pub fn has_room<E: Engine>(&self, local: &Local<E>) -> bool {
        local.wire.has_room(&self.link)
    }

    /// True while the connection is being made.
    pub fn is_connecting(&self) -> bool {
        self.link.is_connecting()
    }

    /// True while its TLS handshake is under way.
    pub fn is_securing(&self) -> bool {
        self.link.life == Life::Securing
    }

    /// True if everything that was queued has been sent.
    pub fn is_flushed(&self) -> bool {
        self.link.is_flushed()
    }

    /// True while a send is in flight, the progress of which is unknown.
    pub fn is_sending(&self) -> bool {
        self.link.sending > 0
    }

    /// True if nothing can be received for want of a buffer.
    pub fn is_starved(&self) -> bool {
        self.link.is_starved()
    }

    /// True if what waits for it cannot be sent for want of a buffer.
    pub fn is_postponed(&self) -> bool {
        self.link.is_postponed()
    }

    /// Receives as data arrives, once it is connected.
    pub fn take_more<E: Engine>(&mut self, local: &mut Local<E>) {
        if !self.link.is_connecting() {
            local.wire.receive(&mut self.link);
        }
    }

    /// Receives no more for now.
    pub fn pause<E: Engine>(&mut self, local: &mut Local<E>) {
        local.wire.pause(&mut self.link);
    }

    /// Processes the arrival of bytes on the connection.
    pub fn note_received<E: Engine>(&mut self, flags: ReceiveFlags, local: &mut Local<E>) {
        self.has_unread = flags.more_readable;
        local.wire.received(&mut self.link, flags.still_armed);
    }

    /// Processes the end of a send.
    pub fn note_sent<E: Engine>(&mut self, result: Result<u32, Failure>, local: &mut Local<E>) {
        if let Ok(bytes) = result {
            local.reports.count(Counter::UpstreamBytesSent, u64::from(bytes));
        }
        local.wire.sent(&mut self.link, result);
        if self.header.is_some() {
            let first = local.wire.front(&self.link.outbox).map(|slice| slice.buffer);
            self.header = self.header.filter(|header| first == Some(*header));
        }
    }

    /// Processes the end of a connect, whatever its result. Returns how the connection is to be
    /// secured, if it is.
    pub fn note_connect_ended(&mut self) -> Option<Arc<BackendTls>> {
        self.link.life = Life::Open;
        self.secure_with.take()
    }

    /// The kernel probes the backend when it is silent for so long; zero: never.
    pub fn keep_alive<E: Engine>(&self, idle: Duration, local: &mut Local<E>) {
        if !idle.is_zero() {
            local.wire.engine.keep_alive(self.link.socket, idle);
        }
    }

    /// Sends what has waited for the connection, and receives.
    pub fn begin<E: Engine>(&mut self, local: &mut Local<E>) {
        local.wire.receive(&mut self.link);
        local.wire.schedule_flush(&mut self.link);
    }

    /// True if nothing of the last exchange is left on it, and nothing is known against its use.
    #[inline(always)]
    pub(super) fn is_clean(&self) -> bool {
        let link = &self.link;
        !self.has_unread
            && !self.is_reserved
            && self.partial.is_none()
            && !link.has_ended()
            && link.write == Write::Open
            && link.is_flushed()
            && link.sending == 0
    }

    /// True if it waits for its next exchange.
    pub(super) fn is_idle(&self) -> bool {
        self.used_for == Use::Idle || self.is_without_streams()
    }
}
