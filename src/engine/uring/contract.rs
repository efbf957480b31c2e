//! The contract of an engine, on the kernel, with and without what kernels newer than 6.1 have.

use super::*;
use crate::engine::{Owner, ReceiveFlags, Wake};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

const RECEIVE_BUFFERS: usize = 64;
/// A guard against hanging.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn engine(features: Features, receive_buffers: usize) -> Uring {
    let options = UringOptions {
        ring_entries: 256,
        receive_buffers,
        buffer_size: 16 * 1024,
        private_buffers_max: 128,
    };
    let wake = Arc::new(EventFd::new().expect("a descriptor"));
    Uring::with_features(&options, features, wake).expect("io_uring works here")
}

/// Runs a test with all features and with none.
pub(super) fn on_each_kernel(test: impl Fn(&mut Uring)) {
    for features in [Features::ALL, Features::OF_6_1] {
        test(&mut engine(features, RECEIVE_BUFFERS));
    }
}

pub(super) fn event(engine: &mut Uring) -> Event {
    let end = engine.now() + PATIENCE;
    loop {
        if let Some(event) = engine.next_event() {
            return event;
        }
        assert!(engine.now() < end, "no event");
        engine.turn(end);
    }
}

fn key(index: usize) -> Key {
    Key::new(Owner::Client, index, 1)
}

/// Both ends of a connection: ours, and the peer's.
fn pair() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let ours = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let (theirs, _) = listener.accept().expect("it has connected");
    theirs.set_read_timeout(Some(PATIENCE)).expect("an option");
    (Socket(OwnedFd::from(ours).into_raw_fd()), theirs)
}

fn fill(engine: &mut Uring, bytes: &[u8]) -> Slice {
    let buffer = engine.acquire(Room::of(bytes.len())).expect("a buffer");
    engine.bytes_mut(buffer)[..bytes.len()].copy_from_slice(bytes);
    Slice { buffer, start: 0, end: bytes.len() as u32 }
}

#[test]
fn the_features_are_what_this_kernel_has() {
    for features in [Features::ALL, Features::OF_6_1] {
        let options = UringOptions {
            ring_entries: 64,
            receive_buffers: 16,
            buffer_size: 4096,
            private_buffers_max: 0,
        };
        let (_, _, found) = setup::build(&options, features).expect("io_uring works here");
        assert!(found == features || found == Features::OF_6_1);
    }
}

#[test]
fn connections_are_accepted_by_the_ring_and_at_once() {
    on_each_kernel(|engine| {
        let listener = socket::listen("127.0.0.1:0".parse().expect("an address"), 16);
        let listener = listener.expect("a port");
        let address = socket::local_address(&listener).expect("bound");
        let listening = Socket(listener.as_raw_fd());
        let connect = || TcpStream::connect(address).expect("it listens");
        let accepted = |engine: &mut Uring, still_armed| {
            let client = connect();
            let Event::Accepted { key: of, socket, more } = event(engine) else {
                panic!("not accepted")
            };
            assert_eq!((of, more), (key(1), still_armed));
            assert_eq!(engine.peer_address(socket), client.local_addr().ok());
            assert_eq!(engine.local_address(socket), client.peer_addr().ok());
            engine.close(socket, Close::Graceful);
        };
        engine.accept(listening, key(1), true);
        (0..3).for_each(|_| accepted(engine, true));
        engine.cancel(Op::Accept, key(1));
        let ended = Event::AcceptEnded { key: key(1), failure: Failure::Cancelled };
        assert_eq!(event(engine), ended);
        engine.accept(listening, key(1), false);
        accepted(engine, false);
        assert_eq!(engine.accept_now(listening), None);
        let _client = connect();
        let socket = engine.accept_now(listening).expect("one waits");
        engine.close(socket, Close::Graceful);
    });
}

#[test]
fn a_connect_ends_well_or_is_refused() {
    on_each_kernel(|engine| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut listener = Some(listener);
        for result in [Ok(()), Err(Failure::Refused)] {
            let socket = engine.connect(address, Source::Any, key(2)).expect("a descriptor");
            assert_eq!(event(engine), Event::Connected { key: key(2), result });
            engine.close(socket, Close::Graceful);
            listener = None;
        }
        assert!(listener.is_none());
    });
}

#[test]
fn a_fresh_connection_receives_what_comes_early_or_late() {
    on_each_kernel(|engine| {
        for is_early in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("bound");
            let socket = engine.connect(address, Source::Any, key(8)).expect("a descriptor");
            assert_eq!(event(engine), Event::Connected { key: key(8), result: Ok(()) });
            let (mut theirs, _) = listener.accept().expect("it has connected");
            if is_early {
                theirs.write_all(b"hello").expect("open");
            }
            engine.receive(socket, key(8));
            engine.turn(engine.now());
            if !is_early {
                assert_eq!(engine.next_event(), None);
                theirs.write_all(b"hello").expect("open");
            }
            let Event::Received { buffer, length: 5, flags, .. } = event(engine) else {
                panic!("nothing was received")
            };
            assert!(flags.still_armed && &engine.bytes(buffer)[..5] == b"hello");
            engine.release(buffer);
            drop(theirs);
            assert_eq!(event(engine), Event::ReceiveEnded { key: key(8), failure: None });
            engine.close(socket, Close::Graceful);
        }
    });
}

#[test]
fn bytes_come_and_go_and_each_operation_ends() {
    on_each_kernel(|engine| {
        let (ours, mut theirs) = pair();
        engine.receive(ours, key(3));
        for word in [&b"one"[..], b"another"] {
            theirs.write_all(word).expect("open");
            let Event::Received { key: of, buffer, length, flags } = event(engine) else {
                panic!("nothing was received")
            };
            assert_eq!((of, &engine.bytes(buffer)[..length as usize]), (key(3), word));
            assert_eq!(flags, ReceiveFlags { still_armed: true, more_readable: false });
            engine.release(buffer);
        }
        for (words, is_last) in [(&[&b"whole"[..]][..], false), (&[b"in", b" ", b"parts"], true)] {
            let slices: Vec<_> = words.iter().map(|word| fill(engine, word)).collect();
            let bytes = words.concat();
            engine.send(ours, key(3), &slices, is_last);
            let result = Ok(bytes.len() as u32);
            assert_eq!(event(engine), Event::Sent { key: key(3), result });
            slices.iter().for_each(|slice| engine.release(slice.buffer));
            if is_last {
                engine.shutdown_write(ours);
            }
            let mut read = vec![0; bytes.len()];
            theirs.read_exact(&mut read).expect("it was sent");
            assert_eq!(read, bytes);
        }
        assert_eq!(theirs.read(&mut [0]).expect("the end"), 0);
        drop(theirs);
        assert_eq!(event(engine), Event::ReceiveEnded { key: key(3), failure: None });
        engine.close(ours, Close::Graceful);
        assert_eq!(engine.buffers_held(), BuffersHeld::default());
    });
}

#[test]
fn a_cancelled_receive_ends_and_a_poll_reports_what_comes_then() {
    on_each_kernel(|engine| {
        let (ours, mut theirs) = pair();
        engine.receive(ours, key(4));
        engine.cancel(Op::Receive, key(4));
        let failure = Some(Failure::Cancelled);
        assert_eq!(event(engine), Event::ReceiveEnded { key: key(4), failure });
        engine.poll(ours, key(4));
        theirs.write_all(b"x").expect("open");
        assert_eq!(event(engine), Event::Readable { key: key(4) });
        engine.close(ours, Close::Reset);
        let error = theirs.read(&mut [0]).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn another_thread_wakes_a_turn() {
    on_each_kernel(|engine| {
        let wake = engine.wake.clone();
        for _ in 0..3 {
            let wake = wake.clone();
            let waker = std::thread::spawn(move || wake.wake());
            assert_eq!(event(engine), Event::Woken);
            waker.join().expect("it has woken");
        }
    });
}

#[test]
fn a_receive_that_finds_no_buffer_loses_nothing() {
    const BYTES: usize = 8 * RECEIVE_BUFFERS * 16 * 1024;
    on_each_kernel(|engine| {
        let (ours, mut theirs) = pair();
        let writer = std::thread::spawn(move || theirs.write_all(&vec![b'x'; BYTES]));
        let (mut held, mut received, mut ran_out) = (Vec::new(), 0, 0);
        engine.receive(ours, key(5));
        while received < BYTES {
            match event(engine) {
                Event::Received { buffer, length, flags, .. } => {
                    received += length as usize;
                    held.push(buffer);
                    if !flags.still_armed {
                        engine.receive(ours, key(5));
                    }
                }
                Event::ReceiveEnded { failure: Some(Failure::NoBuffers), .. } => {
                    ran_out += 1;
                    held.drain(..).for_each(|buffer| engine.release(buffer));
                    engine.receive(ours, key(5));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(received == BYTES && ran_out > 0, "{received} bytes, {ran_out} times");
        writer.join().expect("no panic").expect("all is written");
    });
}

/// What the kernel has in each second after a burst.
fn course(engine: &mut Uring) -> Vec<usize> {
    let begun = engine.now;
    for _ in 0..3 {
        engine.buffers.begin_turn(begun);
        engine.buffers.group(RECEIVE_GROUP).expect("there is one").provide_more();
    }
    assert_eq!(engine.buffers.provided(), 512);
    // No data came: what the kernel gives back comes by itself, a part of it in each turn.
    let of_second = |second| {
        for _ in 0..10 {
            engine.buffers.begin_turn(begun + Duration::from_secs(second));
            engine.take_buffers_back();
            engine.enter(engine.now);
            assert_eq!(engine.next_event(), None);
        }
        engine.buffers.provided()
    };
    (1..8).map(of_second).collect()
}

#[test]
fn the_kernel_gives_buffers_back_that_it_needs_no_more() {
    for features in [Features::ALL, Features::OF_6_1] {
        let mut engine = engine(features, 512);
        assert_eq!(course(&mut engine), [512, 256, 128, 64, 64, 64, 64]);
        assert_eq!(engine.buffers.held_count(), BuffersHeld::default());
    }
}

#[test]
fn a_kernel_that_refuses_to_give_buffers_back_uses_them() {
    for null in [None, File::options().write(true).open("/dev/null").ok()] {
        let mut engine = engine(Features::ALL, 512);
        // What is open for writing only cannot be read, and the reads fail.
        engine.null = null;
        let course = course(&mut engine);
        assert!(course.iter().all(|count| (64..=512).contains(count)), "{course:?}");
        let (ours, mut theirs) = pair();
        engine.receive(ours, key(6));
        for _ in 0..1000 {
            theirs.write_all(b"more").expect("open");
            let Event::Received { buffer, length: 4, .. } = event(&mut engine) else {
                panic!("nothing was received")
            };
            engine.release(buffer);
        }
        assert_eq!(engine.buffers.held_count(), BuffersHeld::default());
    }
}
