//! Clients that send more than they should, or read later than others.

use super::super::harness::*;
use super::{first_head, small_reader};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[test]
fn an_empty_line_before_a_head_that_fills_the_buffer_is_no_way_around_its_limit() {
    let origin = Origin::saying("good");
    let arguments = ["--shards", "1", "--buffer-size", "16KiB"];
    let ringway = Ringway::start(&[origin.address], &arguments);
    for (bytes, more) in [(16_386, "y"), (16_385, "y"), (16_386, "\r\n\r\n"), (16_387, "yyyy")] {
        let mut stream = ringway.connect();
        let start = "\r\nGET / HTTP/1.1\r\nHost: t\r\nX: ";
        let head = format!("{start}{}", "x".repeat(bytes - start.len()));
        stream.write_all(head.as_bytes()).expect("sent");
        // It may have been refused already.
        let _ = stream.write_all(more.as_bytes());
        assert_eq!(status(&read_to_end(&mut stream)), 431, "{bytes} bytes and {more:?}");
        assert_eq!(ringway.status_of("/"), 200, "the shard serves others");
    }
}

#[test]
fn a_slow_and_steady_reader_is_not_cut() {
    const BYTES: usize = 20_000_000;
    let origin = Origin::http(|_, _| ok(&vec![b'x'; BYTES]));
    let more = "[timeouts]\nbetween_bytes = \"3s\"\n[runtime]\nshards = 1\n";
    let ringway = Ringway::with_config(&config(&[origin.address], more));
    let mut stream = small_reader(ringway.address);
    let request = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("sent");
    assert_eq!(status(&read_until(&mut stream, b"\r\n\r\n")), 200);
    let mut portion = vec![0; 50_000];
    let mut read = 0;
    // Twice as long as the period after which a silent client is cut.
    for _ in 0..30 {
        stream.read_exact(&mut portion).expect("it is not cut");
        read += portion.len();
        std::thread::sleep(Duration::from_millis(200));
    }
    read += read_to_end(&mut stream).len();
    assert_eq!(read, BYTES);
}

#[test]
fn a_client_that_sends_more_during_its_last_answer_still_gets_all_of_it() {
    const BYTES: usize = 3_000_000;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let origin = Origin::start(move |mut stream| {
        let Some(_) = first_head(&stream) else { return };
        count.fetch_add(1, Ordering::Relaxed);
        // Neither length nor chunks: the answer ends with the connection, here and there.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let _ = stream.write_all(&vec![b'x'; BYTES]);
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let before = ringway.descriptors();
    let mut stream = small_reader(ringway.address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n")).expect("text");
    assert!(head.contains("Connection: close\r\n"), "{head}");
    let mut portion = vec![0; 20_000];
    for read in (0..BYTES).step_by(portion.len()) {
        stream.read_exact(&mut portion).unwrap_or_else(|error| panic!("{error} after {read}"));
        // Once its connection to the backend is closed, the front door has all of the answer.
        if ringway.descriptors() <= before + 1 {
            let _ = stream.write_all(b"GET /more HTTP/1.1\r\nHost: t\r\n\r\n");
        }
    }
    assert_eq!(read_to_end(&mut stream), b"", "and nothing behind it");
    assert_eq!(asked.load(Ordering::Relaxed), 1, "nothing more was asked of the backend");
}

#[test]
fn an_early_refusal_reaches_a_client_that_uploads_all_the_same() {
    const BYTES: usize = 300_000;
    let origin = Origin::start(|mut stream| {
        let mut first = [0];
        if !stream.read(&mut first).is_ok_and(|length| length == 1) {
            return; // it was only looked whether somebody listens
        }
        read_until(&mut stream, b"\r\n\r\n");
        let head = format!(
            "HTTP/1.1 413 Too Large\r\nContent-Length: {BYTES}\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(&[head.as_bytes(), &vec![b'x'; BYTES]].concat());
        let _ = read_to_end(&mut stream);
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let mut stream = ringway.connect();
    let upload = vec![b'u'; 20_000_000];
    let head = format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", upload.len());
    stream.write_all(head.as_bytes()).expect("sent");
    // All of it first, then the answer: so do the simplest clients.
    stream.write_all(&upload).expect("it is taken, and dropped");
    let answer = read_to_end(&mut stream);
    assert_eq!((status(&answer), body(&answer).len()), (413, BYTES));
}

#[test]
fn pipelined_answers_that_are_read_late_all_arrive() {
    let origin = Origin::http(|head, _| {
        let mut words = head.split(['/', ' ']).filter_map(|word| word.parse::<usize>().ok());
        let (number, bytes) = (words.next().expect("a number"), words.next().expect("a length"));
        ok(&vec![number as u8; bytes])
    });
    // A connection that comes to a standstill is closed in the end, and shows as a missing answer.
    let more = "[timeouts]\nidle = \"30s\"\n[runtime]\nshards = 1\n";
    let ringway = Ringway::with_config(&config(&[origin.address], more));
    // Few long ones, and so many short ones that each queue is full at the end of some of them.
    for (count, bytes) in [(5, 3_000_000), (40, 300_000), (100, 70_000)] {
        let mut stream = small_reader(ringway.address);
        for n in 0..count {
            let request = format!("GET /{n}/{bytes} HTTP/1.1\r\nHost: t\r\n\r\n");
            stream.write_all(request.as_bytes()).expect("sent");
            // Once the shard has served somebody else, what came before is not read with the rest.
            assert_eq!(ringway.status_of("/0/1"), 200);
        }
        // The pause is the case: every queue on the way fills.
        std::thread::sleep(Duration::from_millis(500));
        let mut reader = BufReader::new(stream);
        for n in 0..count {
            let mut answer = vec![0; ok(&vec![0; bytes]).len()];
            reader.read_exact(&mut answer).unwrap_or_else(|error| panic!("answer {n}: {error}"));
            assert_eq!(status(&answer), 200, "answer {n}");
            let is_its = body(&answer).iter().all(|byte| *byte == n as u8);
            assert!(is_its, "answer {n} is another's");
        }
    }
}

#[test]
fn who_pipelines_much_behind_a_head_in_pieces_takes_no_receive_buffer_from_others() {
    let over = Arc::new((Mutex::new(false), Condvar::new()));
    let (count, told) = (Arc::new(AtomicUsize::new(0)), over.clone());
    let counted = count.clone();
    let slow = Origin::http(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        let is_over = told.0.lock().expect("no panic");
        drop(told.1.wait_while(is_over, |is_over| !*is_over).expect("no panic"));
        ok(b"slow")
    });
    let fast = Origin::saying("fast");
    let more = format!(
        "[runtime]\nshards = 1\nbuffers_per_shard = 16\nbuffer_size = \"32KiB\"\n\
         [[route]]\npath = \"/fast\"\npool = \"fast\"\n\
         [pool.fast.health]\nprotocol = \"none\"\n[[pool.fast.backend]]\naddress = \"{}\"\n",
        fast.address
    );
    let ringway = Ringway::with_config(&config(&[slow.address], &more));
    let line = |name: usize, length: usize| format!("X-{name}: {}\r\n", "a".repeat(length));
    let head: String = (0..15).map(|name| line(name, 990)).collect();
    let head = format!("GET / HTTP/1.1\r\nHost: t\r\n{head}");
    let next = format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", line(0, 960)).repeat(30);
    let mut clients: Vec<TcpStream> = (0..40).map(|_| ringway.connect()).collect();
    for client in &mut clients {
        client.write_all(head.as_bytes()).expect("sent");
    }
    // Once the shard has served somebody else, what came before is not read with the rest.
    assert_eq!(ringway.status_of("/fast"), 200);
    for client in &mut clients {
        client.write_all(format!("\r\n{next}").as_bytes()).expect("sent");
    }
    await_that("all of them are waited for", || count.load(Ordering::SeqCst) == clients.len());
    assert_eq!(ringway.status_of("/fast"), 200);
    *over.0.lock().expect("no panic") = true;
    over.1.notify_all();
    for client in &mut clients {
        read_until(client, b"slow");
    }
}
