//! Hardship that takes long whatever its size, only for those who ask for it (see `drilling`).

use super::hardship::starved_of_descriptors;
use super::harness::*;
use crate::drilling::{duration, record};
use std::io::{BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// CPU time that the process has used so far, seconds.
fn cpu(ringway: &Ringway) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", ringway.pid())).expect("it runs");
    // Behind the name, which may have blanks: state is field 3, utime 14, stime 15 (proc(5)).
    let rest = text.rsplit(") ").next().expect("a name");
    let ticks: Vec<u64> =
        rest.split(' ').skip(11).take(2).map(|n| n.parse().expect("ticks")).collect();
    ticks.iter().sum::<u64>() as f64 / 100.0
}

#[test]
fn starved_of_descriptors_it_uses_little_cpu_and_recovers_soon() {
    if duration().is_none() {
        return;
    }
    let origin = Origin::saying("good");
    let (ringway, starving) = starved_of_descriptors(&origin);
    let (before, began) = (cpu(&ringway), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let share = (cpu(&ringway) - before) / began.elapsed().as_secs_f64();
    drop(starving);
    let began = Instant::now();
    await_that("it serves again", || ringway.status_of("/") == 200);
    let recovered = began.elapsed();
    let drill = "starved of descriptors";
    record(drill, "CPU while starved, %", format!("{:.1}", share * 100.0));
    record(drill, "serving again after, ms", recovered.as_millis());
}

#[test]
fn a_slow_reader_of_a_gigabyte_costs_little_memory_and_no_other_client() {
    let Some(duration) = duration() else { return };
    const BYTES: usize = 1 << 30;
    let origin = Origin::start(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let Some((head, _)) = read_request(&mut reader) else { return };
        if head.starts_with("GET /small ") {
            let _ = stream.write_all(&ok(b"small"));
            return;
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        let block = vec![b'x'; 1 << 20];
        (0..BYTES / block.len()).take_while(|_| stream.write_all(&block).is_ok()).for_each(drop);
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    assert_eq!(ringway.status_of("/small"), 200);
    let before = ringway.resident();
    let mut stream = ringway.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    assert_eq!(status(&read_until(&mut stream, b"\r\n\r\n")), 200);

    let is_over = Arc::new(AtomicBool::new(false));
    let (address, seen) = (ringway.address, is_over.clone());
    let others = std::thread::spawn(move || {
        let (mut count, mut slowest) = (0, Duration::ZERO);
        while !seen.load(Ordering::Relaxed) {
            let began = Instant::now();
            let mut stream = connect(address);
            let request = b"GET /small HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
            stream.write_all(request).expect("sent");
            assert_eq!(status(&read_to_end(&mut stream)), 200, "others do not notice");
            slowest = slowest.max(began.elapsed());
            count += 1;
        }
        (count, slowest)
    });
    let began = Instant::now();
    let (mut most, mut read) = (0, 0);
    while began.elapsed() < duration {
        let mut portion = [0; 1024];
        stream.read_exact(&mut portion).expect("it is not cut");
        read += portion.len();
        most = most.max(ringway.resident().saturating_sub(before));
        std::thread::sleep(Duration::from_secs(1));
    }
    is_over.store(true, Ordering::Relaxed);
    let (count, slowest) = others.join().expect("others do not notice");
    let drill = "1 GiB at 1 KiB/s";
    record(drill, "bytes read", read);
    record(drill, "bytes of memory more, at most", most);
    record(drill, "others served", count);
    record(drill, "slowest of the others, ms", slowest.as_millis());
    assert!(most < 64 << 20, "{most} bytes of memory for one slow reader");
}
