//! Windows in both directions (RFC 9113 §5.2, §6.9).

use super::*;

impl Scene {
    /// The DATA frames that may be sent now.
    fn sends(&mut self) -> Vec<(u32, u32, bool)> {
        let mut frames = Vec::new();
        while let Some(data) = self.connection.next_data(u32::MAX) {
            let header = FrameHeader::read(&data.header);
            assert_eq!((header.kind, header.stream), (FrameKind::Data, data.stream));
            assert_eq!(header.length, data.bytes as usize);
            assert_eq!(header.flags.has(Flags::END_STREAM), data.is_last);
            frames.push((data.stream.0, data.bytes, data.is_last));
        }
        frames
    }

    /// A request whose response has a body of so many bytes.
    fn answers_with(&mut self, stream: u32, bytes: u64) {
        self.gets(HEADERS, WHOLE, stream, &get(&[]));
        self.answers(stream, 200, false);
        assert!(self.connection.queue(StreamId(stream), bytes));
        assert!(self.connection.end(StreamId(stream)));
    }
}

#[test]
fn data_is_sent_as_far_as_both_windows_allow() {
    let mut scene = Scene::server();
    scene.answers_with(1, 100_000);
    assert_eq!(
        scene.sends(),
        [(1, 16_384, false), (1, 16_384, false), (1, 16_384, false), (1, 16_383, false)]
    );
    scene.gets(WINDOW_UPDATE, NONE, 1, &[0, 0, 0x40, 0]);
    assert_eq!(scene.sends(), [], "the connection's window is shut");
    scene.gets(WINDOW_UPDATE, NONE, 0, &[0, 1, 0, 0]);
    assert_eq!(scene.sends(), [(1, 16_384, false)], "the stream's window is shut");
    scene.gets(WINDOW_UPDATE, NONE, 1, &[0, 1, 0, 0]);
    assert_eq!(scene.sends(), [(1, 16_384, false), (1, 1_697, true)]);
}

#[test]
fn the_end_alone_needs_no_window() {
    let mut scene = Scene::server();
    scene.gets(SETTINGS, NONE, 0, &setting(4, 0));
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    scene.answers(1, 200, false);
    scene.connection.queue(StreamId(1), 5);
    assert_eq!(scene.sends(), []);
    scene.gets(HEADERS, WHOLE, 3, &get(&[]));
    scene.answers(3, 200, false);
    scene.connection.end(StreamId(3));
    assert_eq!(scene.sends(), [(3, 0, true)]);
    scene.gets(WINDOW_UPDATE, NONE, 1, &[0, 0, 0, 5]);
    assert_eq!(scene.sends(), [(1, 5, false)]);
    scene.connection.end(StreamId(1));
    assert_eq!(scene.sends(), [(1, 0, true)]);
}

#[test]
fn initial_windows_change_those_of_all_streams() {
    let mut scene = Scene::server();
    let settings = [setting(4, 100), setting(4, 1)].concat();
    scene.gets(SETTINGS, NONE, 0, &settings);
    scene.answers_with(1, 20);
    assert_eq!(scene.sends(), [(1, 1, false)], "§6.5.3: the last value holds");
    scene.gets(SETTINGS, NONE, 0, &setting(4, 3));
    assert_eq!(scene.sends(), [(1, 2, false)]);
    scene.gets(SETTINGS, NONE, 0, &setting(4, 1));
    assert_eq!(scene.sends(), []);
    scene.gets(WINDOW_UPDATE, NONE, 1, &[0, 0, 0, 2]);
    assert_eq!(scene.sends(), [], "§6.9.2: from -2 to 0");
    scene.gets(WINDOW_UPDATE, NONE, 1, &[0, 0, 0, 1]);
    assert_eq!(scene.sends(), [(1, 1, false)]);
    scene.gets(SETTINGS, NONE, 0, &setting(4, 100));
    assert_eq!(scene.sends(), [(1, 16, true)]);
}

#[test]
fn windows_do_not_overflow() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    let update = frame(WINDOW_UPDATE, NONE, 1, &[0x7f, 0xff, 0xff, 0xff]);
    scene.resets_on("§6.9.1: a stream", &update, 1, "FLOW_CONTROL_ERROR");
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    let update = frame(WINDOW_UPDATE, NONE, 1, &[0; 4]);
    scene.resets_on("§6.9: no increment", &update, 1, "PROTOCOL_ERROR");
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    scene.gets(WINDOW_UPDATE, NONE, 1, &[0x7f, 0xff, 0, 0]);
    let settings = frame(SETTINGS, NONE, 0, &setting(4, 0x7fff_ffff));
    scene.closes_on("§6.9.2: a setting", &settings, "FLOW_CONTROL_ERROR");
}

#[test]
fn data_that_overruns_a_window_is_a_fault() {
    let full = [0; 16_384];
    let mut scene = Scene::server();
    scene.releases = false;
    scene.gets(HEADERS, END_HEADERS, 1, &post(&[]));
    for _ in 0..4 {
        scene.gets(DATA, NONE, 1, &full);
    }
    let bytes = frame(DATA, NONE, 1, b"1");
    scene.resets_on("§6.9.1: of a stream", &bytes, 1, "FLOW_CONTROL_ERROR");
    let mut scene = Scene::server();
    scene.releases = false;
    for stream in 0..16 {
        scene.gets(HEADERS, END_HEADERS, 2 * stream + 1, &post(&[]));
        for _ in 0..4 {
            scene.gets(DATA, NONE, 2 * stream + 1, &full);
        }
    }
    scene.gets(HEADERS, END_HEADERS, 33, &post(&[]));
    let bytes = frame(DATA, NONE, 33, b"1");
    scene.closes_on("§6.9.1: of the connection", &bytes, "FLOW_CONTROL_ERROR");
}

#[test]
fn credit_comes_back_when_half_of_a_window_is_released() {
    let mut scene = Scene::server();
    scene.releases = false;
    scene.gets(HEADERS, END_HEADERS, 1, &post(&[]));
    scene.gets(DATA, NONE, 1, &[0; 16_384]).gets(DATA, NONE, 1, &[0; 16_384]);
    scene.gets(DATA, NONE, 1, &[0; 16_384]);
    scene.connection.release(StreamId(1), 32_767);
    assert_eq!(scene.hears(), [""; 0]);
    scene.connection.release(StreamId(1), 1);
    assert_eq!(scene.hears(), ["WINDOW_UPDATE 1 32768"]);
    scene.connection.release(StreamId(1), 1 << 30);
    assert_eq!(scene.hears(), [""; 0], "no more than was received");
    scene.gets(DATA, END_STREAM, 1, &[0; 16_384]);
    scene.connection.release(StreamId(1), 16_384);
    assert_eq!(scene.hears(), [""; 0], "an ended stream needs no credit");
}

#[test]
fn padding_comes_back_at_once() {
    let mut scene = Scene::server();
    scene.releases = false;
    scene.gets(HEADERS, END_HEADERS, 1, &post(&[]));
    let mut padded = vec![255];
    padded.extend([0; 256]);
    for _ in 0..127 {
        scene.gets(DATA, PADDED, 1, &padded);
    }
    assert_eq!(scene.hears(), [""; 0]);
    scene.gets(DATA, PADDED, 1, &padded);
    assert_eq!(scene.hears(), ["WINDOW_UPDATE 1 32768"], "all but one byte of data of each");
}

#[test]
fn a_stream_gets_no_more_credit_than_its_content_needs() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, END_HEADERS, 1, &post(&[("content-length", "100000")]));
    for _ in 0..6 {
        scene.gets(DATA, NONE, 1, &[0; 16_384]);
    }
    let credit = scene.hears().into_iter().filter(|text| text.starts_with("WINDOW"));
    assert!(credit.eq(["WINDOW_UPDATE 1 32768"; 2]), "without a length there are three");
    scene.gets(DATA, END_STREAM, 1, &[0; 100_000 - 6 * 16_384]);
    assert!(scene.events().contains("data 1 end"));
}

#[test]
fn credit_of_a_finished_stream_comes_back() {
    let mut scene = Scene::server();
    scene.releases = false;
    for round in 0..200 {
        let stream = 2 * round + 1;
        scene.gets(HEADERS, END_HEADERS, stream, &post(&[]));
        scene.gets(DATA, END_STREAM, stream, &[0; 16_384]);
        scene.serves(stream);
        scene.connection.release(StreamId(stream), 16_384);
    }
    let heard = scene.hears();
    let credit = heard.iter().filter(|text| *text == "WINDOW_UPDATE 0 524288").count();
    assert_eq!(credit, 200 * 16_384 / 524_288);
}
