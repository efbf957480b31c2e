//! Translates completions to events.

use super::{DATAGRAM_GROUP, RECEIVE_GROUP, Uring};
use crate::engine::{Event, Failure, Key, Op, ReceiveFlags, Socket};
use io_uring::cqueue::{self, Entry};
use std::io;

impl Uring {
    /// The event of a completion; none for the engine's own.
    pub(super) fn translate(&mut self, entry: &Entry) -> Option<Event> {
        let (op, key) = Key::split(entry.user_data())?;
        let more = cqueue::more(entry.flags());
        match op {
            Op::Receive => Some(self.received(entry, key, more)),
            Op::Send => {
                self.sends.end(key);
                Some(Event::Sent { key, result: outcome(entry.result()) })
            }
            Op::Accept => Some(accepted(entry.result(), key, more)),
            Op::Connect => {
                let result = outcome(entry.result()).map(drop);
                self.connected_last = result.is_ok().then_some(key);
                Some(Event::Connected { key, result })
            }
            Op::Poll => Some(Event::Readable { key }),
            Op::Wake => {
                self.wake.reset();
                if !more {
                    self.arm_wake();
                }
                Some(Event::Woken)
            }
            // Only failed cancels complete: their target has ended by itself.
            Op::Cancel => None,
            Op::TakeBack => {
                let group = key.generation() as u16;
                let ring = self.buffers.group(group).expect("it was asked for a buffer");
                ring.take_back(cqueue::buffer_select(entry.flags()));
                None
            }
            Op::ReceiveDatagrams => Some(self.received_datagram(entry, key, more)),
            // Only failed ones complete.
            Op::SendDatagram => {
                let failure = outcome(entry.result()).err()?;
                Some(Event::DatagramLost { key, failure })
            }
        }
    }

    fn received(&mut self, entry: &Entry, key: Key, more: bool) -> Event {
        let buffer = cqueue::buffer_select(entry.flags()).map(|id| self.buffers.take(id));
        match (entry.result(), buffer) {
            (length @ 1.., Some(buffer)) => {
                let more_readable = cqueue::sock_nonempty(entry.flags());
                let flags = ReceiveFlags { still_armed: more, more_readable };
                Event::Received { key, buffer, length: length as u32, flags }
            }
            (result, buffer) => {
                if let Some(buffer) = buffer {
                    self.buffers.release(buffer);
                }
                let failure = (result < 0).then(|| failure_of_number(-result));
                if failure == Some(Failure::NoBuffers) {
                    self.provide_more(RECEIVE_GROUP);
                }
                Event::ReceiveEnded { key, failure }
            }
        }
    }

    fn received_datagram(&mut self, entry: &Entry, key: Key, more: bool) -> Event {
        let buffer = cqueue::buffer_select(entry.flags());
        if let (0.., Some(id)) = (entry.result(), buffer) {
            let buffer = self.buffers.take_datagram(id);
            return Event::Datagram { key, buffer, more };
        }
        if let Some(id) = buffer {
            let buffer = self.buffers.take_datagram(id);
            self.buffers.release(buffer);
        }
        let failure = (entry.result() < 0).then(|| failure_of_number(-entry.result()));
        if failure == Some(Failure::NoBuffers) {
            self.provide_more(DATAGRAM_GROUP);
        }
        Event::ReceiveEnded { key, failure }
    }

    pub(super) fn provide_more(&mut self, group: u16) {
        if let Some(ring) = self.buffers.group(group) {
            ring.provide_more();
        }
    }
}

fn outcome(result: i32) -> Result<u32, Failure> {
    u32::try_from(result).map_err(|_| failure_of_number(-result))
}

fn accepted(result: i32, key: Key, more: bool) -> Event {
    match outcome(result) {
        Ok(_) => Event::Accepted { key, socket: Socket(result), more },
        // Another acceptor of a shared queue was faster, and the kernel (6.1, 6.2) then waited in
        // its own thread, up to the listener's receive timeout. Nothing failed.
        Err(_) if result == -libc::EAGAIN => {
            Event::AcceptEnded { key, failure: Failure::Cancelled }
        }
        Err(failure) => Event::AcceptEnded { key, failure },
    }
}

/// The failure of a connect of a UDP socket, for which `EAGAIN` means that no local port is left.
pub(super) fn failure_of_connect(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Failure::NoLocalPort,
        _ => failure_of(error),
    }
}

pub(super) fn failure_of(error: &io::Error) -> Failure {
    failure_of_number(error.raw_os_error().unwrap_or(0))
}

fn failure_of_number(number: i32) -> Failure {
    match number {
        libc::ECANCELED => Failure::Cancelled,
        libc::ECONNREFUSED => Failure::Refused,
        libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED | libc::ENOTCONN => Failure::Reset,
        libc::ETIMEDOUT => Failure::TimedOut,
        libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ENETDOWN => Failure::Unreachable,
        libc::EMFILE | libc::ENFILE => Failure::OutOfDescriptors,
        libc::EADDRNOTAVAIL | libc::EADDRINUSE => Failure::NoLocalPort,
        libc::ENOMEM => Failure::OutOfResources,
        libc::EMSGSIZE => Failure::TooLong,
        // EAGAIN: an accepted socket has the receive timeout of its listener, see `accepted`.
        libc::ENOBUFS | libc::EAGAIN => Failure::NoBuffers,
        other => Failure::Other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Owner;

    #[test]
    fn an_accept_that_another_taker_won_has_not_failed() {
        let key = Key::new(Owner::Listener, 0, 1);
        for (number, failure) in [
            (libc::EAGAIN, Failure::Cancelled),
            (libc::ECANCELED, Failure::Cancelled),
            (libc::EMFILE, Failure::OutOfDescriptors),
        ] {
            let expected = Event::AcceptEnded { key, failure };
            assert_eq!(accepted(-number, key, false), expected, "{number}");
        }
    }

    #[test]
    fn a_receive_that_found_nothing_is_made_again() {
        assert_eq!(failure_of_number(libc::EAGAIN), Failure::NoBuffers);
    }
}
