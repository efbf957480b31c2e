//! Reads the response to a probe with the data plane's own parser: a response that the data plane
//! would refuse fails a probe too. Does not: read more of it than the decision needs.

use super::answer::Answer;
use super::failure::ProbeFailure;
use crate::head::{Refusal, ResponseBody, ResponseHead, ResponseTo, Rules};
use crate::http1::{ChunkedDecoder, FieldStorage, Progress, Verdict};
use crate::limits::INTERIMS_MAX;
use memchr::memmem::Finder;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room for a usual head and a short content; a longer one makes it grow.
const READ_BYTES: usize = 2 * 1024;

/// Bytes of unwanted content that are read all the same.
const READ_OUT_MAX: usize = 64 * 1024;

const SWITCHING_PROTOCOLS: u16 = 101;

/// The parts of a response's head that a probe uses.
#[derive(Clone, Copy)]
pub(super) struct Head {
    length: usize,
    /// 101, or 200 to 999.
    pub(super) status: u16,
    /// The framing of the content.
    pub(super) body: ResponseBody,
}

impl Head {
    fn is_interim(self) -> bool {
        self.status < 200 && self.status != SWITCHING_PROTOCOLS
    }
}

/// Reads the head of the final response; the bytes are those that arrived with it.
pub(super) async fn read_head<T: AsyncRead + Unpin>(
    stream: &mut T,
    asked: ResponseTo,
) -> Result<(Head, Vec<u8>), ProbeFailure> {
    let mut bytes = Vec::with_capacity(READ_BYTES);
    let mut interims = 0;
    loop {
        let head = parse(&bytes, asked).map_err(malformed)?;
        if let Some(head) = head {
            bytes.drain(..head.length);
        }
        match head {
            Some(head) if head.is_interim() => {
                interims += 1;
                if interims > INTERIMS_MAX {
                    let text = format!("more than {INTERIMS_MAX} interim (1xx) responses");
                    return Err(ProbeFailure::Malformed(text));
                }
            }
            Some(head) => return Ok((head, bytes)),
            None if read_more(stream, &mut bytes).await? == 0 => {
                return Err(ProbeFailure::ClosedEarly);
            }
            None => {}
        }
    }
}

fn parse(bytes: &[u8], asked: ResponseTo) -> Result<Option<Head>, Refusal> {
    let mut storage = FieldStorage::new();
    match ResponseHead::parse(bytes, &mut storage, asked, &Rules::default()) {
        Verdict::Incomplete => Ok(None),
        Verdict::Refused(refusal) => Err(refusal),
        Verdict::Complete(head) => {
            Ok(Some(Head { length: head.length, status: head.status, body: head.body }))
        }
    }
}

fn malformed(refusal: Refusal) -> ProbeFailure {
    ProbeFailure::Malformed(refusal.text().to_owned())
}

/// Zero: the stream has ended, also without the close_notify of TLS.
async fn read_more<T: AsyncRead + Unpin>(
    stream: &mut T,
    bytes: &mut Vec<u8>,
) -> Result<usize, ProbeFailure> {
    match stream.read_buf(bytes).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        read => read.map_err(|error| ProbeFailure::of_answering(&error)),
    }
}

/// Reads content, of which `bytes` have arrived, until the wanted text is found.
pub(super) async fn find_in_content<T: AsyncRead + Unpin>(
    wanted: &Finder<'static>,
    stream: &mut T,
    body: ResponseBody,
    mut bytes: Vec<u8>,
) -> Result<(), ProbeFailure> {
    let mut answer = Answer::new(wanted);
    let mut content = Content::new(body);
    loop {
        let progress = content.take(&mut bytes).map_err(malformed)?;
        if answer.take(&bytes[..progress.kept]) {
            return Ok(());
        }
        if answer.is_full() || progress.ended {
            return Err(ProbeFailure::BodyMismatch);
        }
        bytes.drain(..progress.consumed);
        if read_more(stream, &mut bytes).await? == 0 {
            return Err(content.cut_short());
        }
    }
}

/// Reads content to its end, of which `came` bytes have arrived, if it is short: to close while
/// bytes are left is a reset, of which the backend would log an error each time. A failure here is
/// ignored.
pub(super) async fn read_out<T: AsyncRead + Unpin>(
    stream: &mut T,
    body: ResponseBody,
    came: usize,
) {
    let ResponseBody::Sized(bytes) = body else { return };
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_sub(came);
    if left > READ_OUT_MAX {
        return;
    }
    let mut bytes = [0; 2 * 1024];
    while left > 0 {
        match stream.read(&mut bytes).await {
            Ok(read @ 1..) => left = left.saturating_sub(read),
            _ => return,
        }
    }
}

/// The rest of a response's content.
enum Content {
    Sized(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
}

impl Content {
    fn new(body: ResponseBody) -> Self {
        match body {
            ResponseBody::None => Self::Sized(0),
            ResponseBody::Sized(bytes) => Self::Sized(bytes),
            ResponseBody::Chunked => Self::Chunked(ChunkedDecoder::stripping()),
            ResponseBody::UntilClose => Self::UntilClose,
        }
    }

    /// Moves the content among `bytes` to their front.
    fn take(&mut self, bytes: &mut [u8]) -> Result<Progress, Refusal> {
        let consumed = match self {
            Self::Sized(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= length as u64;
                length
            }
            Self::Chunked(decoder) => return decoder.pass(bytes),
            Self::UntilClose => bytes.len(),
        };
        let ended = matches!(self, Self::Sized(0));
        Ok(Progress { kept: consumed, trailers: 0, consumed, ended })
    }

    /// The stream has ended without the wanted text.
    fn cut_short(&self) -> ProbeFailure {
        match self {
            Self::UntilClose => ProbeFailure::BodyMismatch,
            Self::Sized(_) | Self::Chunked(_) => ProbeFailure::ClosedEarly,
        }
    }
}
