//! A hierarchical timing wheel (Varghese and Lauck, SOSP 1987) for one shard: arming, moving and
//! disarming a timer take constant time, and nothing is allocated once the table has grown.
//!
//! Time is cut into ticks of one millisecond. A timer never fires early, and at most one tick
//! late by the wheel's doing. Does not read a clock: `now` is passed in.

use super::Instant;

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Seven levels of 64 slots reach 2^42 ms, 139 years: any deadline has a place.
const LEVELS: usize = 7;
const TICK_MAX: u64 = (1 << (SLOT_BITS as u64 * LEVELS as u64)) - 1;
const NONE: u32 = u32::MAX;
/// The list of timers that are due and wait to be popped.
const DUE: usize = LEVELS * SLOTS;

/// An armed timer. It must not be used after the timer fired or was disarmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

struct Node<T> {
    value: T,
    tick: u64,
    list: u32,
    previous: u32,
    next: u32,
    generation: u32,
}

/// See the module.
pub struct TimerWheel<T> {
    nodes: Vec<Node<T>>,
    free: u32,
    heads: [u32; DUE + 1],
    occupied: [u64; LEVELS],
    /// Everything up to this tick has been moved to the due list.
    tick: u64,
}

impl<T: Copy> TimerWheel<T> {
    /// An empty wheel that begins at `now`.
    pub fn new(now: Instant) -> Self {
        Self::with_capacity(now, 0)
    }

    /// As [`TimerWheel::new`], with room for so many timers: a table that grows is copied.
    pub fn with_capacity(now: Instant, timers: usize) -> Self {
        Self {
            nodes: Vec::with_capacity(timers),
            free: NONE,
            heads: [NONE; DUE + 1],
            occupied: [0; LEVELS],
            tick: now.as_millis(),
        }
    }

    /// Lets `value` be popped once `deadline` has passed.
    pub fn arm(&mut self, deadline: Instant, value: T) -> TimerId {
        let index = match self.free {
            NONE => {
                let node =
                    Node { value, tick: 0, list: 0, previous: NONE, next: NONE, generation: 0 };
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
            index => {
                self.free = self.nodes[index as usize].next;
                self.nodes[index as usize].value = value;
                index
            }
        };
        self.place(index, tick_after(deadline));
        TimerId { index, generation: self.nodes[index as usize].generation }
    }

    /// Moves a timer to another deadline.
    pub fn rearm(&mut self, timer: TimerId, deadline: Instant) {
        self.check(timer);
        self.unlink(timer.index);
        self.place(timer.index, tick_after(deadline));
    }

    /// Takes a timer back.
    pub fn disarm(&mut self, timer: TimerId) {
        self.check(timer);
        self.unlink(timer.index);
        self.recycle(timer.index);
    }

    /// When to look at the wheel again: never later than the next timer, perhaps earlier. None
    /// without a timer.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.heads[DUE] != NONE {
            return Some(instant_of(self.tick));
        }
        // The first occupied slot of the lowest occupied level comes before any of a higher one.
        (0..LEVELS).find_map(|level| {
            let shift = SLOT_BITS * level as u32;
            let at = (self.tick >> shift) as usize % SLOTS;
            let distance = self.occupied[level].rotate_right(at as u32).trailing_zeros();
            (self.occupied[level] != 0)
                .then(|| instant_of(((self.tick >> shift) + u64::from(distance)) << shift))
        })
    }

    /// The next timer that is due at `now`; it is not armed any more. `now` must not go back.
    pub fn pop_expired(&mut self, now: Instant) -> Option<(TimerId, T)> {
        if self.heads[DUE] == NONE {
            self.advance(now.as_millis());
        }
        let index = self.heads[DUE];
        if index == NONE {
            return None;
        }
        let Node { value, generation, .. } = self.nodes[index as usize];
        self.unlink(index);
        self.recycle(index);
        Some((TimerId { index, generation }, value))
    }

    /// Moves what is due at `tick` to the due list.
    fn advance(&mut self, tick: u64) {
        while self.tick < tick {
            // Jump over stretches in which nothing can happen.
            let next = self.next_deadline().map_or(tick, |next| next.as_millis());
            self.tick = next.clamp(self.tick + 1, tick);
            self.cascade();
            if self.heads[DUE] != NONE {
                return;
            }
        }
    }

    /// At a new tick: slots of higher levels that begin here are spread over lower ones.
    fn cascade(&mut self) {
        for level in (0..LEVELS).rev() {
            let shift = SLOT_BITS * level as u32;
            if self.tick & ((1 << shift) - 1) != 0 {
                continue;
            }
            let slot = level * SLOTS + (self.tick >> shift) as usize % SLOTS;
            while self.heads[slot] != NONE {
                let index = self.heads[slot];
                self.unlink(index);
                let tick = self.nodes[index as usize].tick;
                self.place(index, tick);
            }
        }
    }

    fn place(&mut self, index: u32, tick: u64) {
        let tick = tick.min(TICK_MAX);
        self.nodes[index as usize].tick = tick;
        if tick <= self.tick {
            return self.link(index, DUE);
        }
        // The highest bit in which the ticks differ says on which level they part.
        let level = ((63 - (tick ^ self.tick).leading_zeros()) / SLOT_BITS) as usize;
        let slot = (tick >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        self.occupied[level] |= 1 << slot;
        self.link(index, level * SLOTS + slot);
    }

    fn link(&mut self, index: u32, list: usize) {
        let head = std::mem::replace(&mut self.heads[list], index);
        if head != NONE {
            self.nodes[head as usize].previous = index;
        }
        let node = &mut self.nodes[index as usize];
        (node.list, node.previous, node.next) = (list as u32, NONE, head);
    }

    fn unlink(&mut self, index: u32) {
        let Node { list, previous, next, .. } = self.nodes[index as usize];
        match previous {
            NONE => self.heads[list as usize] = next,
            previous => self.nodes[previous as usize].next = next,
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        let list = list as usize;
        if list < DUE && self.heads[list] == NONE {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
        }
    }

    fn recycle(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        node.generation = node.generation.wrapping_add(1);
        node.next = self.free;
        self.free = index;
    }

    fn check(&self, timer: TimerId) {
        let generation = self.nodes[timer.index as usize].generation;
        assert_eq!(generation, timer.generation, "a timer was used after it had fired");
    }
}

/// The first tick that begins at or after a deadline.
fn tick_after(deadline: Instant) -> u64 {
    deadline.as_nanos().div_ceil(1_000_000)
}

fn instant_of(tick: u64) -> Instant {
    Instant::from_nanos(tick.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;
    use std::collections::BTreeMap;

    #[test]
    fn agrees_with_a_sorted_map_over_many_random_lives() {
        for seed in 0..60 {
            let mut prng = Prng::new(seed);
            let mut now = Instant::from_nanos(prng.next_u64() >> 20);
            let mut wheel = TimerWheel::new(now);
            let mut oracle: BTreeMap<u32, (Instant, TimerId)> = BTreeMap::new();
            for value in 0..2_000u32 {
                let spans = [1, 60, 5_000, 400_000, 90_000_000];
                let longest = spans[prng.below(5) as usize];
                let span = prng.below(longest);
                let deadline = now + std::time::Duration::from_millis(u64::from(span));
                let chosen = oracle.keys().nth(prng.below(8) as usize).copied();
                match (prng.below(4), chosen) {
                    (0, Some(old)) => {
                        let (_, timer) = oracle.remove(&old).expect("chosen");
                        wheel.disarm(timer);
                    }
                    (1, Some(old)) => {
                        let entry = oracle.get_mut(&old).expect("chosen");
                        entry.0 = deadline;
                        wheel.rearm(entry.1, deadline);
                    }
                    _ => {
                        let timer = wheel.arm(deadline, value);
                        oracle.insert(value, (deadline, timer));
                    }
                }
                let first = oracle.values().map(|(deadline, _)| *deadline).min();
                match (wheel.next_deadline(), first) {
                    (None, None) => {}
                    (Some(wake), Some(first)) => {
                        let first = first.max(now).as_millis() + 1;
                        assert!(wake.as_millis() <= first, "seed {seed}: would sleep too long");
                    }
                    other => panic!("seed {seed}: {other:?}"),
                }
                let farthest = [2, 100, 100_000][prng.below(3) as usize];
                let jump = prng.below(farthest);
                now = now + std::time::Duration::from_millis(u64::from(jump));
                while let Some((_, value)) = wheel.pop_expired(now) {
                    let (deadline, _) = oracle.remove(&value).expect("armed, and popped once");
                    assert!(deadline <= now, "seed {seed}: early");
                }
                let late = oracle.values().filter(|(d, _)| d.as_millis() + 1 < now.as_millis());
                assert_eq!(late.count(), 0, "seed {seed}: late");
            }
        }
    }

    #[test]
    fn never_is_never() {
        let mut wheel = TimerWheel::new(Instant::default());
        let timer = wheel.arm(Instant::from_nanos(u64::MAX), ());
        assert!(wheel.pop_expired(Instant::from_nanos(1 << 60)).is_none());
        wheel.disarm(timer);
        assert_eq!(wheel.next_deadline(), None);
    }
}
