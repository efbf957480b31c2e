//! Frames (RFC 9113 §4, §6): their headers and payloads, read from slices and written to vectors.
//!
//! Does not: know streams or states.

use super::error::{ErrorCode, Fault};
use crate::limits::HTTP2_FRAME_BYTES_MAX;

/// Bytes of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 9;

/// The number of a stream (RFC 9113 §5.1.1); 0 is the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The connection.
    pub(super) const CONNECTION: Self = Self(0);
    /// The largest.
    pub(super) const MAX: Self = Self(0x7fff_ffff);

    /// True for the number of a stream that a client opens.
    pub(super) fn is_of_client(self) -> bool {
        self.0 % 2 == 1
    }

    fn read(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes) & Self::MAX.0)
    }
}

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// Any other: it is ignored (RFC 9113 §5.5).
    Unknown,
}

impl FrameKind {
    fn of(byte: u8) -> Self {
        const KINDS: [FrameKind; 10] = [
            FrameKind::Data,
            FrameKind::Headers,
            FrameKind::Priority,
            FrameKind::RstStream,
            FrameKind::Settings,
            FrameKind::PushPromise,
            FrameKind::Ping,
            FrameKind::GoAway,
            FrameKind::WindowUpdate,
            FrameKind::Continuation,
        ];
        KINDS.get(usize::from(byte)).copied().unwrap_or(Self::Unknown)
    }
}

/// The flags of a frame. Those that its type does not have are ignored (RFC 9113 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    pub(super) const END_STREAM: Self = Self(0x1);
    pub(super) const ACK: Self = Self(0x1);
    pub(super) const END_HEADERS: Self = Self(0x4);
    pub(super) const PADDED: Self = Self(0x8);
    pub(super) const PRIORITY: Self = Self(0x20);

    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// With another flag, if `condition` holds.
    pub(super) fn with_if(self, flag: Self, condition: bool) -> Self {
        if condition { Self(self.0 | flag.0) } else { self }
    }
}

/// The header of a frame (RFC 9113 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes of the payload.
    pub(super) length: usize,
    pub(super) kind: FrameKind,
    pub(super) flags: Flags,
    pub(super) stream: StreamId,
}

impl FrameHeader {
    pub(super) fn read(bytes: &[u8; FRAME_HEADER_BYTES]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind: FrameKind::of(kind),
            flags: Flags(flags),
            stream: StreamId::read([s0, s1, s2, s3]),
        }
    }

    pub(super) fn bytes(self) -> [u8; FRAME_HEADER_BYTES] {
        let [_, l0, l1, l2] = (self.length as u32).to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.0.to_be_bytes();
        [l0, l1, l2, self.kind as u8, self.flags.0, s0, s1, s2, s3]
    }

    /// What of a frame is wrong whatever state the connection is in: its size, and whether it is
    /// one of a stream or of the connection (RFC 9113 §4.2, §6).
    pub(super) fn check(self) -> Result<(), Fault> {
        if self.length > HTTP2_FRAME_BYTES_MAX {
            return Err(Fault::frame_size("a frame is larger than SETTINGS_MAX_FRAME_SIZE"));
        }
        let is_of_connection = self.stream == StreamId::CONNECTION;
        match self.kind {
            FrameKind::Data
            | FrameKind::Headers
            | FrameKind::Priority
            | FrameKind::RstStream
            | FrameKind::Continuation
                if is_of_connection =>
            {
                return Err(Fault::protocol("a frame of a stream names none"));
            }
            FrameKind::Settings | FrameKind::Ping | FrameKind::GoAway if !is_of_connection => {
                return Err(Fault::protocol("a frame of the connection names a stream"));
            }
            FrameKind::PushPromise => return Err(Fault::protocol("push is disabled")),
            _ => {}
        }
        let is_ack = self.flags.has(Flags::ACK);
        let is_right = match self.kind {
            FrameKind::Settings if is_ack => self.length == 0,
            FrameKind::Settings => self.length.is_multiple_of(SETTING_BYTES),
            FrameKind::Ping => self.length == 8,
            FrameKind::RstStream | FrameKind::WindowUpdate => self.length == 4,
            FrameKind::GoAway => self.length >= 8,
            FrameKind::Data | FrameKind::Headers if self.flags.has(Flags::PADDED) => {
                self.length >= 1
            }
            // A wrong PRIORITY is a fault of its stream.
            _ => true,
        };
        if is_right { Ok(()) } else { Err(Fault::frame_size("a frame has a wrong size")) }
    }
}

const SETTING_BYTES: usize = 6;

/// The settings of a SETTINGS frame, numbers and values, in their order.
pub(super) fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    payload.as_chunks::<SETTING_BYTES>().0.iter().map(|[i0, i1, v0, v1, v2, v3]| {
        (u16::from_be_bytes([*i0, *i1]), u32::from_be_bytes([*v0, *v1, *v2, *v3]))
    })
}

/// The fragment of a HEADERS frame, without padding and priority (RFC 9113 §6.2).
pub(super) fn fragment(stream: StreamId, flags: Flags, payload: &[u8]) -> Result<&[u8], Fault> {
    const TOO_SHORT: Fault = Fault::frame_size("a HEADERS frame is too short for its flags");
    let mut rest = payload;
    let mut padding = 0;
    if flags.has(Flags::PADDED) {
        let (first, behind) = rest.split_first().ok_or(TOO_SHORT)?;
        (padding, rest) = (usize::from(*first), behind);
    }
    if flags.has(Flags::PRIORITY) {
        let (priority, behind) = rest.split_at_checked(PRIORITY_BYTES).ok_or(TOO_SHORT)?;
        check_dependency(stream, priority)?;
        rest = behind;
    }
    let length = rest.len().checked_sub(padding);
    let length = length.ok_or(Fault::protocol("a HEADERS frame has more padding than bytes"))?;
    Ok(&rest[..length])
}

/// A stream that depends on itself is a fault (RFC 7540 §5.3.1). RFC 9113 §5.3.2 deprecates
/// everything else that the priority of a stream says.
pub(super) fn check_dependency(stream: StreamId, priority: &[u8]) -> Result<(), Fault> {
    match number(priority) & StreamId::MAX.0 == stream.0 {
        true => Err(Fault::protocol("a stream depends on itself")),
        false => Ok(()),
    }
}

/// Bytes of a PRIORITY frame.
pub(super) const PRIORITY_BYTES: usize = 5;

fn number(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The increment of a WINDOW_UPDATE frame.
pub(super) fn increment(payload: &[u8]) -> u32 {
    number(payload) & StreamId::MAX.0
}

/// The code of a RST_STREAM frame.
pub(super) fn error_code(payload: &[u8]) -> ErrorCode {
    ErrorCode(number(payload))
}

/// The last stream and the code of a GOAWAY frame.
pub(super) fn goaway(payload: &[u8]) -> (StreamId, ErrorCode) {
    (StreamId(increment(payload)), ErrorCode(number(payload.get(4..).unwrap_or_default())))
}

fn write(kind: FrameKind, flags: Flags, stream: StreamId, payload: [&[u8]; 2], out: &mut Vec<u8>) {
    let length = payload[0].len() + payload[1].len();
    out.extend_from_slice(&FrameHeader { length, kind, flags, stream }.bytes());
    payload.iter().for_each(|part| out.extend_from_slice(part));
}

/// Writes SETTINGS.
pub(super) fn write_settings(settings: &[(u16, u32)], out: &mut Vec<u8>) {
    let length = settings.len() * SETTING_BYTES;
    let header = FrameHeader {
        length,
        kind: FrameKind::Settings,
        flags: Flags::NONE,
        stream: StreamId::CONNECTION,
    };
    out.extend_from_slice(&header.bytes());
    for (number, value) in settings {
        out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Acknowledges SETTINGS.
pub(super) fn write_settings_ack(out: &mut Vec<u8>) {
    write(FrameKind::Settings, Flags::ACK, StreamId::CONNECTION, [b"", b""], out);
}

/// Writes PING, or its acknowledgement.
pub(super) fn write_ping(payload: [u8; 8], is_ack: bool, out: &mut Vec<u8>) {
    let flags = Flags::NONE.with_if(Flags::ACK, is_ack);
    write(FrameKind::Ping, flags, StreamId::CONNECTION, [&payload, b""], out);
}

/// Writes GOAWAY with a text for the peer's operator.
pub(super) fn write_goaway(last: StreamId, code: ErrorCode, text: &str, out: &mut Vec<u8>) {
    let [l0, l1, l2, l3] = last.0.to_be_bytes();
    let [c0, c1, c2, c3] = code.0.to_be_bytes();
    let fixed = [l0, l1, l2, l3, c0, c1, c2, c3];
    let payload = [&fixed[..], text.as_bytes()];
    write(FrameKind::GoAway, Flags::NONE, StreamId::CONNECTION, payload, out);
}

/// Writes WINDOW_UPDATE.
pub(super) fn write_window_update(stream: StreamId, increment: u32, out: &mut Vec<u8>) {
    let payload = increment.to_be_bytes();
    write(FrameKind::WindowUpdate, Flags::NONE, stream, [&payload, b""], out);
}

/// Writes RST_STREAM.
pub(super) fn write_reset(stream: StreamId, code: ErrorCode, out: &mut Vec<u8>) {
    let payload = code.0.to_be_bytes();
    write(FrameKind::RstStream, Flags::NONE, stream, [&payload, b""], out);
}

/// Puts frames around a field block, which is everything in `out` from `start` on: HEADERS, and
/// CONTINUATION for what is longer than a frame.
pub(super) fn wrap_block(stream: StreamId, is_last: bool, start: usize, out: &mut Vec<u8>) {
    let block = out.len() - start;
    let frames = block.div_ceil(HTTP2_FRAME_BYTES_MAX).max(1);
    out.resize(out.len() + frames * FRAME_HEADER_BYTES, 0);
    // From the last frame on, so that none overwrites another.
    for frame in (0..frames).rev() {
        let from = frame * HTTP2_FRAME_BYTES_MAX;
        let length = (block - from).min(HTTP2_FRAME_BYTES_MAX);
        let to = start + from + (frame + 1) * FRAME_HEADER_BYTES;
        out.copy_within(start + from..start + from + length, to);
        let kind = if frame == 0 { FrameKind::Headers } else { FrameKind::Continuation };
        let flags = Flags::NONE
            .with_if(Flags::END_STREAM, is_last && frame == 0)
            .with_if(Flags::END_HEADERS, frame == frames - 1);
        let header = FrameHeader { length, kind, flags, stream };
        out[to - FRAME_HEADER_BYTES..to].copy_from_slice(&header.bytes());
    }
}

/// The header of a DATA frame.
pub(super) fn data_header(
    stream: StreamId,
    length: usize,
    is_last: bool,
) -> [u8; FRAME_HEADER_BYTES] {
    let flags = Flags::NONE.with_if(Flags::END_STREAM, is_last);
    FrameHeader { length, kind: FrameKind::Data, flags, stream }.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_are_written() {
        for length in [0, 1, 255, 256, 16_384, 0xff_ffff] {
            for kind in 0..=12 {
                for stream in [0, 1, 0x7fff_ffff] {
                    let kind = FrameKind::of(kind);
                    let flags = Flags(0xa5);
                    let header = FrameHeader { length, kind, flags, stream: StreamId(stream) };
                    assert_eq!(FrameHeader::read(&header.bytes()), header);
                }
            }
        }
        let header = FrameHeader::read(&[0, 1, 2, 6, 1, 0x80, 0, 0, 7]);
        assert_eq!((header.length, header.kind), (258, FrameKind::Ping));
        assert_eq!(header.stream, StreamId(7), "the reserved bit is ignored");
        assert!(header.flags.has(Flags::ACK));
    }

    #[test]
    fn blocks_are_cut_into_frames() {
        for (block, frames) in [
            (0, 1),
            (1, 1),
            (HTTP2_FRAME_BYTES_MAX, 1),
            (HTTP2_FRAME_BYTES_MAX + 1, 2),
            (3 * HTTP2_FRAME_BYTES_MAX + 5, 4),
        ] {
            let text: Vec<u8> = (0..block).map(|at| (at % 251) as u8).collect();
            let mut out = [b"before", &text[..]].concat();
            wrap_block(StreamId(5), true, 6, &mut out);
            assert_eq!(&out[..6], b"before");
            let (mut rest, mut gathered, mut seen) = (&out[6..], Vec::new(), Vec::new());
            while let Some((header, behind)) = rest.split_first_chunk() {
                let header = FrameHeader::read(header);
                gathered.extend_from_slice(&behind[..header.length]);
                rest = &behind[header.length..];
                seen.push(header);
            }
            assert_eq!((gathered, seen.len()), (text, frames));
            for (at, header) in seen.iter().enumerate() {
                assert_eq!(header.flags.has(Flags::END_STREAM), at == 0);
                assert_eq!(header.flags.has(Flags::END_HEADERS), at == frames - 1);
                assert_eq!(header.kind == FrameKind::Headers, at == 0);
            }
        }
    }

    #[test]
    fn fragments_lose_padding_and_priority() {
        let both = Flags(0x28);
        let payload = b"\x02\x80\x00\x00\x01\x10block\x00\x00";
        assert_eq!(fragment(StreamId(3), both, payload), Ok(&b"block"[..]));
        assert_eq!(fragment(StreamId(1), Flags::NONE, b"block"), Ok(&b"block"[..]));
        assert_eq!(fragment(StreamId(1), Flags::PADDED, b"\x02\x00\x00"), Ok(&b""[..]));
        let code =
            |flags, payload| fragment(StreamId(1), flags, payload).map_err(|fault| fault.code);
        assert_eq!(code(Flags::PADDED, b"\x03\x00\x00"), Err(ErrorCode::PROTOCOL_ERROR));
        assert_eq!(code(both, b"\x00\x00\x00\x00\x00"), Err(ErrorCode::FRAME_SIZE_ERROR));
    }
}
