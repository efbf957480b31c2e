//! One end of a connection of bytes: it says what it has to say, piece by piece, hears what comes,
//! and ends its direction, or the connection, in one of the ways that there are.

use super::bytes::body;
use super::network::Network;
use ringway::base::{Instant, Prng};
use ringway::engine::Close;
use std::time::Duration;

/// Bytes in front of what an end says: whose it is.
pub const NAME_BYTES: usize = 8;

/// How an end comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its direction ends when all is said.
    WithLastByte,
    /// Its direction ends when all is said, and the other one has ended.
    AfterOther,
    /// It closes its socket when all is said, and takes nothing more.
    Leaves,
    /// It cuts the connection when all is said.
    Resets,
    /// Never.
    Hangs,
}

/// What an end is like.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub ending: Ending,
    /// Bytes that it hears before it says more than `greeting`.
    pub begins_behind: usize,
    pub greeting: usize,
    /// Most bytes that it says at once.
    pub piece_max: u32,
    /// It does not pause before it has said so many bytes.
    pub hurries_to: usize,
    /// It pauses once in so many pieces; 0: never.
    pub pauses_one_in: u32,
    pub pause: Duration,
    /// It reads once in so many steps; 0: always.
    pub reads_one_in: u32,
    /// It stops to read for good after so many bytes.
    pub reads_max: Option<usize>,
    /// It drops its connection so long after it was made, whatever it is doing.
    pub drops_after: Option<Duration>,
    /// It closes its socket then, and does not cut the connection.
    pub drops_by_close: bool,
}

/// What an end has seen of the end of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    Open,
    /// The other direction has ended behind what has come.
    End,
    Reset,
}

pub struct Talker {
    pub socket: i32,
    /// All that it has to say.
    pub bytes: Vec<u8>,
    pub said: usize,
    /// All that it has heard.
    pub heard: Vec<u8>,
    pub habits: Habits,
    pub has_ended: bool,
    /// It has closed its socket, and takes nothing more.
    pub has_left: bool,
    /// It has cut its connection, or its kernel has, since it was gone.
    pub has_reset: bool,
    pub sight: Sight,
    /// It does and sees nothing more.
    pub is_over: bool,
    /// When it last said or heard something, or ended its direction.
    pub moved: Instant,
    wake: Option<Instant>,
    drops_at: Option<Instant>,
}

/// The bytes of a name, as many as there may be of its body with it.
pub fn speech(name: u64, length: usize) -> Vec<u8> {
    let mut bytes = name.to_le_bytes().to_vec();
    bytes.extend_from_slice(body(name, length.saturating_sub(NAME_BYTES)));
    bytes.truncate(length);
    bytes
}

/// The name that a speech begins with, once that is there.
pub fn name_of(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|name| u64::from_le_bytes(*name))
}

impl Talker {
    pub fn new(socket: i32, bytes: Vec<u8>, habits: Habits, now: Instant) -> Self {
        Self {
            socket,
            bytes,
            said: 0,
            heard: Vec::new(),
            habits,
            has_ended: false,
            has_left: false,
            has_reset: false,
            sight: Sight::Open,
            is_over: false,
            moved: now,
            wake: None,
            drops_at: habits.drops_after.map(|span| now + span),
        }
    }

    /// When it goes on by itself.
    pub fn wake(&self) -> Option<Instant> {
        let wakes = [self.wake, self.drops_at].into_iter().flatten();
        wakes.min().filter(|_| !self.is_over)
    }

    /// True if it has said all, and heard the end of the other direction.
    pub fn is_satisfied(&self) -> bool {
        self.has_ended && self.said == self.bytes.len() && self.sight == Sight::End
    }

    /// Does a little. True if it has more to do.
    pub fn step(&mut self, network: &mut Network) -> bool {
        if self.is_over {
            return false;
        }
        if network.streams[&self.socket].actor_reset {
            self.has_reset = true;
        }
        if self.drops_at.take_if(|at| *at <= network.now).is_some() {
            match self.habits.drops_by_close {
                true => self.leave(network),
                false => self.reset(network),
            }
        }
        if self.has_reset {
            self.is_over = true;
            return true;
        }
        let is_busy = self.speak(network) | self.hear(network);
        self.look(network);
        let have_ended = self.has_ended && self.sight == Sight::End;
        self.is_over = have_ended || self.is_closed(network);
        is_busy || self.is_over
    }

    /// Cuts its connection.
    pub fn reset(&mut self, network: &mut Network) {
        network.streams.get_mut(&self.socket).expect("its own").actor_reset = true;
        self.has_reset = true;
    }

    /// Closes its socket: what comes from now on is answered with a reset.
    fn leave(&mut self, network: &mut Network) {
        if !self.has_ended {
            self.end(network);
        }
        self.has_left = true;
        network.resets_at_send.insert(self.socket);
    }

    fn end(&mut self, network: &mut Network) {
        network.streams.get_mut(&self.socket).expect("its own").actor_ended = true;
        self.has_ended = true;
        self.moved = network.now;
    }

    /// True if nothing that is said to it is lost because of it.
    pub fn hears_all(&self) -> bool {
        self.habits.reads_max.is_none() && !self.has_left && !self.has_reset
    }

    /// Its connection is closed, and it hears nothing more.
    fn is_closed(&self, network: &Network) -> bool {
        let stream = &network.streams[&self.socket];
        let is_deaf = self.habits.reads_max.is_some_and(|most| self.heard.len() >= most);
        stream.proxy_closed.is_some() && (stream.to_actor.is_empty() || is_deaf)
    }

    /// True if it could say more at once.
    fn speak(&mut self, network: &mut Network) -> bool {
        let waits = self.heard.len() < self.habits.begins_behind;
        if self.has_ended || waits && self.said >= self.habits.greeting {
            return false;
        }
        if self.wake.is_some_and(|wake| wake > network.now) {
            return false;
        }
        self.wake = None;
        let left = self.bytes.len() - self.said;
        if left == 0 {
            return self.finish(network);
        }
        let left = if waits { self.habits.greeting - self.said } else { left };
        // Nobody takes forever.
        let most = self.habits.piece_max.max(self.bytes.len() as u32 / 100);
        let length = left.min(1 + network.prng.below(most) as usize);
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        stream.to_proxy.push(&self.bytes[self.said..self.said + length]);
        self.said += length;
        self.moved = network.now;
        if self.said >= self.habits.hurries_to && network.prng.one_in(self.habits.pauses_one_in) {
            let most = self.habits.pause.as_micros() as u32;
            let span = Duration::from_micros(u64::from(1 + network.prng.below(most)));
            self.wake = Some(network.now + span);
            return false;
        }
        true
    }

    /// All is said. True if it does something about it now.
    fn finish(&mut self, network: &mut Network) -> bool {
        match self.habits.ending {
            Ending::Hangs => return false,
            Ending::AfterOther if self.sight == Sight::Open => return false,
            Ending::Resets => self.reset(network),
            Ending::Leaves => self.leave(network),
            Ending::WithLastByte | Ending::AfterOther => self.end(network),
        }
        true
    }

    /// True if more has come than it takes now.
    fn hear(&mut self, network: &mut Network) -> bool {
        let reads = self.habits.reads_one_in == 0 || network.prng.one_in(self.habits.reads_one_in);
        let now = network.now;
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        let most = self.habits.reads_max.unwrap_or(usize::MAX).saturating_sub(self.heard.len());
        let length = stream.to_actor.len().min(most);
        if reads && length > 0 {
            self.heard.extend_from_slice(&stream.to_actor.front()[..length]);
            stream.to_actor.skip(length);
            self.moved = now;
        }
        length > 0
    }

    /// Looks whether the other direction has ended.
    fn look(&mut self, network: &Network) {
        let stream = &network.streams[&self.socket];
        if self.sight != Sight::Open || !stream.to_actor.is_empty() {
            return;
        }
        self.sight = match stream.proxy_closed {
            _ if stream.was_lost => Sight::Reset,
            _ if stream.proxy_ended => Sight::End,
            Some(Close::Graceful) if !stream.was_unread => Sight::End,
            Some(_) => Sight::Reset,
            None => Sight::Open,
        };
    }
}

/// The habits of an end that loses nothing, and of one that may. `may_fail`: it may lose something.
pub fn draw_habits(may_fail: bool, ending: Ending, prng: &mut Prng) -> Habits {
    let mut pick = |choices: [u32; 4]| choices[prng.below(4) as usize];
    let fault = |one: u32| if may_fail { one } else { 0 };
    let ending = match fault(pick([0, 0, 0, 1])) * pick([1, 2, 3, 4]) {
        1 => Ending::Leaves,
        2 => Ending::Resets,
        3 => Ending::Hangs,
        _ => ending,
    };
    let drops = [None, Some(300), Some(20_000), Some(8_000_000)];
    let drops = drops[(pick([0, 1, 0, 1]) * pick([0, 1, 2, 3])) as usize].filter(|_| may_fail);
    let reads_max = match fault(pick([0, 0, 0, 1])) {
        1 => Some(pick([0, 1, 100, 20_000]) as usize),
        _ => None,
    };
    Habits {
        ending,
        begins_behind: 0,
        greeting: 0,
        hurries_to: 0,
        piece_max: pick([1, 50, 2_000, 20_000]),
        pauses_one_in: pick([0, 0, 2, 10]),
        pause: Duration::from_millis(pick([1, 10, 200, 1_000]).into()),
        reads_one_in: pick([0, 0, 3, 20]),
        reads_max,
        drops_by_close: pick([0, 1, 0, 1]) == 1,
        drops_after: drops.map(|most| Duration::from_micros(prng.below(most).into())),
    }
}
