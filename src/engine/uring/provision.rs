//! How many buffers of the receive ring the kernel has: few, as it takes them in turn, so that all
//! it has are touched sooner or later, and few are kinder to caches and to memory. Twice as many
//! when it finds none, half as many when it needs less than half of them. Pure.

/// Buffers that the kernel has at first, and at least.
const PROVIDED_AT_FIRST: usize = 64;
/// Buffers that are taken back from the kernel in a turn. More than half of those that it has are
/// spare then, and it has twice as many as it may have: it does not run short.
const TAKEN_BACK_PER_TURN_MAX: usize = PROVIDED_AT_FIRST;

/// See the module.
#[derive(Debug)]
pub(super) struct Provision {
    /// Buffers that there are, that the kernel has, and that it may have.
    count: usize,
    provided: usize,
    wanted: usize,
    /// What it had when the turn began, and what it has used of that as far as is known.
    at_turn: usize,
    used_in_turn: usize,
    /// Most that it needed in a turn since the last look.
    needed_most: usize,
    /// It has found none in this turn.
    has_grown: bool,
    /// Buffers that it had when it was given too many, and has not given back yet.
    to_take_back: usize,
}

impl Provision {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            provided: 0,
            wanted: PROVIDED_AT_FIRST.min(count),
            at_turn: 0,
            used_in_turn: 0,
            needed_most: 0,
            has_grown: false,
            to_take_back: 0,
        }
    }

    /// Buffers that the kernel has.
    #[cfg(test)]
    pub(super) fn provided(&self) -> usize {
        self.provided
    }

    /// It may have another one.
    pub(super) fn is_short(&self) -> bool {
        self.provided < self.wanted
    }

    pub(super) fn note_provided(&mut self) {
        self.provided += 1;
    }

    /// The kernel has put data into one.
    pub(super) fn note_used(&mut self) {
        self.provided -= 1;
        self.used_in_turn += 1;
    }

    /// The kernel has given one back that it had no data for.
    pub(super) fn note_taken_back(&mut self) {
        self.provided -= 1;
    }

    /// It has given nothing back when it was asked to.
    pub(super) fn note_refusal(&mut self) {
        self.to_take_back = 0;
    }

    /// Everything that the kernel used before is known.
    pub(super) fn begin_turn(&mut self) {
        let missing = self.wanted.saturating_sub(self.at_turn);
        self.needed_most = self.needed_most.max(self.used_in_turn + missing);
        (self.at_turn, self.used_in_turn, self.has_grown) = (self.provided, 0, false);
    }

    /// The kernel found none. All receives that found none in one turn count as one.
    pub(super) fn grow(&mut self) {
        if !std::mem::replace(&mut self.has_grown, true) {
            self.wanted = (self.wanted * 2).min(self.count);
            self.needed_most = self.wanted;
            self.to_take_back = 0;
        }
    }

    /// Halves what it may have if it needed less than half of it since the last look.
    pub(super) fn look(&mut self) {
        let needed = std::mem::take(&mut self.needed_most);
        if self.wanted > PROVIDED_AT_FIRST && needed * 2 < self.wanted {
            self.wanted /= 2;
            // All of them: those that it keeps are to have low numbers.
            self.to_take_back = self.provided;
        }
    }

    /// Buffers to ask the kernel for in this turn.
    pub(super) fn take_back(&mut self) -> usize {
        let count = self.to_take_back.min(TAKEN_BACK_PER_TURN_MAX);
        self.to_take_back -= count;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(provision: &mut Provision) {
        while provision.is_short() {
            provision.note_provided();
        }
    }

    /// A turn in which the kernel uses so many, all of which it gets again.
    fn turn(provision: &mut Provision, used: usize) {
        provision.begin_turn();
        (0..used).for_each(|_| provision.note_used());
        fill(provision);
    }

    fn grown(count: usize) -> Provision {
        let mut provision = Provision::new(count);
        fill(&mut provision);
        for _ in 0..10 {
            provision.begin_turn();
            (0..3).for_each(|_| provision.grow());
            fill(&mut provision);
        }
        provision
    }

    #[test]
    fn it_doubles_once_in_a_turn_up_to_all() {
        let mut provision = Provision::new(512);
        for expected in [128, 256, 512, 512] {
            provision.begin_turn();
            (0..100).for_each(|_| provision.grow());
            assert_eq!(provision.wanted, expected);
        }
        assert_eq!(Provision::new(16).wanted, 16);
    }

    #[test]
    fn it_halves_at_each_look_while_less_than_half_was_needed() {
        for (used, wanted) in [
            (0, [1024, 512, 256, 128, 64, 64]),
            (63, [1024, 512, 256, 128, 64, 64]),
            (64, [1024, 512, 256, 128, 128, 128]),
            (200, [1024, 512, 256, 256, 256, 256]),
            (511, [1024, 512, 512, 512, 512, 512]),
            (512, [1024; 6]),
        ] {
            let mut provision = grown(1024);
            for expected in wanted {
                [0, used, 0].iter().for_each(|used| turn(&mut provision, *used));
                provision.begin_turn();
                provision.look();
                assert_eq!(provision.wanted, expected, "{used} in use");
            }
        }
    }

    #[test]
    fn buffers_that_are_held_for_long_count_as_needed() {
        let mut provision = grown(256);
        provision.look();
        provision.begin_turn();
        (0..200).for_each(|_| provision.note_used());
        for _ in 0..3 {
            provision.begin_turn();
            provision.look();
            assert_eq!(provision.wanted, 256);
        }
    }

    #[test]
    fn the_kernel_gives_all_back_once_a_part_in_each_turn_unless_it_runs_short() {
        let mut provision = grown(512);
        provision.look();
        provision.begin_turn();
        provision.look();
        assert_eq!(provision.wanted, 256);
        let mut asked = Vec::new();
        for _ in 0..10 {
            let count = provision.take_back();
            (0..count).for_each(|_| provision.note_taken_back());
            fill(&mut provision);
            asked.push(count);
        }
        assert_eq!(asked, [64, 64, 64, 64, 64, 64, 64, 64, 0, 0]);
        assert_eq!(provision.provided(), 256);
        provision.begin_turn();
        provision.look();
        assert!(provision.take_back() > 0);
        provision.grow();
        assert_eq!(provision.take_back(), 0);
    }
}
