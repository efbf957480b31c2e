//! Translates method calls to submissions. All requests of a turn go to the kernel in one system
//! call at the start of the next; `Scratch` holds the memory that the kernel reads at that moment.

use super::recvmsg::{NAME_BYTES, SOURCE_BYTES, layout, write_address, write_source};
use super::{DATAGRAM_GROUP, RECEIVE_GROUP, Uring};
use crate::base::Instant;
use crate::engine::{Destination, Key, Op, SEND_SLICES_MAX, Slice, Socket};
use crate::sys::socket::{self, raw_address};
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, opcode};
use socket2::SockAddr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Gathered sends and connects of one turn; when it is full, the requests so far are submitted.
const SCRATCH_SLOTS: usize = 256;
/// How long a shard waits before it retries what the kernel had no memory for.
const PAUSE: Duration = Duration::from_millis(1);
/// No SIGPIPE if the peer has disconnected; one completion for all bytes.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;

/// At once or not at all.
const DATAGRAM_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;

/// Of a receive: wait for data before the first attempt (io_uring_enter(2),
/// `IORING_RECVSEND_POLL_FIRST`, Linux 5.19). `opcode::RecvMulti` has no place for it.
const RECV_POLL_FIRST: u16 = 1 << 0;
/// Of a receive: until it is cancelled (`IORING_RECV_MULTISHOT`, Linux 6.0).
const RECV_MULTISHOT: u16 = 1 << 1;

/// Message headers and addresses that submissions point to. The kernel copies them when it takes
/// the submission (`IORING_FEAT_SUBMIT_STABLE`), so they live until then and no longer.
pub(super) struct Scratch {
    messages: Box<[Message]>,
    messages_used: usize,
    addresses: Vec<SockAddr>,
    /// There are some from the first datagram on that has an address.
    letters: Box<[Letter]>,
    letters_used: usize,
    /// The fields of a received datagram.
    layout: Box<libc::msghdr>,
}

#[derive(Clone, Copy)]
struct Message {
    header: libc::msghdr,
    vectors: [libc::iovec; SEND_SLICES_MAX],
}

/// The header of a datagram that is sent to an address.
#[derive(Clone, Copy)]
struct Letter {
    header: libc::msghdr,
    vector: libc::iovec,
    address: [u8; NAME_BYTES],
    source: [u8; SOURCE_BYTES],
}

impl Scratch {
    pub(super) fn new() -> Self {
        // SAFETY: both are plain C structures for which all zeroes is a value (no pointers).
        let empty: Message = unsafe { std::mem::zeroed() };
        Self {
            messages: vec![empty; SCRATCH_SLOTS].into_boxed_slice(),
            messages_used: 0,
            addresses: Vec::with_capacity(SCRATCH_SLOTS),
            letters: Box::default(),
            letters_used: 0,
            layout: Box::new(layout()),
        }
    }

    fn is_full(&self) -> bool {
        self.messages_used == SCRATCH_SLOTS
            || self.addresses.len() == SCRATCH_SLOTS
            || self.letters_used == SCRATCH_SLOTS
    }

    fn clear(&mut self) {
        self.messages_used = 0;
        self.letters_used = 0;
        self.addresses.clear();
    }

    /// A free letter.
    fn letter(&mut self) -> &mut Letter {
        if self.letters.is_empty() {
            // SAFETY: plain C structures, and bytes: all zeroes is a value.
            let empty: Letter = unsafe { std::mem::zeroed() };
            self.letters = vec![empty; SCRATCH_SLOTS].into_boxed_slice();
        }
        self.letters_used += 1;
        &mut self.letters[self.letters_used - 1]
    }
}

impl Uring {
    pub(super) fn submit_accept(&mut self, listener: Socket, key: Key, takes_many: bool) {
        let (listener, flags) = (Fd(listener.0), libc::SOCK_CLOEXEC);
        let entry = match takes_many {
            true => opcode::AcceptMulti::new(listener).flags(flags).build(),
            false => {
                let (address, length) = (std::ptr::null_mut(), std::ptr::null_mut());
                opcode::Accept::new(listener, address, length).flags(flags).build()
            }
        };
        self.push(entry.user_data(key.with_op(Op::Accept)));
    }

    pub(super) fn submit_receive(&mut self, socket: Socket, key: Key) {
        let entry = if self.buffers.is_low() {
            // A multishot receive takes dozens of buffers before it can be stopped; this takes one.
            let entry = opcode::Recv::new(Fd(socket.0), std::ptr::null_mut(), 0);
            entry.buf_group(RECEIVE_GROUP).build().flags(Flags::BUFFER_SELECT)
        } else {
            // Nothing comes over a connection that was just made before something was sent.
            let is_fresh = self.connected_last.take() == Some(key);
            let first = if is_fresh { RECV_POLL_FIRST } else { 0 };
            let entry = opcode::Recv::new(Fd(socket.0), std::ptr::null_mut(), 0);
            let entry = entry.ioprio(RECV_MULTISHOT | first).buf_group(RECEIVE_GROUP);
            entry.build().flags(Flags::BUFFER_SELECT)
        };
        self.push(entry.user_data(key.with_op(Op::Receive)));
    }

    pub(super) fn submit_poll(&mut self, socket: Socket, key: Key) {
        let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
        let entry = opcode::PollAdd::new(Fd(socket.0), events).build();
        self.push(entry.user_data(key.with_op(Op::Poll)));
    }

    pub(super) fn submit_connect(&mut self, socket: Socket, address: SocketAddr, key: Key) {
        self.make_room();
        self.scratch.addresses.push(raw_address(address));
        let stored = self.scratch.addresses.last().expect("pushed above");
        let entry = opcode::Connect::new(Fd(socket.0), stored.as_ptr().cast(), stored.len());
        self.push(entry.build().user_data(key.with_op(Op::Connect)));
    }

    pub(super) fn submit_send(
        &mut self,
        socket: Socket,
        key: Key,
        slices: &[Slice],
        is_last: bool,
    ) {
        let flags = if is_last { SEND_FLAGS | libc::MSG_MORE } else { SEND_FLAGS };
        let entry = match slices {
            [one] => {
                let address = self.range(*one);
                opcode::Send::new(Fd(socket.0), address.cast_const(), one.len() as u32)
                    .flags(flags)
                    .build()
            }
            several => self.gathered_send(socket, several, flags),
        };
        self.push(entry.user_data(key.with_op(Op::Send)));
    }

    fn gathered_send(&mut self, socket: Socket, slices: &[Slice], flags: i32) -> Entry {
        assert!((1..=SEND_SLICES_MAX).contains(&slices.len()), "a send takes 1 to 16 ranges");
        self.make_room();
        let at = self.scratch.messages_used;
        for (index, slice) in slices.iter().enumerate() {
            let vector = libc::iovec { iov_base: self.range(*slice).cast(), iov_len: slice.len() };
            self.scratch.messages[at].vectors[index] = vector;
        }
        self.scratch.messages_used += 1;
        let message = &mut self.scratch.messages[at];
        message.header.msg_iov = message.vectors.as_mut_ptr();
        message.header.msg_iovlen = slices.len();
        opcode::SendMsg::new(Fd(socket.0), &raw const message.header).flags(flags as u32).build()
    }

    pub(super) fn submit_receive_datagrams(&mut self, socket: Socket, key: Key) {
        let layout = &raw const *self.scratch.layout;
        let entry = opcode::RecvMsgMulti::new(Fd(socket.0), layout, DATAGRAM_GROUP).build();
        self.push(entry.user_data(key.with_op(Op::ReceiveDatagrams)));
    }

    /// Sends a datagram while it is submitted: as it does not wait, nothing of it is used later,
    /// and it completes only if it fails.
    pub(super) fn submit_datagram(
        &mut self,
        socket: Socket,
        key: Key,
        slice: Slice,
        destination: Option<Destination>,
    ) {
        let (address, length) = (self.range(slice), slice.len());
        let entry = match destination {
            None => opcode::Send::new(Fd(socket.0), address.cast_const(), length as u32)
                .flags(DATAGRAM_FLAGS)
                .build(),
            Some(destination) => {
                let range = libc::iovec { iov_base: address.cast(), iov_len: length };
                self.addressed_send(socket, range, destination)
            }
        };
        let entry = entry.flags(Flags::SKIP_SUCCESS);
        self.push(entry.user_data(key.with_op(Op::SendDatagram)));
    }

    fn addressed_send(
        &mut self,
        socket: Socket,
        range: libc::iovec,
        destination: Destination,
    ) -> Entry {
        self.make_room();
        let letter = self.scratch.letter();
        let length = write_address(destination.address, &mut letter.address);
        let Some(source) = destination.source else {
            let (bytes, count) = (range.iov_base.cast_const().cast(), range.iov_len as u32);
            return opcode::Send::new(Fd(socket.0), bytes, count)
                .flags(DATAGRAM_FLAGS)
                .dest_addr(letter.address.as_ptr().cast())
                .dest_addr_len(length as libc::socklen_t)
                .build();
        };
        letter.vector = range;
        letter.header.msg_name = letter.address.as_mut_ptr().cast();
        letter.header.msg_namelen = length as libc::socklen_t;
        letter.header.msg_iov = &raw mut letter.vector;
        letter.header.msg_iovlen = 1;
        letter.header.msg_controllen = write_source(source, &mut letter.source);
        letter.header.msg_control = letter.source.as_mut_ptr().cast();
        opcode::SendMsg::new(Fd(socket.0), &raw const letter.header)
            .flags(DATAGRAM_FLAGS as u32)
            .build()
    }

    /// The address of a range, which must lie in a held buffer.
    fn range(&self, slice: Slice) -> *mut u8 {
        let (address, size) = self.buffers.place(slice.buffer);
        assert!(
            slice.start <= slice.end && slice.end as usize <= size,
            "a range of {slice:?} does not fit its buffer"
        );
        address.as_ptr().wrapping_add(slice.start as usize)
    }

    pub(super) fn submit_cancel(&mut self, op: Op, key: Key) {
        let entry = opcode::AsyncCancel::new(key.with_op(op)).build().flags(Flags::SKIP_SUCCESS);
        self.push(entry.user_data(key.with_op(Op::Cancel)));
    }

    /// Watches the eventfd for as long as the kernel keeps the poll armed.
    pub(super) fn arm_wake(&mut self) {
        let fd = Fd(self.wake.as_raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build();
        self.push(entry.user_data((Op::Wake as u64) << 60));
    }

    /// Asks the kernel for buffers of the ring that are not needed there: each read takes the next
    /// one, reads nothing and completes at once.
    pub(super) fn take_buffers_back(&mut self) {
        let Some(null) = &self.null else { return };
        let fd = Fd(null.as_raw_fd());
        for group in [RECEIVE_GROUP, DATAGRAM_GROUP] {
            for _ in 0..self.buffers.group(group).map_or(0, |ring| ring.ask_back()) {
                let entry = opcode::Read::new(fd, std::ptr::null_mut(), 1).buf_group(group);
                let entry = entry.build().flags(Flags::BUFFER_SELECT);
                self.push(entry.user_data((Op::TakeBack as u64) << 60 | u64::from(group)));
            }
        }
    }

    /// Submits all and waits for a completion until `deadline`.
    pub(super) fn enter(&mut self, deadline: Instant) {
        let wait = Timespec::from(deadline.since(crate::sys::clock::monotonic()));
        let arguments = SubmitArgs::new().timespec(&wait);
        match self.ring.submitter().submit_with_args(1, &arguments) {
            Ok(_) => self.is_short_of_memory = false,
            Err(error) if self.note_error(&error) == Gravity::Shortage => {
                // The call did not wait: the next turn would call again at once.
                self.run_completions();
                if self.early.is_empty() && self.ring.completion().is_empty() {
                    let left = deadline.since(crate::sys::clock::monotonic());
                    std::thread::sleep(left.min(PAUSE));
                }
            }
            Err(_) => {}
        }
        if self.ring.submission().is_empty() {
            self.scratch.clear();
            self.sent_datagrams.drain(..).for_each(|buffer| self.buffers.release(buffer));
            self.closing.drain(..).for_each(socket::close);
        }
    }

    /// Processes an error of io_uring_enter: the next turn retries what the kernel did not take.
    ///
    /// # Panics
    /// If a retry would never succeed: the shard is restarted.
    fn note_error(&mut self, error: &io::Error) -> Gravity {
        let gravity = gravity(error);
        match gravity {
            Gravity::Usual => {}
            Gravity::Shortage if std::mem::replace(&mut self.is_short_of_memory, true) => {}
            Gravity::Shortage => {
                tracing::warn!(%error, "no kernel memory for a shard's operations; they wait");
            }
            Gravity::Fatal => panic!("io_uring_enter: {error}"),
        }
        gravity
    }

    /// Lets the kernel run the work that it defers until it is entered, which frees the memory of
    /// operations that have ended.
    fn run_completions(&mut self) {
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: nothing is submitted, and no argument is passed.
        let _ = unsafe { self.ring.submitter().enter::<()>(0, 0, flags, None) };
    }

    /// Makes sure that the scratch has a free slot of each kind.
    fn make_room(&mut self) {
        if self.scratch.is_full() {
            self.flush();
            self.scratch.clear();
        }
    }

    fn push(&mut self, entry: Entry) {
        // SAFETY: whatever the entry points to is a held buffer, which stays held until its
        // completion, or, if it is a datagram, until the submission; or it lies in the scratch,
        // which stays until then.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.flush();
        }
    }

    /// Submits without waiting until the submission queue is empty.
    fn flush(&mut self) {
        submit_all(self);
    }
}

/// The operations on a ring that submitting needs; a test has another ring.
trait Submitting {
    /// True if the submission queue is not empty.
    fn has_more(&mut self) -> bool;
    /// Submits as much as the kernel takes.
    fn submit(&mut self) -> io::Result<()>;
    /// Moves completions aside, so that the kernel has room and memory for more; false if there are
    /// none.
    fn take_completions(&mut self) -> bool;
    /// Waits, so that memory may be released elsewhere.
    fn pause(&mut self);
}

/// Submits all. After completions were taken, or, if there are none, after a pause, it retries what
/// the kernel did not take: a shard without memory does not use up its core.
fn submit_all(ring: &mut impl Submitting) {
    while ring.has_more() {
        if ring.submit().is_err() && !ring.take_completions() {
            ring.pause();
        }
    }
}

impl Submitting for Uring {
    fn has_more(&mut self) -> bool {
        !self.ring.submission().is_empty()
    }

    fn submit(&mut self) -> io::Result<()> {
        let submitted = self.ring.submitter().submit();
        submitted.map(drop).inspect_err(|error| {
            self.note_error(error);
        })
    }

    fn take_completions(&mut self) -> bool {
        self.run_completions();
        let before = self.early.len();
        self.early.extend(self.ring.completion());
        self.early.len() > before
    }

    fn pause(&mut self) {
        std::thread::sleep(PAUSE);
    }
}

/// The meaning of an error of io_uring_enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gravity {
    /// No completion in time, or the caller must drain the completion queue first, which it does.
    Usual,
    /// It may be over in a moment.
    Shortage,
    /// It would be the same on every retry.
    Fatal,
}

fn gravity(error: &io::Error) -> Gravity {
    match error.raw_os_error() {
        Some(libc::ETIME | libc::EINTR | libc::EBUSY) => Gravity::Usual,
        Some(libc::ENOMEM | libc::ENOBUFS | libc::EAGAIN) => Gravity::Shortage,
        _ => Gravity::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_never_end_is_no_reason_to_spin() {
        for (number, expected) in [
            (libc::ETIME, Gravity::Usual),
            (libc::EBUSY, Gravity::Usual),
            (libc::ENOMEM, Gravity::Shortage),
            (libc::EAGAIN, Gravity::Shortage),
            (libc::EFAULT, Gravity::Fatal),
            (libc::EINVAL, Gravity::Fatal),
            (libc::EBADF, Gravity::Fatal),
        ] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(gravity(&error), expected, "{error}");
        }
    }

    /// A kernel that takes nothing for a while, and has completions now and then.
    struct Short {
        refusals: u32,
        completions: Vec<bool>,
        course: Vec<&'static str>,
    }

    impl Submitting for Short {
        fn has_more(&mut self) -> bool {
            self.course.last() != Some(&"submitted")
        }

        fn submit(&mut self) -> io::Result<()> {
            let is_refused = self.refusals > 0;
            self.refusals = self.refusals.saturating_sub(1);
            self.course.push(if is_refused { "refused" } else { "submitted" });
            if is_refused { Err(io::Error::from_raw_os_error(libc::ENOMEM)) } else { Ok(()) }
        }

        fn take_completions(&mut self) -> bool {
            self.completions.pop().unwrap_or(false)
        }

        fn pause(&mut self) {
            self.course.push("pause");
        }
    }

    #[test]
    fn what_the_kernel_does_not_take_is_asked_again_after_completions_or_a_pause() {
        let (completions, course) = (vec![false, true, false], Vec::new());
        let mut ring = Short { refusals: 4, completions, course };
        submit_all(&mut ring);
        let expected = "refused pause refused refused pause refused pause submitted";
        assert_eq!(ring.course.join(" "), expected);
    }
}
