//! From an accepted connection to a session.

use super::{Session, State, Traffic};
use crate::base::ListenerId;
use crate::engine::{Close, Engine, ReceiveFlags, Slice, Socket};
use crate::mailbox::Stage;
use crate::stats::{CloseReason, Counter};
use crate::table::ClientId;
use std::net::SocketAddr;

impl<E: Engine> Traffic<E> {
    /// Serves a connection on which nothing has been received yet. It is aborted at once if its
    /// client has as many connections as it may have, or all connections are being aborted.
    pub fn open(&mut self, socket: Socket, client: SocketAddr, listener: ListenerId) {
        let shard = self.mailbox.shard();
        if !self.mailbox.shared.clients.admit(shard, client.ip()) {
            self.count(Counter::ClientLimitRejections);
            self.wire.engine.close(socket, Close::Reset);
            return self.mailbox.show_connections(self.sessions.len() as u32);
        }
        self.count(Counter::ConnectionsAccepted);
        let cell = self.mailbox.shared.ledger.listener(shard, listener);
        cell.accepted.add(1);
        cell.sessions.rise();
        let key = self.sessions.next_key();
        let index = self.sessions.insert(Session::new(socket, key, client, listener));
        let session = self.sessions.at(index);
        // Its listener may have been removed while it waited.
        session.is_leaving = self.snapshot.listener(listener).is_none();
        self.wire.receive(&mut session.link);
        let span = self.snapshot.settings.timeouts.request_head;
        self.set_deadline(index, span);
        self.mailbox.show_connections(self.sessions.len() as u32);
        if self.stage == Stage::Ending {
            self.abort_session(index, CloseReason::Drained);
        }
    }

    /// Bytes from a client.
    pub fn client_received(&mut self, index: ClientId, slice: Slice, flags: ReceiveFlags) {
        let session = self.sessions.at(index);
        self.wire.received(&mut session.link, flags.still_armed);
        self.counters().add(Counter::ClientBytesReceived, slice.len() as u64);
        let session = self.sessions.at(index);
        match session.state {
            State::AwaitingHead | State::ReadingHead | State::Exchanging(_)
                if !session.inbox.is_empty() =>
            {
                self.keep_for_later(index, slice);
                self.serve_inbox(index);
            }
            State::AwaitingHead | State::ReadingHead => {
                self.read_head(index, slice);
                self.serve_inbox(index);
            }
            State::Exchanging(id) => self.request_bytes(index, id, slice),
            State::Tunnelling(_) => self.tunnel_from_client(index, slice),
            State::Lingering | State::Discarding { .. } => self.discard(index, slice),
            State::Finishing => {
                let reason = session.close_reason;
                self.wire.engine.release(slice.buffer);
                self.linger(index, reason);
            }
            State::Closing => {
                self.wire.engine.release(slice.buffer);
                self.settle_closing(index);
            }
        }
    }
}
