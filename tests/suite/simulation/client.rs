//! A client of the simulation: says what its script has, checks every byte that it gets.

use super::bytes::Pipe;
use super::message::{Dialect, Head, Manner, Mode, Request, whole_body};
use super::network::Network;
use super::veil::Veil;
use ringway::base::{Instant, Prng};
use ringway::engine::Close;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a client waits for a 100 before it sends its body all the same.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a client's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Running,
    /// All that it expected has come.
    Satisfied,
    /// Its connection was closed before.
    Cut,
    /// It went away by itself.
    Aborted,
}

/// Line ends that some clients send between requests.
const STRAY: [&[u8]; 4] = [b"\r\n", b"\n", b"\r\n\r\n", b"\n\n"];

/// What a client may send behind its last request and not go on with.
const BEHIND: [&[u8]; 6] =
    [b"\r\n", b"\r", b"\n\r\n", b"GE", b"\r\nGET /steady/", b"GET / HTTP/1.1\r\nHost: test\r\n"];

enum Step {
    Send(Vec<u8>, usize),
    /// Until a request is to go on with its body, or is answered.
    AwaitContinue(u32),
    /// Until so many answers have come.
    AwaitAnswers(u32),
    /// Until the whole other way of the tunnel has come.
    AwaitTunnel,
    Pause(Duration),
    EndWrite,
    /// Says no more.
    Hang,
}

/// What a client is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// Cuts its connection once in so many steps; 0: never.
    pub aborts_one_in: u32,
    /// Reads once in so many steps; 0: always.
    pub reads_one_in: u32,
    /// Stops to read for good after so many bytes.
    pub reads_max: Option<usize>,
    /// Stops in the middle of a request once in so many; 0: never.
    pub hangs_one_in: u32,
    /// A byte that it sends over TLS changes on its way, once in so many clients; 0: never.
    pub garbles_one_in: u32,
    /// Waits longer than idle clients may, once in so many requests; 0: never.
    pub oversleeps_one_in: u32,
    /// Breaks a rule of HTTP/2 in the place of a request, once in so many; 0: never.
    pub breaks_one_in: u32,
}

/// What a client lived through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub answered: u32,
    pub errors: u32,
    pub continued: u32,
    pub tunnels: u32,
    pub old_dialect: u32,
    /// Of HTTP/2: one for each client, streams cut by the proxy and by the client, answers with
    /// trailers, most streams at a time.
    pub multiplexers: u32,
    pub cut: u32,
    pub cancelled: u32,
    pub trailers: u32,
    pub most_at_once: u32,
    /// It was told by GOAWAY to ask elsewhere.
    pub told: bool,
}

pub struct Client {
    pub socket: i32,
    pub outcome: Outcome,
    pub tally: Tally,
    pub manner: Manner,
    pub received: Pipe,
    veil: Option<Veil>,
    habits: Habits,
    script: VecDeque<Step>,
    expected: VecDeque<Request>,
    is_tunnelling: bool,
    /// It does not wait for the answer before it uses its tunnel.
    is_eager: bool,
    may_continue: bool,
    wake: Option<Instant>,
    read: usize,
    tunnelled: usize,
    done: u32,
}

impl Client {
    pub fn new(socket: i32, manner: Manner, habits: Habits, prng: &mut Prng) -> Self {
        let most = if manner.dialect == Dialect::Http10 { 1 } else { 1 + prng.below(5) };
        let mut requests = Vec::new();
        for number in 0..most {
            requests.push(Request::draw(manner, number, prng));
            if requests.last().is_some_and(Request::is_tunnel) {
                break;
            }
        }
        let script = script(&requests, habits, manner, prng);
        let garbles = habits.garbles_one_in > 0 && prng.one_in(habits.garbles_one_in);
        let is_eager = requests.last().is_some_and(Request::is_tunnel)
            && matches!(script.back(), Some(Step::EndWrite));
        Self {
            socket,
            outcome: Outcome::Running,
            tally: Tally::default(),
            manner,
            received: Pipe::default(),
            veil: manner.is_at_side.then(|| Veil::speaking(garbles, b"http/1.1")),
            habits,
            script,
            expected: requests.into(),
            is_tunnelling: false,
            is_eager,
            may_continue: false,
            wake: None,
            read: 0,
            tunnelled: 0,
            done: 0,
        }
    }

    /// What it waits for.
    pub fn picture(&self) -> String {
        let Self { outcome, received, done, habits, .. } = self;
        let (left, next) = (self.script.len(), self.expected.front());
        format!(
            "{outcome:?}, {done} answers, {left} steps left, {} bytes got, next {next:?}, \
             {habits:?}",
            received.len()
        )
    }

    /// When it goes on by itself.
    pub fn wake(&self) -> Option<Instant> {
        self.wake.filter(|_| self.outcome == Outcome::Running)
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
        let is_busy = self.speak(network) | self.read(network);
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        let closed = stream.proxy_closed;
        let is_deaf = self.habits.reads_max.is_some_and(|most| self.read >= most);
        let veil = self.veil.as_ref();
        let has_all = stream.to_actor.is_empty() && veil.is_none_or(|veil| veil.heard.is_empty());
        if veil.is_some_and(|veil| veil.is_broken) && (closed.is_some() || stream.proxy_ended) {
            stream.actor_ended = true;
            self.outcome = Outcome::Aborted;
            return true;
        }
        let is_silenced = veil.is_some_and(|veil| !veil.has_ended && !veil.is_handshaking());
        assert!(
            !(stream.proxy_ended && has_all && is_silenced && closed != Some(Close::Reset)),
            "the end of the stream came before that of the session"
        );
        let has_ended = (closed.is_some() || stream.proxy_ended) && has_all;
        let is_graceful = closed.is_none_or(|how| how == Close::Graceful) || stream.proxy_ended;
        if !self.is_tunnelling {
            while self.take_answer(has_ended && is_graceful) {}
        }
        if self.is_tunnelling {
            self.read_tunnel(has_ended);
        }
        let is_cut = if self.is_tunnelling { closed.is_some() && has_all } else { has_ended };
        if self.expected.is_empty() {
            self.outcome = Outcome::Satisfied;
        } else if is_cut || (is_deaf && closed.is_some()) {
            self.outcome = Outcome::Cut;
        }
        if self.outcome != Outcome::Running {
            network.streams.get_mut(&self.socket).expect("its own").actor_ended = true;
            return true;
        }
        is_busy
    }

    /// Goes on with its script. True if it could say more at once.
    fn speak(&mut self, network: &mut Network) -> bool {
        let now = network.now;
        let length = network.prng.below(6_000) as usize;
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        let is_over = match self.script.front_mut() {
            None | Some(Step::Hang) => return false,
            Some(Step::Send(bytes, at)) => {
                let end = bytes.len().min(*at + length);
                match &mut self.veil {
                    Some(veil) => veil.say(&bytes[*at..end], stream),
                    None => stream.to_proxy.push(&bytes[*at..end]),
                }
                *at = end;
                end == bytes.len()
            }
            Some(Step::AwaitContinue(number)) => {
                let until = *self.wake.get_or_insert(now + PATIENCE);
                self.may_continue || self.done > *number || until <= now
            }
            Some(Step::AwaitAnswers(count)) => self.done >= *count,
            Some(Step::AwaitTunnel) => {
                self.expected.front().is_none_or(|request| self.tunnelled >= request.answer)
            }
            Some(Step::Pause(span)) => *self.wake.get_or_insert(now + *span) <= now,
            Some(Step::EndWrite) => {
                if let Some(veil) = &mut self.veil {
                    if veil.is_handshaking() {
                        return false;
                    }
                    veil.end(stream);
                }
                stream.actor_ended = true;
                true
            }
        };
        if is_over {
            self.script.pop_front();
            self.wake = None;
            self.may_continue = false;
        }
        is_over || matches!(self.script.front(), Some(Step::Send(..)))
    }

    /// Reads what has come, or a part. True if there is more.
    fn read(&mut self, network: &mut Network) -> bool {
        let reads = self.habits.reads_one_in == 0 || network.prng.one_in(self.habits.reads_one_in);
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        let most = self.habits.reads_max.unwrap_or(usize::MAX).saturating_sub(self.read);
        let Some(veil) = &mut self.veil else {
            let available = stream.to_actor.len().min(most);
            if reads {
                self.read += stream.to_actor.move_to(&mut self.received, most);
            }
            return available > 0;
        };
        if reads || veil.is_handshaking() {
            veil.hear(if most == 0 { 0 } else { usize::MAX }, stream);
            self.read += veil.heard.move_to(&mut self.received, most);
        }
        most > 0 && (!stream.to_actor.is_empty() || !veil.heard.is_empty())
    }

    /// Takes one answer off what was received, if it is whole.
    fn take_answer(&mut self, has_ended: bool) -> bool {
        let Some(request) = self.expected.front().copied() else { return false };
        let bytes = self.received.front();
        let Some(head) = Head::read(bytes) else { return false };
        if head.status() < 200 {
            let length = head.length;
            self.received.skip(length);
            return self.take_interim(&request, &head);
        }
        let framing = head.response_framing(request.method);
        let rest = &bytes[head.length..];
        let Some((body, length)) = whole_body(rest, framing, has_ended) else { return false };
        let is_old = request.dialect.is_old();
        assert!(!(is_old && head.is_chunked), "chunks to HTTP/1.0: {request:?}");
        let may_hang = self.habits.hangs_one_in > 0;
        check_answer(&request, head.status(), &body, may_hang, &mut self.tally);
        self.received.skip(head.length + length);
        self.expected.pop_front();
        self.done += 1;
        let keeps = head.keeps || (request.dialect == Dialect::Http11 && !head.closes);
        // Behind a tunnel that was not opened there is nothing left to say.
        if !keeps || request.is_tunnel() {
            self.expected.clear();
        } else if self.expected.is_empty() {
            assert!(self.received.is_empty(), "bytes that nobody asked for");
        }
        true
    }

    fn take_interim(&mut self, request: &Request, head: &Head) -> bool {
        assert!(request.dialect == Dialect::Http11, "{} to HTTP/1.0", head.start);
        match head.status() {
            100 => {
                self.may_continue = true;
                self.tally.continued += u32::from(request.expects_continue);
            }
            101 => {
                assert!(request.is_tunnel(), "a tunnel that nobody opened: {request:?}");
                self.is_tunnelling = true;
                if self.habits.hangs_one_in > 0 {
                    self.script.push_back(Step::Hang);
                } else if !self.is_eager {
                    self.script.push_back(Step::Send(request.up().to_vec(), 0));
                    if request.number % 2 == 1 {
                        self.script.push_back(Step::AwaitTunnel);
                    }
                    self.script.push_back(Step::EndWrite);
                }
                return false;
            }
            status => assert_eq!(status, 103, "an interim answer that no backend gives"),
        }
        true
    }

    fn read_tunnel(&mut self, has_ended: bool) {
        let Some(request) = self.expected.front().copied() else { return };
        let got = self.received.front();
        self.tunnelled = got.len();
        let down = request.down();
        assert!(got.len() <= down.len(), "more than the other end of the tunnel sent");
        assert!(got == &down[..got.len()], "foreign bytes in the tunnel of {request:?}");
        if has_ended && got.len() == down.len() && self.script.is_empty() {
            self.tally.tunnels += 1;
            self.received.clear();
            self.expected.clear();
        }
    }
}

/// Checks an answer, and counts it. `may_hang`: the client may have left its request incomplete.
pub fn check_answer(request: &Request, status: u16, got: &[u8], may_hang: bool, tally: &mut Tally) {
    if status != 200 {
        let is_possible = match status {
            404 => request.area == super::message::Area::Passing,
            400 | 408 => may_hang,
            status => (502..=504).contains(&status),
        };
        assert!(is_possible, "status {status} for {request:?}");
        tally.errors += 1;
        return;
    }
    assert!(
        !matches!(request.mode, Mode::DiesBefore | Mode::Garbage | Mode::Silent),
        "an answer to {request:?} that its backend never gave"
    );
    let expected = if request.method == "HEAD" { &[] } else { request.down() };
    let same = got.iter().zip(expected).take_while(|(got, expected)| got == expected).count();
    assert!(
        got == expected,
        "foreign or missing bytes in the answer to {request:?}: of {} bytes instead of {} the \
         first {same} are right",
        got.len(),
        expected.len()
    );
    assert!(request.mode != Mode::DiesWithin || got.is_empty(), "{request:?} was cut short");
    tally.answered += 1;
    tally.old_dialect += u32::from(request.dialect.is_old());
}

/// All that a client is going to do.
fn script(requests: &[Request], habits: Habits, manner: Manner, prng: &mut Prng) -> VecDeque<Step> {
    let mut script = VecDeque::new();
    let is_pipelining = manner.dialect == Dialect::Http11 && prng.one_in(2);
    let is_sleepy = prng.one_in(4);
    for request in requests {
        if request.number > 0 && !is_pipelining {
            script.push_back(Step::AwaitAnswers(request.number));
            if prng.one_in(habits.oversleeps_one_in) {
                script.push_back(Step::Pause(Duration::from_secs(90)));
            } else if is_sleepy {
                // Some are polled in the meantime, and some are not.
                let span = [3, 20, 50][prng.below(3) as usize];
                script.push_back(Step::Pause(Duration::from_secs(span)));
            }
        }
        let hangs = prng.one_in(habits.hangs_one_in);
        let head = request.head();
        if hangs && prng.one_in(4) {
            script.push_back(Step::Send(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n".to_vec(), 0));
            script.push_back(Step::Hang);
            return script;
        }
        if hangs && prng.one_in(2) {
            script.push_back(Step::Send(head[..head.len() / 2].to_vec(), 0));
            script.push_back(Step::Hang);
            return script;
        }
        if request.number > 0 && prng.one_in(5) {
            script.push_back(Step::Send(STRAY[prng.below(4) as usize].to_vec(), 0));
        }
        script.push_back(Step::Send(head, 0));
        if request.expects_continue {
            script.push_back(Step::AwaitContinue(request.number));
        }
        let body = request.framed_body(prng);
        if hangs && !body.is_empty() {
            script.push_back(Step::Send(body[..body.len() / 2].to_vec(), 0));
            script.push_back(Step::Hang);
            return script;
        }
        if body.len() > 1 && prng.one_in(8) {
            // Early answers come in the middle of the upload.
            let (one, two) = body.split_at(body.len() / 2);
            let pause = Step::Pause(Duration::from_secs(3));
            script.extend([Step::Send(one.to_vec(), 0), pause, Step::Send(two.to_vec(), 0)]);
        } else if !body.is_empty() {
            script.push_back(Step::Send(body, 0));
        }
        let is_sure = !manner.has_faults && manner.area != super::message::Area::Passing;
        if request.is_tunnel() && is_sure && prng.one_in(3) {
            script.extend([Step::Send(request.up().to_vec(), 0), Step::EndWrite]);
            return script;
        }
    }
    if !requests.last().is_some_and(Request::is_tunnel) && prng.one_in(4) {
        // Whoever is not to keep its connection is not listened to behind its last request.
        if manner.dialect == Dialect::Http11 && prng.one_in(2) {
            script.push_back(Step::Send(BEHIND[prng.below(6) as usize].to_vec(), 0));
        }
        script.push_back(Step::EndWrite);
    }
    script
}
