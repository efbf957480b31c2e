//! A probe of plain bytes: the bytes to send, and those that the answer must have. Does not: parse
//! a protocol.

use super::answer::Answer;
use super::deadline::Deadline;
use super::failure::{ProbeFailure, ProbeStage};
use super::tls::{Asked, Tls};
use memchr::memmem::Finder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes read at once: enough for a banner or an answer of a word or two.
const READ_BYTES: usize = 1024;

/// The bytes to send, and those that the answer must have.
pub(super) struct Exchange {
    send: Vec<u8>,
    expect: Finder<'static>,
    tls: Option<Tls>,
}

impl Exchange {
    /// `expect` is not empty.
    pub(super) fn new(send: &[u8], expect: &[u8], tls: Option<Tls>) -> Result<Self, String> {
        if expect.is_empty() {
            return Err("`expect` is empty: say what must be in the answer".to_owned());
        }
        Ok(Self { send: send.to_vec(), expect: Finder::new(expect).into_owned(), tls })
    }

    /// Whether small pieces are sent one after the other.
    pub(super) fn is_over_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Sends and reads until `expect` has arrived.
    pub(super) async fn ask(
        &self,
        stream: TcpStream,
        backend: &Asked,
        deadline: Deadline,
    ) -> Result<(), ProbeFailure> {
        let Some(tls) = &self.tls else { return self.ask_over(stream, deadline).await };
        let connecting = tls.connect(stream, backend);
        let stream = deadline.bound(ProbeStage::Handshake, connecting).await?;
        self.ask_over(stream, deadline).await
    }

    async fn ask_over<T>(&self, mut stream: T, deadline: Deadline) -> Result<(), ProbeFailure>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let mut answer = Answer::new(&self.expect);
        let asked = async {
            let sent = async {
                stream.write_all(&self.send).await?;
                stream.flush().await
            };
            sent.await.map_err(|error| ProbeFailure::of_answering(&error))?;
            read(&mut stream, &mut answer).await
        };
        match deadline.bound(ProbeStage::Answering, asked).await {
            // Part of an answer arrived before the timeout: it explains more than the timeout.
            Err(ProbeFailure::TimedOut { .. } | ProbeFailure::ClosedEarly)
                if !answer.bytes().is_empty() =>
            {
                Err(ProbeFailure::unexpected(answer.bytes()))
            }
            other => other,
        }
    }
}

async fn read<T>(stream: &mut T, answer: &mut Answer<'_>) -> Result<(), ProbeFailure>
where
    T: AsyncRead + Unpin,
{
    let mut piece = Vec::with_capacity(READ_BYTES);
    while !answer.is_full() {
        piece.clear();
        match stream.read_buf(&mut piece).await {
            Ok(0) => return Err(ProbeFailure::ClosedEarly),
            Ok(_) if answer.take(&piece) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(ProbeFailure::of_answering(&error)),
        }
    }
    Err(ProbeFailure::unexpected(answer.bytes()))
}
