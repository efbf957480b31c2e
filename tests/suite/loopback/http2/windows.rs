//! Windows over a long way: a client that sends all it may, and then waits for a round trip.

use super::*;
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const MIB: usize = 1 << 20;

/// An origin that takes bodies, and counts their bytes.
fn taking(taken: &Arc<AtomicUsize>) -> Origin {
    let taken = taken.clone();
    Origin::start(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        read_head_lines(&mut reader);
        taken.fetch_add(reader.buffer().len(), Ordering::Relaxed);
        let mut part = vec![0; 256 * 1024];
        while let Ok(length @ 1..) = stream.read(&mut part) {
            taken.fetch_add(length, Ordering::Relaxed);
        }
    })
}

fn read_head_lines(reader: &mut impl BufRead) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a head") > 0, "a head");
    }
}

#[test]
fn an_upload_over_a_long_way_gets_larger_windows() {
    let taken = Arc::new(AtomicUsize::new(0));
    let origin = taking(&taken);
    let operated = started(&origin, "");
    let mut wire = Wire::open(operated.ringway.address);
    let head = request("POST", "/", &[("content-length", "1000000000")]);
    wire.sends(HEADERS, END_HEADERS, 1, &head);
    let (mut of_stream, mut of_connection, mut sent, mut most) = (64 * 1024, MIB, 0, 0);
    let mut asked = Vec::new();
    let part = [b'x'; 16_384];
    for _ in 0..100 {
        let burst = of_stream.min(of_connection);
        for at in (0..burst).step_by(part.len()) {
            wire.sends(DATA, NONE, 1, &part[..part.len().min(burst - at)]);
        }
        sent += burst;
        (of_stream, of_connection) = (of_stream - burst, of_connection - burst);
        most = most.max(burst);
        if most > 2 * MIB {
            break;
        }
        let begun = Instant::now();
        while taken.load(Ordering::Relaxed) < sent {
            assert!(begun.elapsed() < PATIENCE, "{sent} bytes are not at the backend");
            std::thread::yield_now();
        }
        wire.sends(PING, NONE, 0, b"arrived?");
        wire.await_frame("a round trip", |frame| {
            let increment = || frame.number() as usize;
            match (frame.kind, frame.stream) {
                (WINDOW_UPDATE, 0) => of_connection += increment(),
                (WINDOW_UPDATE, _) => of_stream += increment(),
                (PING, _) if frame.flags == NONE => asked.push(frame.clone()),
                _ => return (frame.kind, frame.flags) == (PING, ACK),
            }
            false
        });
        asked.drain(..).for_each(|ping| wire.acknowledge(&ping));
    }
    assert!(most > 2 * MIB, "{most} bytes in a round trip at most");
}
