//! Passing bytes between the two ends of a relay. Each side may end its direction on its own; a
//! slow side stops the receive of the other.

use super::{Ended, Relay, Source};
use crate::attempts::ConnectionFault;
use crate::backend::Connection;
use crate::client::Client;
use crate::engine::{Engine, Slice};
use crate::link::{Link, Read};
use crate::local::{How, Local, Signal};
use crate::stats::CloseReason;

/// The two connections of a relay.
pub struct Ends<'s> {
    /// The client's side.
    pub client: &'s mut Client,
    /// The backend's side.
    pub backend: &'s mut Connection,
}

impl Relay {
    /// Begins with the bytes that wait on both sides.
    pub fn begin<E: Engine>(&mut self, ends: &mut Ends<'_>, local: &mut Local<E>) {
        self.note_progress(ends, local);
        while let Some(slice) = local.wire.pop_front(&mut ends.backend.inbox) {
            if !self.take_from_backend(slice, ends, local) {
                return;
            }
        }
        while let Some(slice) = local.wire.pop_front(&mut ends.client.inbox) {
            if !self.take_from_client(slice, ends, local) {
                return;
            }
        }
        if ends.client.link.has_ended() {
            self.client_ended(ends, local);
        } else if !ends.backend.is_congested(local) {
            ends.client.take_more(local);
        }
    }

    /// Bytes for the backend. False if they are lost for want of a buffer: the relay ends.
    pub fn take_from_client<E: Engine>(
        &mut self,
        slice: Slice,
        ends: &mut Ends<'_>,
        local: &mut Local<E>,
    ) -> bool {
        self.from_client += slice.len() as u64;
        self.count_bytes(slice.len(), 0, ends, local);
        self.note_progress(ends, local);
        let is_passed = pass(&mut ends.client.link, &mut ends.backend.link, slice, local);
        if !is_passed {
            self.signal_end(CloseReason::OutOfBuffers, local);
        }
        is_passed
    }

    /// Bytes for the client. False if they are lost for want of a buffer: the relay ends.
    pub fn take_from_backend<E: Engine>(
        &mut self,
        slice: Slice,
        ends: &mut Ends<'_>,
        local: &mut Local<E>,
    ) -> bool {
        if self.from_backend == 0 {
            local.reports.backend_cell(ends.backend.slot).successes.add(1);
        }
        self.from_backend += slice.len() as u64;
        self.count_bytes(0, slice.len(), ends, local);
        self.note_progress(ends, local);
        let is_passed = pass(&mut ends.backend.link, &mut ends.client.link, slice, local);
        if !is_passed {
            self.signal_end(CloseReason::OutOfBuffers, local);
        }
        is_passed
    }

    /// The client has sent its last byte: the backend gets FIN after all bytes that wait.
    pub fn client_ended<E: Engine>(&mut self, ends: &mut Ends<'_>, local: &mut Local<E>) {
        self.ended.client = true;
        self.note_acknowledged(ends, local);
        local.wire.end_write(&mut ends.backend.link);
        self.note_progress(ends, local);
        self.end_if_over(ends, local);
    }

    /// The backend has sent its last byte, or its connection broke.
    pub fn backend_ended<E: Engine>(
        &mut self,
        fault: Option<ConnectionFault>,
        ends: &mut Ends<'_>,
        local: &mut Local<E>,
    ) {
        // A send that failed before has had the failure: the receive shows an end without one.
        if fault.is_some() || ends.backend.link.is_broken() {
            if let Source::Listener(attempts) = &mut self.source {
                attempts.note_tls_fault(fault);
            }
            let reason = CloseReason::BackendReset;
            return self.signal_end(fault.map_or(reason, |fault| fault.reason(reason)), local);
        }
        self.ended.backend = true;
        self.note_acknowledged(ends, local);
        if self.from_backend == 0 {
            local.reports.backend_cell(ends.backend.slot).successes.add(1);
        }
        local.wire.end_write(&mut ends.client.link);
        self.note_progress(ends, local);
        self.end_if_over(ends, local);
    }

    /// The client has taken bytes: the backend may be resumed.
    pub fn client_sent<E: Engine>(&mut self, ends: &mut Ends<'_>, local: &mut Local<E>) {
        if ends.client.has_room(local) {
            ends.backend.take_more(local);
        }
        self.note_progress(ends, local);
    }

    /// The backend has taken bytes, or its connection broke: the client may be resumed, or both
    /// sides have ended.
    pub fn backend_sent<E: Engine>(&mut self, ends: &mut Ends<'_>, local: &mut Local<E>) {
        let link = &ends.backend.link;
        if link.is_broken() && link.has_ended() {
            return self.signal_end(CloseReason::BackendReset, local);
        }
        if link.is_broken() {
            // What the backend has sent before is still received, and its end.
            ends.backend.take_more(local);
        } else if local.wire.has_room(link) {
            ends.client.take_more(local);
        }
        self.end_if_over(ends, local);
        self.note_progress(ends, local);
    }

    /// Ends a relay whose sides have both ended, once the backend has received everything. Bytes
    /// that still wait for the client are sent while its connection lingers.
    fn end_if_over<E: Engine>(&self, ends: &Ends<'_>, local: &mut Local<E>) {
        let link = &ends.backend.link;
        let has_everything = link.is_flushed() || link.is_broken();
        if ends.client.link.has_ended() && link.has_ended() && has_everything {
            local.work.push(Signal::RelayOver(self.id));
        }
    }

    /// True if the relay waits for bytes that cannot be received because no buffer is left. A
    /// client that does not read is late all the same: it may hold those buffers.
    fn is_starved(&self, ends: &Ends<'_>) -> bool {
        let (client, backend) = (&ends.client.link, &ends.backend.link);
        let is_client_starved = client.read == Read::OutOfBuffers && backend.is_flushed();
        client.is_flushed() && (is_client_starved || backend.read == Read::OutOfBuffers)
    }

    /// A byte was forwarded, or a side has ended: what is half closed has less time.
    fn note_progress<E: Engine>(&self, ends: &mut Ends<'_>, local: &mut Local<E>) {
        let timeouts = local.current.timeouts();
        let is_half_closed = ends.client.link.has_ended() || ends.backend.link.has_ended();
        let span = if is_half_closed { timeouts.half_closed } else { timeouts.tunnel };
        ends.client.set_deadline(span, local);
    }

    /// The time without a byte is over. True if neither side takes anything. Where one side has
    /// ended, the kernel may still be delivering what was sent before, and a slow reader is not a
    /// dead one.
    pub fn is_silent<E: Engine>(&mut self, ends: &mut Ends<'_>, local: &mut Local<E>) -> bool {
        let is_half_closed = self.ended != Ended::default();
        let is_waiting = is_half_closed && self.note_acknowledged(ends, local);
        let is_silent = !(is_waiting || self.is_starved(ends));
        if !is_silent {
            self.note_progress(ends, local);
        }
        is_silent
    }

    /// True if one side has acknowledged bytes since this was last looked at.
    fn note_acknowledged<E: Engine>(&mut self, ends: &Ends<'_>, local: &Local<E>) -> bool {
        let links = [&ends.client.link, &ends.backend.link];
        // The low bits suffice: nobody takes four gigabytes within a timeout, or exactly none.
        let acknowledged = links.map(|link| local.wire.engine.acknowledged(link.socket) as u32);
        std::mem::replace(&mut self.acknowledged, acknowledged) != acknowledged
    }

    /// Counts bytes for the listener and the backend of a connection that is forwarded unread.
    fn count_bytes<E: Engine>(
        &self,
        from_client: usize,
        from_backend: usize,
        ends: &Ends<'_>,
        local: &Local<E>,
    ) {
        let Source::Listener(attempts) = &self.source else { return };
        let (from_client, from_backend) = (from_client as u64, from_backend as u64);
        let of_listener = &local.reports.listener_cell(attempts.listener).bytes;
        of_listener.received.add(from_client);
        of_listener.sent.add(from_backend);
        let of_backend = &local.reports.backend_cell(ends.backend.slot).bytes;
        of_backend.received.add(from_backend);
        of_backend.sent.add(from_client);
    }

    fn signal_end<E: Engine>(&self, reason: CloseReason, local: &mut Local<E>) {
        local.work.push(Signal::End(self.client.connection, How::Cut, reason));
    }
}

/// Queues bytes of one side to the other, and receives no more of them for now if that is slow.
/// False if no buffer was left for them.
fn pass<E: Engine>(from: &mut Link, to: &mut Link, slice: Slice, local: &mut Local<E>) -> bool {
    let Some(slice) = local.wire.copy_out(slice) else { return false };
    local.wire.send(to, slice);
    if local.wire.is_congested(to) {
        local.wire.pause(from);
    }
    true
}
