//! Datagrams on the simulated network without a shard: what its engine promises.

use super::datagrams::{Mishaps, Packet};
use super::engine::SimEngine;
use super::lone::CALM;
use super::network::Network;
use ringway::engine::{
    Close, Destination, Engine, Event, Failure, Key, Op, Owner, Slice, Socket, Source,
};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// Of the host that the engine runs on.
fn own() -> SocketAddr {
    ([192, 0, 2, 3], 53).into()
}

fn client() -> SocketAddr {
    ([198, 51, 100, 7], 1234).into()
}

fn backend() -> SocketAddr {
    ([203, 0, 113, 1], 53).into()
}

/// An engine with a socket of a listener that is received from.
struct Bench {
    network: Rc<RefCell<Network>>,
    engine: SimEngine,
    listening: Socket,
}

const LISTENER: fn() -> Key = || Key::new(Owner::Listener, 0, 1);
const FLOW: fn() -> Key = || Key::new(Owner::Flow, 0, 1);

impl Bench {
    fn new(mishaps: Mishaps) -> Self {
        let mut network = Network::new(1, CALM, 1);
        network.datagrams.mishaps = mishaps;
        let listening = network.open_mouth(([0, 0, 0, 0], 53).into(), 0);
        let network = Rc::new(RefCell::new(network));
        let mut engine = SimEngine::new(0, network.clone(), 4, 4);
        engine.receive_datagrams(listening, LISTENER());
        Self { network, engine, listening }
    }

    fn post(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.network.borrow_mut().post(Packet { from, to, bytes: bytes.to_vec() });
    }

    fn events(&mut self) -> Vec<Event> {
        self.network.borrow_mut().deliver();
        let now = self.engine.now();
        self.engine.turn(now);
        std::iter::from_fn(|| self.engine.next_event()).collect()
    }

    fn slice(&mut self) -> Slice {
        match &self.events()[..] {
            [Event::Datagram { buffer, .. }] => self.engine.datagram(*buffer).payload,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_datagram_goes_through_and_its_answer_comes_back() {
    let mut bench = Bench::new(Mishaps::NONE);
    let (client, backend) = (client(), backend());
    bench.post(client, own(), b"ask");
    let asked = bench.slice();
    let socket = bench.engine.connect_datagrams(backend, Source::Any).expect("a port");
    bench.engine.receive_datagrams(socket, FLOW());
    bench.engine.send_datagram(socket, FLOW(), asked, None);
    assert_eq!(bench.events(), []);
    let at_backend = bench.network.borrow_mut().datagrams.arrived.pop_front().expect("sent");
    assert_eq!((at_backend.to, &*at_backend.bytes), (backend, &b"ask"[..]));
    bench.post(backend, at_backend.from, b"answer");
    let answer = bench.slice();
    let destination = Destination { address: client, source: Some(own().ip()) };
    bench.engine.send_datagram(bench.listening, LISTENER(), answer, Some(destination));
    assert_eq!(bench.events(), []);
    let at_client = bench.network.borrow_mut().datagrams.arrived.pop_front().expect("sent");
    let expected = Packet { from: own(), to: client, bytes: b"answer".to_vec() };
    assert_eq!(at_client, expected);
    bench.engine.cancel(Op::ReceiveDatagrams, FLOW());
    let failure = Some(Failure::Cancelled);
    assert_eq!(bench.events(), [Event::ReceiveEnded { key: FLOW(), failure }]);
    bench.engine.close(socket, Close::Graceful);
    assert_eq!(bench.network.borrow().datagrams.mouths.len(), 1);
    assert_eq!(bench.engine.held_count(), 0);
}

#[test]
fn mishaps_happen() {
    let mishaps = Mishaps { lost_one_in: 3, doubled_one_in: 3, delay_max: 5, ..Mishaps::NONE };
    let mut bench = Bench::new(mishaps);
    (0..100).for_each(|number| bench.post(client(), own(), &[number]));
    let mut came = Vec::new();
    for _ in 0..8 {
        for event in bench.events() {
            let Event::Datagram { buffer, .. } = event else { panic!("{event:?}") };
            let Slice { end, .. } = bench.engine.datagram(buffer).payload;
            came.push(bench.engine.bytes(buffer)[end as usize - 1]);
            bench.engine.release(buffer);
        }
    }
    let is_there = |number: &u8| came.contains(number);
    let there = (0..100).filter(is_there).count();
    assert!((50..90).contains(&there) && came.len() > there && !came.is_sorted());
}

#[test]
fn nobody_is_there_or_has_room() {
    let mut bench = Bench::new(Mishaps { unsent_one_in: 1, ..Mishaps::NONE });
    bench.network.borrow_mut().datagrams.dead.insert(backend());
    let socket = bench.engine.connect_datagrams(backend(), Source::Any).expect("a port");
    for failure in [Failure::NoBuffers, Failure::Refused] {
        // To a socket of this host nothing is lost.
        bench.post(client(), own(), b"ask");
        let asked = bench.slice();
        bench.engine.send_datagram(socket, FLOW(), asked, None);
        assert_eq!(bench.events(), [Event::DatagramLost { key: FLOW(), failure }]);
        bench.post(bench.engine.local_address(socket).expect("bound"), backend(), b"x");
        bench.events();
    }
    assert_eq!(bench.network.borrow().datagrams.icmp, 2);
    bench.engine.receive_datagrams(socket, FLOW());
    let failure = Some(Failure::Refused);
    assert_eq!(bench.events(), [Event::ReceiveEnded { key: FLOW(), failure }]);
}
