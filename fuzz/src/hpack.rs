//! Any bytes as the fields of two requests on one connection: what is read of them is read again
//! when it is written, and the second one finds the table as the first one has left it.

use super::places;
use ringway::base::Instant;
use ringway::head::{RequestHead, Rules, UnderscoreNames};
use ringway::http2::{
    Config, Connection, Event, FieldRoom, PREFACE, RequestForm, RequestTo, Role, Section,
};

/// `GET / HTTP/2`, `:scheme` and `:authority: t`, which add nothing to the table.
pub const START: &[u8] = b"\x82\x86\x84\x01\x01t";

/// Fields as they are read.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Panics if a promise is broken.
pub fn run(bytes: &[u8]) {
    let whole = decode(bytes, bytes.len());
    for cut in places(bytes.len()) {
        assert_eq!(decode(bytes, cut), whole, "CONTINUATION at {cut}");
    }
}

/// The fields of two requests whose heads have these bytes in halves; for each of them none if it
/// is no request. Blocks longer than `cut` go on in a CONTINUATION from there.
pub fn decode(bytes: &[u8], cut: usize) -> [Option<Fields>; 2] {
    let mut connection = Connection::new(Role::Server, &Config::default());
    let mut section = Section::new();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut read = [None, None];
    let begin = [&PREFACE[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    let requests = [(first, 1), (second, 3)].map(|(part, stream)| in_frames(part, stream, cut));
    for (at, piece) in [begin].iter().chain(&requests).enumerate() {
        let mut rest = &piece[..];
        loop {
            let received = connection.receive(rest, &mut section, Instant::default());
            rest = &rest[received.consumed..];
            match received.event {
                None => break,
                Some(Event::Request { .. }) => read[at - 1] = fields(&section),
                Some(_) => {}
            }
        }
    }
    read
}

/// A request without a body whose block ends with these bytes.
fn in_frames(part: &[u8], stream: u8, cut: usize) -> Vec<u8> {
    let block = [START, part].concat();
    // A frame has at most 16 KiB.
    let cut = cut.clamp(1, 16_000).min(block.len());
    let mut frames = Vec::new();
    let (head, rest) = block.split_at(cut);
    let mut pieces = std::iter::once(head).chain(rest.chunks(16_000)).peekable();
    let mut kind = 1;
    while let Some(piece) = pieces.next() {
        let [_, l0, l1, l2] = (piece.len() as u32).to_be_bytes();
        let end_headers = if pieces.peek().is_none() { 4 } else { 0 };
        let end_stream = u8::from(kind == 1);
        frames.extend([l0, l1, l2, kind, end_headers | end_stream, 0, 0, 0, stream]);
        frames.extend_from_slice(piece);
        kind = 9;
    }
    frames
}

/// The rules of the comparison: nothing is left out for its name.
const RULES: fn() -> Rules =
    || Rules { underscore_names: UnderscoreNames::Allow, ..Rules::default() };

fn fields(section: &Section) -> Option<Fields> {
    let mut room = FieldRoom::new();
    let head = RequestHead::of_section(section, &mut room, &RULES()).ok()?;
    check_written(&head);
    let of = |field: &ringway::head::Field<'_>| (field.name.into(), field.value.to_vec());
    Some(head.fields.iter().map(of).collect())
}

/// What is written of a head is read as the same head.
fn check_written(head: &RequestHead<'_, '_>) {
    let mut writer = Connection::new(Role::Client, &Config::default());
    let form = RequestForm::Kept { forward_upgrade: false, accepts_trailers: false };
    let to = RequestTo { scheme: "http", form };
    writer.send_request(head, &to, true).expect("there is room for one");
    let mut reader = Connection::new(Role::Server, &Config::default());
    let mut section = Section::new();
    let received = reader.receive(writer.output(), &mut section, Instant::default());
    assert!(matches!(received.event, Some(Event::Request { .. })), "{received:?} of {head:?}");
    let mut room = FieldRoom::new();
    let again = RequestHead::of_section(&section, &mut room, &RULES()).expect("it was a head");
    let kept = |head: &RequestHead<'_, '_>| -> Vec<String> {
        let fields = head.fields.iter().enumerate().filter(|(at, _)| !head.dropped.has(*at));
        fields.map(|(_, field)| format!("{}: {}", field.name, field.value.escape_ascii())).collect()
    };
    assert_eq!((again.method, again.target, again.host), (head.method, head.target, head.host));
    assert_eq!(kept(&again), kept(head));
}
