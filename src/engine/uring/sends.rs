//! The buffers that the kernel still reads: a buffer that is released or written during a send
//! would mix the bytes of two clients. Tracked and checked in debug builds; empty in others.

use crate::engine::{BufferId, Key, SEND_SLICES_MAX, Slice};
use std::collections::HashMap;

type Sent = ([BufferId; SEND_SLICES_MAX], usize);

/// Sends in flight.
#[derive(Default)]
pub(super) struct Sends {
    /// By the key of the send.
    in_flight: HashMap<Key, Sent>,
    /// By buffer: sends that name it.
    sending: Vec<u8>,
}

impl Sends {
    /// Adds a send that was submitted.
    pub(super) fn begin(&mut self, key: Key, slices: &[Slice]) {
        if !cfg!(debug_assertions) {
            return;
        }
        let mut buffers = [BufferId(0); SEND_SLICES_MAX];
        for (place, slice) in buffers.iter_mut().zip(slices) {
            *place = slice.buffer;
            let index = slice.buffer.0 as usize;
            if self.sending.len() <= index {
                self.sending.resize(index + 1, 0);
            }
            self.sending[index] += 1;
        }
        let before = self.in_flight.insert(key, (buffers, slices.len()));
        assert!(before.is_none(), "two sends at once: {key:?}");
    }

    /// Removes a send that has ended.
    pub(super) fn end(&mut self, key: Key) {
        if !cfg!(debug_assertions) {
            return;
        }
        let (buffers, count) = self.in_flight.remove(&key).expect("a send in flight");
        buffers[..count].iter().for_each(|buffer| self.sending[buffer.0 as usize] -= 1);
    }

    /// Panics if a buffer that is to be released or written is being sent.
    pub(super) fn check(&self, buffer: BufferId) {
        if cfg!(debug_assertions) {
            let sends = self.sending.get(buffer.0 as usize).copied().unwrap_or(0);
            assert_eq!(sends, 0, "{buffer:?} is released or written while it is being sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Owner;

    fn slice(buffer: u32) -> Slice {
        Slice { buffer: BufferId(buffer), start: 0, end: 1 }
    }

    #[test]
    fn a_buffer_is_free_again_when_every_send_of_it_has_ended() {
        let mut sends = Sends::default();
        let [one, two] = [1, 2].map(|index| Key::new(Owner::Client, index, 1));
        sends.begin(one, &[slice(3), slice(5)]);
        sends.begin(two, &[slice(5)]);
        sends.end(one);
        sends.check(BufferId(3));
        sends.check(BufferId(9));
        let is_checked = |sends: &Sends| {
            let check = std::panic::AssertUnwindSafe(|| sends.check(BufferId(5)));
            std::panic::catch_unwind(check).is_err()
        };
        assert_eq!(is_checked(&sends), cfg!(debug_assertions));
        sends.end(two);
        assert!(!is_checked(&sends));
    }
}
