//! What the process keeps of the memory that a burst took.

use super::harness::*;
use std::io::Write;
use std::net::TcpStream;

const CLIENTS: usize = 400;
const REQUESTS_OF_EACH: usize = 5;
const ANSWER_BYTES: usize = 512 * 1024;

/// Everything that was asked for on a connection that ends with it.
fn read_answers(mut stream: TcpStream) {
    let all = read_to_end(&mut stream).len();
    assert!(all > REQUESTS_OF_EACH * ANSWER_BYTES, "{all} bytes are not all");
}

#[test]
fn what_a_burst_took_is_given_back_when_it_is_over() {
    let answer = ok(&vec![b'x'; ANSWER_BYTES]);
    let origin =
        Origin::http(
            move |head, _| {
                if head.starts_with("GET /small ") { ok(b"small") } else { answer.clone() }
            },
        );
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    // What is there from the start, and is touched sooner or later, is no burst's.
    (0..100).for_each(|_| assert_eq!(ringway.status_of("/small"), 200));
    let idle = ringway.resident();
    // Nobody reads before all have asked.
    let ask = |_| {
        let mut stream = ringway.connect();
        let request = "GET / HTTP/1.1\r\nHost: t\r\n\r\n".repeat(REQUESTS_OF_EACH - 1);
        let last = "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        stream.write_all((request + last).as_bytes()).expect("sent");
        stream
    };
    let streams: Vec<TcpStream> = (0..CLIENTS).map(ask).collect();
    let readers: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            let builder = std::thread::Builder::new().stack_size(128 * 1024);
            builder.spawn(move || read_answers(stream)).expect("a thread")
        })
        .collect();
    let mut most = ringway.resident();
    for reader in readers {
        reader.join().expect("all is answered");
        most = most.max(ringway.resident());
    }
    let taken = most.saturating_sub(idle);
    assert!(taken > 16 << 20, "a burst that takes {taken} bytes tells nothing");
    await_that("the memory is given back", || ringway.resident() <= idle + idle / 5);
    assert_eq!(ringway.status_of("/small"), 200);
}
