//! Heads, size lines and trailer sections that arrive in pieces: they are gathered on the heap, so
//! that a slow sender holds no buffer, and go into one to be judged.

use super::Local;
use crate::engine::{Engine, Slice};
use crate::http1::Partial;
use crate::link::Joined;

/// What became of a range that may continue what was set aside.
pub enum Gathered {
    /// All bytes so far are to be judged.
    Due(Joined),
    /// It was set aside too: all is as incomplete as before.
    Incomplete,
    /// No buffer is left; the range is released.
    OutOfBuffers,
}

impl<E: Engine> Local<E> {
    /// Joins what was set aside and a range, once they have to be judged together.
    #[inline]
    pub fn gather(&mut self, partial: &mut Option<Box<Partial>>, slice: Slice) -> Gathered {
        match partial {
            None => Gathered::Due(Joined { whole: slice, left: None }),
            Some(_) => self.gather_behind(partial, slice),
        }
    }

    fn gather_behind(&mut self, partial: &mut Option<Box<Partial>>, slice: Slice) -> Gathered {
        let mut aside = partial.take().expect("something was set aside");
        if aside.take(self.wire.bytes(slice)) {
            self.wire.engine.release(slice.buffer);
            *partial = Some(aside);
            return Gathered::Incomplete;
        }
        let Some(joined) = self.wire.join(aside.bytes(), slice) else {
            *partial = Some(aside);
            return Gathered::OutOfBuffers;
        };
        Gathered::Due(joined)
    }
}
