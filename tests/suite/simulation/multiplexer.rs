//! A client of the simulation that speaks HTTP/2: several requests at once, each on a stream, by
//! the codec in a client's role.

use super::asked::Asked;
use super::bytes::Pipe;
use super::client::{Habits, Outcome, Tally};
use super::message::{Manner, Request};
use super::network::{Network, Stream};
use super::veil::Veil;
use ringway::base::{Instant, Prng};
use ringway::engine::Close;
use ringway::head::ResponseHead;
use ringway::http2::{Config, Connection, ErrorCode, Event, FieldRoom, Role, Section, StreamId};
use std::collections::VecDeque;
use std::time::Duration;

/// The codec.
pub type Streams = Connection;

/// Bytes that wait for the network, beyond which the client says no more.
const OUTGOING_MAX: usize = 40_000;

/// What is no frame of a client.
const FAULTS: [&[u8]; 5] = [
    // DATA of an idle stream.
    &[0, 0, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0],
    // A length beyond the limit.
    &[0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0],
    // SETTINGS of a stream.
    &[0, 0, 0, 4, 0, 0, 0, 0, 1],
    // A window that grows by nothing.
    &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    // PUSH_PROMISE.
    &[0, 0, 4, 5, 4, 0, 0, 0, 1, 0, 0, 0, 2],
];

const HALF_A_FRAME: &[u8] = &[0, 0, 5, 1];

/// What the client does besides asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    /// It opens no stream before then.
    Sleeps(Instant),
    /// It says no more.
    Hangs,
    /// It has broken a rule.
    Breaks,
}

pub struct Multiplexer {
    pub socket: i32,
    pub outcome: Outcome,
    pub tally: Tally,
    pub manner: Manner,
    veil: Option<Veil>,
    habits: Habits,
    heard: Pipe,
    outgoing: Pipe,
    connection: Streams,
    section: Section,
    waiting: VecDeque<Request>,
    open: Vec<Asked>,
    mood: Mood,
    read: usize,
    /// Streams that the proxy has reset in the middle, or not processed.
    cut: u32,
    /// Streams at a time.
    at_once: usize,
    /// It gives credit back once in so many steps.
    releases_one_in: u32,
    is_sleepy: bool,
    /// The request before which it was last to sleep, or not.
    considered: u32,
}

impl Multiplexer {
    pub fn new(socket: i32, manner: Manner, habits: Habits, prng: &mut Prng) -> Self {
        let garbles = habits.garbles_one_in > 0 && prng.one_in(habits.garbles_one_in);
        let config = Config {
            connection_window: [65_535, 1 << 20][prng.below(2) as usize],
            ..Config::default()
        };
        let count = 1 + prng.below(12);
        Self {
            socket,
            outcome: Outcome::Running,
            tally: Tally { multiplexers: 1, ..Tally::default() },
            manner,
            veil: manner.is_at_side.then(|| Veil::speaking(garbles, b"h2")),
            habits,
            heard: Pipe::default(),
            outgoing: Pipe::default(),
            connection: Connection::new(Role::Client, &config),
            section: Section::new(),
            waiting: (0..count).map(|number| Request::draw(manner, number, prng)).collect(),
            open: Vec::new(),
            mood: Mood::Well,
            read: 0,
            cut: 0,
            at_once: [1, 3, 100][prng.below(3) as usize],
            releases_one_in: [1, 1, 5][prng.below(3) as usize],
            is_sleepy: prng.one_in(4),
            considered: 0,
        }
    }

    /// What it waits for.
    pub fn picture(&self) -> String {
        let Self { outcome, mood, heard, open, waiting, cut, habits, .. } = self;
        format!(
            "{outcome:?}, {mood:?}, {} wait, {cut} cut, {} bytes got, open {open:?}, {habits:?}",
            waiting.len(),
            heard.len()
        )
    }

    /// When it goes on by itself.
    pub fn wake(&self) -> Option<Instant> {
        let sleeps = match self.mood {
            Mood::Sleeps(until) => Some(until),
            Mood::Well | Mood::Hangs | Mood::Breaks => None,
        };
        let wakes = self.open.iter().filter_map(Asked::wake).chain(sleeps);
        wakes.min().filter(|_| self.outcome == Outcome::Running)
    }

    /// True if it has a part of an answer.
    pub fn has_half(&self) -> bool {
        self.open.iter().any(Asked::has_half)
    }

    /// Does a little; panics on a byte that is not its own. True if it has more to do.
    pub fn step(&mut self, network: &mut Network) -> bool {
        if self.outcome != Outcome::Running {
            return false;
        }
        if network.prng.one_in(self.habits.aborts_one_in) {
            network.streams.get_mut(&self.socket).expect("its own").actor_reset = true;
            self.outcome = Outcome::Aborted;
            return true;
        }
        let is_busy = self.read(network) | self.speak(network) | self.send(network);
        self.look_at_the_end(network);
        if self.outcome != Outcome::Running {
            network.streams.get_mut(&self.socket).expect("its own").actor_ended = true;
            return true;
        }
        is_busy
    }

    fn look_at_the_end(&mut self, network: &mut Network) {
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        let closed = stream.proxy_closed;
        let has_all = stream.to_actor.is_empty() && self.heard.is_empty();
        let has_ended = closed.is_some() || stream.proxy_ended;
        let is_deaf = self.habits.reads_max.is_some_and(|most| self.read >= most);
        if let Some(veil) = &self.veil {
            if veil.is_broken && has_ended {
                self.outcome = Outcome::Aborted;
                return;
            }
            let is_silenced = !veil.has_ended && !veil.is_handshaking();
            assert!(
                !(stream.proxy_ended && has_all && is_silenced && closed != Some(Close::Reset)),
                "the end of the stream came before that of the session"
            );
        }
        if self.open.is_empty() && self.waiting.is_empty() && self.mood != Mood::Breaks {
            let is_well = self.cut == 0;
            self.outcome = if is_well { Outcome::Satisfied } else { Outcome::Cut };
        } else if has_ended && (has_all || is_deaf) {
            self.outcome = Outcome::Cut;
        }
    }

    // --- what it says ---

    /// Goes on with its requests. True if it could say more at once.
    fn speak(&mut self, network: &mut Network) -> bool {
        let (now, prng) = (network.now, &mut network.prng);
        if matches!(self.mood, Mood::Hangs | Mood::Breaks) {
            return false;
        }
        if self.outgoing.len() > OUTGOING_MAX {
            return true;
        }
        let mut is_busy = self.ask(now, prng);
        for asked in &mut self.open {
            is_busy |= asked.say(&mut self.connection, now, prng);
        }
        is_busy | self.release(prng)
    }

    /// Opens a stream, if it is time for one.
    fn ask(&mut self, now: Instant, prng: &mut Prng) -> bool {
        if let Mood::Sleeps(until) = self.mood {
            if until > now {
                return false;
            }
            self.mood = Mood::Well;
        }
        let is_full = self.open.len() >= self.at_once || self.connection.room() == 0;
        let Some(request) = self.waiting.front().copied().filter(|_| !is_full) else {
            return false;
        };
        if self.is_to_sleep(&request, now, prng) {
            return false;
        }
        if prng.one_in(self.habits.breaks_one_in) {
            return self.end_with(FAULTS[prng.below(5) as usize], Mood::Breaks);
        }
        if prng.one_in(4 * self.habits.hangs_one_in) {
            return self.end_with(HALF_A_FRAME, Mood::Hangs);
        }
        let scheme = if self.veil.is_some() { "https" } else { "http" };
        let asked = Asked::open(request, &mut self.connection, scheme, now, prng);
        let mut asked = asked.expect("there is room");
        if prng.one_in(self.habits.hangs_one_in) {
            asked.stops();
        } else if prng.one_in(12) {
            asked.cuts(prng);
        }
        self.waiting.pop_front();
        self.open.push(asked);
        self.tally.most_at_once = self.tally.most_at_once.max(self.open.len() as u32);
        true
    }

    /// Says this and no more.
    fn end_with(&mut self, bytes: &[u8], mood: Mood) -> bool {
        let output = self.connection.output();
        let length = output.len();
        self.outgoing.push(output);
        self.connection.advance_output(length);
        self.outgoing.push(bytes);
        self.mood = mood;
        true
    }

    /// Between two requests it sleeps at times, some longer than idle clients may.
    fn is_to_sleep(&mut self, request: &Request, now: Instant, prng: &mut Prng) -> bool {
        let has_slept = std::mem::replace(&mut self.considered, request.number) == request.number;
        if has_slept || !self.open.is_empty() {
            return false;
        }
        let seconds = match self.is_sleepy {
            _ if prng.one_in(self.habits.oversleeps_one_in) => 90,
            true => [3, 20, 50][prng.below(3) as usize],
            false => return false,
        };
        self.mood = Mood::Sleeps(now + Duration::from_secs(seconds));
        true
    }

    /// Gives credit back, at its own pace. True if it has more to give.
    fn release(&mut self, prng: &mut Prng) -> bool {
        let mut is_busy = false;
        for asked in self.open.iter_mut().filter(|asked| asked.held > 0) {
            if prng.one_in(self.releases_one_in) {
                let bytes = if prng.one_in(3) { asked.held } else { 1 + asked.held / 2 };
                self.connection.release(asked.stream, bytes);
                asked.held -= bytes;
            }
            is_busy |= asked.held > 0;
        }
        is_busy
    }

    /// Gives bytes to the network. True if it has more.
    fn send(&mut self, network: &mut Network) -> bool {
        self.frame();
        let length = network.prng.below(8_000) as usize;
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        let length = length.min(self.outgoing.len());
        let bytes = &self.outgoing.front()[..length];
        match &mut self.veil {
            Some(veil) => veil.say(bytes, stream),
            None => stream.to_proxy.push(bytes),
        }
        self.outgoing.skip(length);
        !self.outgoing.is_empty()
    }

    /// Writes what the windows allow.
    fn frame(&mut self) {
        if matches!(self.mood, Mood::Hangs | Mood::Breaks) {
            return;
        }
        while self.outgoing.len() < OUTGOING_MAX {
            let output = self.connection.output();
            let length = output.len();
            self.outgoing.push(output);
            self.connection.advance_output(length);
            let Some(frame) = self.connection.next_data(16_384) else { break };
            self.outgoing.push(&frame.header);
            let asked = self.open.iter_mut().find(|asked| asked.stream == frame.stream);
            let asked = asked.expect("one of its own");
            self.outgoing.push(asked.take(frame.bytes as usize));
        }
        self.leave();
    }

    /// Forgets the streams of which nothing is left.
    fn leave(&mut self) {
        let over = self.open.extract_if(.., |asked| asked.is_over());
        over.for_each(|asked| self.connection.finished(asked.stream));
    }

    // --- what it hears ---

    /// Reads what has come, or a part. True if there is more.
    fn read(&mut self, network: &mut Network) -> bool {
        let reads = self.habits.reads_one_in == 0 || network.prng.one_in(self.habits.reads_one_in);
        let now = network.now;
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        let most = self.habits.reads_max.unwrap_or(usize::MAX).saturating_sub(self.read);
        let is_left = self.take(reads, most, stream);
        if !self.heard.is_empty() {
            self.hear(now);
        }
        is_left
    }

    fn take(&mut self, reads: bool, most: usize, stream: &mut Stream) -> bool {
        let Some(veil) = &mut self.veil else {
            let available = stream.to_actor.len().min(most);
            if reads {
                self.read += stream.to_actor.move_to(&mut self.heard, most);
            }
            return available > 0;
        };
        if reads || veil.is_handshaking() {
            veil.hear(if most == 0 { 0 } else { usize::MAX }, stream);
            self.read += veil.heard.move_to(&mut self.heard, usize::MAX);
        }
        most > 0 && !stream.to_actor.is_empty()
    }

    fn hear(&mut self, now: Instant) {
        let bytes = self.heard.front().to_vec();
        self.heard.clear();
        let mut at = 0;
        loop {
            let received = self.connection.receive(&bytes[at..], &mut self.section, now);
            if let Some(event) = received.event {
                self.on_event(event, &bytes[at..]);
                at += received.consumed;
            } else {
                break;
            }
        }
    }

    fn on_event(&mut self, event: Event, bytes: &[u8]) {
        let may_hang = self.habits.hangs_one_in > 0;
        match event {
            Event::Response { stream, is_last } => {
                let mut room = FieldRoom::new();
                let head = ResponseHead::of_section(&self.section, &mut room).expect("a head");
                let status = head.status;
                let Some(at) = self.position(stream) else { return };
                self.open[at].note_head(status, &mut self.tally);
                if is_last {
                    self.open[at].complete(may_hang, &mut self.tally);
                }
                self.cut_if_unwanted(at);
            }
            Event::Data { stream, range, is_last } => {
                let Some(at) = self.position(stream) else { return };
                self.open[at].note_data(&bytes[range]);
                if is_last {
                    self.open[at].complete(may_hang, &mut self.tally);
                }
                self.cut_if_unwanted(at);
            }
            Event::Trailers { stream } => {
                self.tally.trailers += 1;
                let Some(at) = self.position(stream) else { return };
                self.open[at].complete(may_hang, &mut self.tally);
            }
            Event::Reset { stream, code, .. } => self.on_reset(stream, code),
            Event::GoAway { code } => {
                // One that hangs does not acknowledge settings either.
                let is_late = code == ErrorCode::SETTINGS_TIMEOUT && self.mood == Mood::Hangs;
                let is_fault = code != ErrorCode::NO_ERROR && !is_late;
                assert!(!is_fault || self.mood == Mood::Breaks, "GOAWAY {}", code.name());
                // What it would still ask for goes elsewhere.
                self.tally.told |= !self.waiting.is_empty();
                self.waiting.clear();
            }
            Event::Pong => {}
            Event::Broken { .. }
            | Event::Closed { .. }
            | Event::Rejected { .. }
            | Event::Refused { .. }
            | Event::Request { .. }
            | Event::Draining { .. } => {
                let shown = &bytes[..bytes.len().min(100)];
                panic!("the proxy has broken a rule: {event:?}, near {}", shown.escape_ascii())
            }
        }
    }

    fn position(&self, stream: StreamId) -> Option<usize> {
        self.open.iter().position(|asked| asked.stream == stream)
    }

    fn cut_if_unwanted(&mut self, at: usize) {
        if self.open[at].wants_cut() && !self.open[at].is_answered() {
            let asked = self.open.remove(at);
            self.connection.reset(asked.stream, ErrorCode::CANCEL);
            self.connection.finished(asked.stream);
            self.tally.cancelled += 1;
        }
    }

    fn on_reset(&mut self, stream: StreamId, code: ErrorCode) {
        let Some(at) = self.position(stream) else { return };
        let asked = self.open.remove(at);
        asked.note_reset(code);
        if !asked.is_answered() {
            self.cut += 1;
            self.tally.cut += 1;
        }
        self.connection.finished(stream);
    }
}
