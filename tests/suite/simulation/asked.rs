//! A request of a client of the simulation on a stream of HTTP/2, and what has come of its answer.

use super::client::{Tally, check_answer};
use super::message::Request;
use super::multiplexer::Streams;
use ringway::base::{Instant, Prng};
use ringway::head::{Field, Peer, RequestHead, Rules, TrailerRules, UnderscoreNames};
use ringway::http1::{FieldStorage, Verdict};
use ringway::http2::{ErrorCode, RequestForm, RequestTo, StreamId, Trailers};
use std::time::Duration;

/// How long a client waits for a 100 before it sends its body all the same.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the client still does with its direction of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    AwaitsContinue(Instant),
    Sending,
    /// Trailers follow what is queued.
    BeforeTrailers,
    /// Not from this byte on: it has stopped.
    StopsAt(usize),
    Ended,
}

/// One request.
#[derive(Debug)]
pub struct Asked {
    pub request: Request,
    pub stream: StreamId,
    upload: Upload,
    queued: usize,
    sent: usize,
    status: Option<u16>,
    got: Vec<u8>,
    /// Bytes of the answer whose credit was not given back.
    pub held: u32,
    is_answered: bool,
    /// The client cuts it once it has this many bytes of the answer.
    cuts_at: Option<usize>,
}

impl Asked {
    /// Opens a stream with a request; none if there is no room for one.
    pub fn open(
        request: Request,
        connection: &mut Streams,
        scheme: &'static str,
        now: Instant,
        prng: &mut Prng,
    ) -> Option<Self> {
        let text = request.head();
        let mut storage = FieldStorage::new();
        let parsed = RequestHead::parse(&text, &mut storage, &Rules::default());
        let Verdict::Complete(head) = parsed else { panic!("a head that a client wrote") };
        let to = RequestTo {
            scheme,
            form: RequestForm::Kept { forward_upgrade: false, accepts_trailers: false },
        };
        let has_body = !request.up().is_empty() || request.is_chunked;
        // A body without a byte is an empty frame at times.
        let ends_with_head = !(has_body || request.method == "POST" && prng.one_in(2));
        let stream = connection.send_request(&head, &to, ends_with_head)?;
        let upload = match request.expects_continue {
            _ if ends_with_head => Upload::Ended,
            true => Upload::AwaitsContinue(now + PATIENCE),
            false => Upload::Sending,
        };
        Some(Self {
            request,
            stream,
            upload,
            queued: 0,
            sent: 0,
            status: None,
            got: Vec::new(),
            held: 0,
            is_answered: false,
            cuts_at: None,
        })
    }

    /// Stops in the middle of its upload.
    pub fn stops(&mut self) {
        if self.upload != Upload::Ended {
            self.upload = Upload::StopsAt(self.request.up().len() / 2);
        }
    }

    /// Cuts its stream in the middle of the answer.
    pub fn cuts(&mut self, prng: &mut Prng) {
        self.cuts_at = Some(prng.below(1 + self.request.answer as u32) as usize);
    }

    /// When it goes on by itself.
    pub fn wake(&self) -> Option<Instant> {
        match self.upload {
            Upload::AwaitsContinue(until) => Some(until),
            _ => None,
        }
    }

    /// Queues a part of its body. True if it has more to send.
    pub fn say(&mut self, connection: &mut Streams, now: Instant, prng: &mut Prng) -> bool {
        let end = match self.upload {
            Upload::AwaitsContinue(until) if until > now => return false,
            Upload::AwaitsContinue(_) => {
                self.upload = Upload::Sending;
                return true;
            }
            Upload::Ended => return false,
            Upload::BeforeTrailers => return self.send_trailers(connection),
            Upload::StopsAt(end) => end,
            Upload::Sending => self.request.up().len(),
        };
        let length = (end - self.queued).min(prng.below(20_000) as usize);
        if length > 0 {
            connection.queue(self.stream, length as u64);
            self.queued += length;
        }
        if self.queued == end && self.upload == Upload::Sending {
            if self.request.is_chunked && prng.one_in(3) {
                self.upload = Upload::BeforeTrailers;
            } else {
                connection.end(self.stream);
                self.upload = Upload::Ended;
            }
        }
        self.queued < end
    }

    fn send_trailers(&mut self, connection: &mut Streams) -> bool {
        let rules =
            TrailerRules { from: Peer::Client(UnderscoreNames::Drop), named_by_connection: None };
        let fields = [Field { name: "x-sum", value: b"1" }];
        let trailers = Trailers::of_fields(&fields, &rules).expect("allowed");
        if connection.send_trailers(self.stream, &trailers) {
            self.upload = Upload::Ended;
        }
        false
    }

    /// The next bytes of the body.
    pub fn take(&mut self, bytes: usize) -> &'static [u8] {
        let start = self.sent;
        self.sent += bytes;
        &self.request.up()[start..self.sent]
    }

    // --- the answer ---

    /// A head has come.
    pub fn note_head(&mut self, status: u16, tally: &mut Tally) {
        assert!(self.status.is_none(), "a head behind the final one");
        match status {
            100 => {
                tally.continued += u32::from(self.request.expects_continue);
                self.go_on();
            }
            103 => {}
            101..200 => panic!("an interim answer that no backend gives: {status}"),
            _ => {
                self.status = Some(status);
                self.go_on();
            }
        }
    }

    fn go_on(&mut self) {
        if matches!(self.upload, Upload::AwaitsContinue(_)) {
            self.upload = Upload::Sending;
        }
    }

    /// Bytes of the answer have come.
    pub fn note_data(&mut self, bytes: &[u8]) {
        assert!(self.status.is_some(), "DATA before a head");
        self.got.extend_from_slice(bytes);
        self.held += bytes.len() as u32;
    }

    /// The answer is complete.
    pub fn complete(&mut self, may_hang: bool, tally: &mut Tally) {
        let status = self.status.expect("an answer has a head");
        check_answer(&self.request, status, &self.got, may_hang, tally);
        self.is_answered = true;
    }

    /// True if the whole answer has come.
    pub fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// True if nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.is_answered && self.upload == Upload::Ended && self.sent == self.request.up().len()
    }

    /// True if the client wants no more of it.
    pub fn wants_cut(&self) -> bool {
        self.cuts_at.is_some_and(|at| self.status.is_some() && self.got.len() >= at)
    }

    /// True if it has a part of an answer.
    pub fn has_half(&self) -> bool {
        self.status.is_some() && !self.is_answered
    }

    /// The proxy has reset it. What came of it so far must be right.
    pub fn note_reset(&self, code: ErrorCode) {
        if self.is_answered {
            return assert_eq!(code, ErrorCode::NO_ERROR, "a reset behind an answer");
        }
        assert!(code != ErrorCode::NO_ERROR, "a success that is none: {:?}", self.request);
        if self.status == Some(200) {
            let down = self.request.down();
            let is_begun = self.got.len() <= down.len() && self.got == down[..self.got.len()];
            assert!(is_begun, "foreign bytes in the answer to {:?}", self.request);
        }
    }
}
