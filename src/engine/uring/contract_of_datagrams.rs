//! The contract of an engine about datagrams, on the kernel.

use super::contract::{PATIENCE, event, on_each_kernel};
use super::*;
use crate::engine::{DATAGRAM_HEADROOM, Owner};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

const DATAGRAM_BYTES_MAX: usize = 65_507;

fn listener() -> Key {
    Key::new(Owner::Listener, 1, 1)
}

fn flow() -> Key {
    Key::new(Owner::Flow, 2, 7)
}

fn bound(ip: &str) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("an option");
    socket
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

/// A socket on all addresses of a family that reports which of them was asked.
fn reporting(is_ipv6: bool) -> UdpSocket {
    let (ip, level, option) = match is_ipv6 {
        false => ("0.0.0.0", libc::IPPROTO_IP, libc::IP_PKTINFO),
        true => ("::", libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    let socket = bound(ip);
    let (on, length) = (1i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: the kernel reads one integer of that size.
    let result = unsafe {
        let on = (&raw const on).cast();
        libc::setsockopt(socket.as_raw_fd(), level, option, on, length)
    };
    assert_eq!(result, 0);
    socket
}

/// The next datagram, and whether its receive goes on.
fn datagram(engine: &mut Uring, of: Key) -> (Datagram, bool) {
    match event(engine) {
        Event::Datagram { key, buffer, more } if key == of => (engine.datagram(buffer), more),
        other => panic!("{other:?}"),
    }
}

fn bytes(engine: &Uring, slice: Slice) -> &[u8] {
    &engine.bytes(slice.buffer)[slice.start as usize..slice.end as usize]
}

fn read(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
    let (length, from) = socket.recv_from(&mut buffer).expect("a datagram");
    buffer.truncate(length);
    (buffer, from)
}

#[test]
fn datagrams_come_whole_with_both_addresses_and_answers_leave_from_the_one_that_was_asked() {
    on_each_kernel(|engine| {
        for (is_ipv6, asked) in [(false, "127.0.0.1"), (false, "127.0.0.2"), (true, "::1")] {
            let (ours, theirs) = (reporting(is_ipv6), bound(asked));
            let (socket, port) = (Socket(ours.as_raw_fd()), address(&ours).port());
            let asked: IpAddr = asked.parse().expect("an address");
            engine.receive_datagrams(socket, listener());
            for length in [1, 100, 1_472, 9_000, DATAGRAM_BYTES_MAX] {
                let sent = vec![length as u8; length];
                theirs.send_to(&sent, (asked, port)).expect("sent");
                let (got, more) = datagram(engine, listener());
                assert!(more && got.is_whole);
                assert_eq!((got.from, got.to), (Some(address(&theirs)), Some(asked)));
                assert!(bytes(engine, got.payload) == sent, "{length} bytes");
                let (address, source) = (address(&theirs), got.to);
                let destination = Some(Destination { address, source });
                engine.send_datagram(socket, listener(), got.payload, destination);
                engine.turn(engine.now());
                let (answer, from) = read(&theirs);
                assert!(answer == sent && from == (asked, port).into(), "{from}");
            }
            engine.cancel(Op::ReceiveDatagrams, listener());
            let failure = Some(Failure::Cancelled);
            assert_eq!(event(engine), Event::ReceiveEnded { key: listener(), failure });
            assert_eq!(engine.buffers_held(), BuffersHeld::default());
        }
    });
}

#[test]
fn a_socket_on_one_address_answers_without_being_told_where_from() {
    on_each_kernel(|engine| {
        let (ours, theirs) = (bound("127.0.0.3"), bound("127.0.0.1"));
        let socket = Socket(ours.as_raw_fd());
        engine.receive_datagrams(socket, listener());
        theirs.send_to(b"ask", address(&ours)).expect("sent");
        let (got, _) = datagram(engine, listener());
        assert_eq!((got.from, got.to), (Some(address(&theirs)), None));
        let destination = Destination { address: address(&theirs), source: None };
        engine.send_datagram(socket, listener(), got.payload, Some(destination));
        engine.turn(engine.now());
        assert_eq!(read(&theirs), (b"ask".to_vec(), address(&ours)));
    });
}

#[test]
fn an_empty_datagram_comes_and_goes_and_its_receive_is_made_again() {
    on_each_kernel(|engine| {
        let theirs = bound("127.0.0.1");
        let socket = engine.connect_datagrams(address(&theirs), Source::Any).expect("a port");
        let own = engine.local_address(socket).expect("bound");
        engine.receive_datagrams(socket, flow());
        for round in 0..20 {
            let sent = if round % 3 == 2 { &b"full"[..] } else { b"" };
            theirs.send_to(sent, own).expect("sent");
            let (got, more) = datagram(engine, flow());
            assert_eq!((bytes(engine, got.payload), got.is_whole), (sent, true));
            if !more {
                engine.receive_datagrams(socket, flow());
            }
            engine.send_datagram(socket, flow(), got.payload, None);
            engine.turn(engine.now());
            assert_eq!(read(&theirs), (sent.to_vec(), own));
        }
        engine.cancel(Op::ReceiveDatagrams, flow());
        assert!(matches!(event(engine), Event::ReceiveEnded { .. }));
        engine.close(socket, Close::Graceful);
        assert_eq!(engine.buffers_held(), BuffersHeld::default());
    });
}

#[test]
fn a_header_can_be_written_in_front_of_a_datagram() {
    on_each_kernel(|engine| {
        let theirs = bound("::1");
        let socket = engine.connect_datagrams(address(&theirs), Source::Any).expect("a port");
        engine.receive_datagrams(socket, flow());
        theirs.send_to(b"payload", engine.local_address(socket).expect("bound")).expect("sent");
        let Slice { buffer, start, end } = datagram(engine, flow()).0.payload;
        let head = start as usize - DATAGRAM_HEADROOM..start as usize;
        engine.bytes_mut(buffer)[head.clone()].fill(b'h');
        let whole = Slice { buffer, start: head.start as u32, end };
        engine.send_datagram(socket, flow(), whole, None);
        engine.turn(engine.now());
        let expected = [&[b'h'; DATAGRAM_HEADROOM][..], b"payload"].concat();
        assert_eq!(read(&theirs).0, expected);
        engine.cancel(Op::ReceiveDatagrams, flow());
        assert!(matches!(event(engine), Event::ReceiveEnded { .. }));
        engine.close(socket, Close::Graceful);
    });
}

#[test]
fn an_unreachable_port_ends_the_receive_or_loses_the_next_datagram() {
    on_each_kernel(|engine| {
        let ours = bound("127.0.0.1");
        let listening = Socket(ours.as_raw_fd());
        engine.receive_datagrams(listening, listener());
        let client = bound("127.0.0.1");
        let next = || {
            client.send_to(b"ask", address(&ours)).expect("sent");
        };
        let gone = address(&bound("127.0.0.1"));
        let socket = engine.connect_datagrams(gone, Source::Any).expect("a port");
        for receives_first in [true, false] {
            if receives_first {
                engine.receive_datagrams(socket, flow());
            }
            for _ in 0..2 {
                next();
                let (got, _) = datagram(engine, listener());
                engine.send_datagram(socket, flow(), got.payload, None);
                if receives_first {
                    break;
                }
            }
            let (key, failure) = (flow(), Failure::Refused);
            let expected = match receives_first {
                true => Event::ReceiveEnded { key, failure: Some(failure) },
                false => Event::DatagramLost { key, failure },
            };
            assert_eq!(event(engine), expected);
        }
        engine.close(socket, Close::Graceful);
        // The listener's socket has not noticed.
        next();
        let (got, more) = datagram(engine, listener());
        engine.release(got.payload.buffer);
        assert!(more);
    });
}

#[test]
fn what_is_too_long_is_lost_and_its_buffer_is_free_again() {
    on_each_kernel(|engine| {
        let theirs = bound("127.0.0.1");
        let socket = engine.connect_datagrams(address(&theirs), Source::Any).expect("a port");
        engine.receive_datagrams(socket, flow());
        let own = engine.local_address(socket).expect("bound");
        theirs.send_to(&[1; DATAGRAM_BYTES_MAX], own).expect("sent");
        let (got, _) = datagram(engine, flow());
        let whole = Slice { start: got.payload.start - 1, ..got.payload };
        engine.send_datagram(socket, flow(), whole, None);
        let lost = Event::DatagramLost { key: flow(), failure: Failure::TooLong };
        assert_eq!(event(engine), lost);
        assert_eq!(engine.buffers_held(), BuffersHeld::default());
    });
}

#[test]
fn a_receive_that_finds_no_buffer_gets_the_rest_when_it_is_made_again() {
    const COUNT: usize = 100;
    on_each_kernel(|engine| {
        let (ours, theirs) = (bound("127.0.0.1"), bound("127.0.0.1"));
        let socket = Socket(ours.as_raw_fd());
        for number in 0..COUNT {
            theirs.send_to(&[number as u8], address(&ours)).expect("sent");
        }
        engine.receive_datagrams(socket, listener());
        let (mut held, mut ran_out) = (Vec::new(), 0);
        while held.len() < COUNT {
            match event(engine) {
                Event::Datagram { buffer, more: true, .. } => held.push(buffer),
                Event::ReceiveEnded { failure: Some(Failure::NoBuffers), .. } => {
                    ran_out += 1;
                    engine.receive_datagrams(socket, listener());
                }
                other => panic!("{other:?}"),
            }
        }
        for (number, buffer) in held.into_iter().enumerate() {
            let payload = engine.datagram(buffer).payload;
            assert_eq!(bytes(engine, payload), [number as u8], "they come in order");
            engine.release(buffer);
        }
        assert_eq!(ran_out, 1, "64 are there at first");
    });
}

#[test]
fn more_datagrams_than_the_queue_has_room_for_are_sent_in_one_turn() {
    on_each_kernel(|engine| {
        let (ours, theirs) = (reporting(false), bound("127.0.0.1"));
        let socket = Socket(ours.as_raw_fd());
        engine.receive_datagrams(socket, listener());
        let mut waiting = Vec::new();
        for number in 0..600u16 {
            theirs.send_to(&number.to_ne_bytes(), address(&ours)).ok();
            loop {
                match event(engine) {
                    Event::Datagram { buffer, .. } => break waiting.push(buffer),
                    Event::ReceiveEnded { failure: Some(Failure::NoBuffers), .. } => {
                        engine.receive_datagrams(socket, listener());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        for (at, buffer) in waiting.into_iter().enumerate() {
            let Datagram { payload, from, to, .. } = engine.datagram(buffer);
            let address = from.expect("reported");
            let source = to.filter(|_| at % 2 == 0);
            let destination = Some(Destination { address, source });
            engine.send_datagram(socket, listener(), payload, destination);
            if at % 100 == 99 {
                engine.turn(engine.now());
                for number in at - 99..=at {
                    assert_eq!(read(&theirs).0, (number as u16).to_ne_bytes());
                }
            }
        }
        assert_eq!(engine.buffers_held(), BuffersHeld::default());
    });
}

#[test]
fn buffers_of_datagrams_come_back_after_a_burst() {
    let mut engine = super::contract::engine(Features::ALL, 64);
    engine.buffers.need_datagrams(&engine.ring).expect("memory");
    let begun = engine.now;
    for _ in 0..3 {
        engine.buffers.begin_turn(begun);
        engine.provide_more(DATAGRAM_GROUP);
    }
    let mut provided = Vec::new();
    for second in 1..7 {
        for _ in 0..10 {
            engine.buffers.begin_turn(begun + Duration::from_secs(second));
            engine.take_buffers_back();
            engine.enter(engine.now);
            assert_eq!(engine.next_event(), None);
        }
        provided.push(engine.buffers.group(DATAGRAM_GROUP).expect("made").provided());
    }
    assert_eq!(provided, [512, 256, 128, 64, 64, 64]);
}
