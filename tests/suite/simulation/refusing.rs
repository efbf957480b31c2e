//! Every malformed request, split at every byte, through the real shard: the client gets the right
//! answer, and what backends get of it.

use super::engine::SimEngine;
use super::network::{Meanness, Network};
use super::scene::CALM;
use super::{config, shard_on};
use crate::conformance::requests::{self, Malformed, Place};
use crate::loopback::harness::status;
use ringway::engine::Close;
use ringway::shard::Shard;
use std::cell::RefCell;
use std::rc::Rc;

/// A network where each piece arrives at once, as it was sent.
const WHOLE: Meanness = Meanness { receive_bytes_max: u32::MAX, ..CALM };

/// More turns than one exchange takes.
const TURNS_MAX: usize = 100;

struct Scene {
    network: Rc<RefCell<Network>>,
    shard: Shard<SimEngine>,
}

impl Scene {
    fn new() -> Self {
        let mut config = config();
        config.http.head_bytes_max = requests::HEAD_BYTES_MAX;
        let network = Rc::new(RefCell::new(Network::new(1, WHOLE)));
        let engine = SimEngine::new(network.clone(), 16, 64);
        let (shard, _) = shard_on(engine, &config, 1);
        Self { network, shard }
    }

    fn await_that(&mut self, what: &str, holds: impl Fn(&Network) -> bool) {
        for _ in 0..TURNS_MAX {
            let mut network = self.network.borrow_mut();
            // Backends accept at once.
            for (socket, _) in std::mem::take(&mut network.connects) {
                network.streams.get_mut(&socket).expect("begun").is_connected = true;
            }
            if holds(&network) {
                return;
            }
            drop(network);
            self.shard.turn();
        }
        panic!("in vain: {what}");
    }

    /// Sends a request in these pieces, one after the other; returns the answer and what the
    /// backend got of the request, if anything.
    fn exchange(&mut self, pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let client = self.network.borrow_mut().client_connects();
        for piece in pieces {
            let mut network = self.network.borrow_mut();
            network.streams.get_mut(&client).expect("open").to_proxy.extend(*piece);
            drop(network);
            self.await_that("it is received", |network| {
                network.streams[&client].to_proxy.is_empty()
            });
            self.shard.turn();
        }
        self.await_that("it is answered", |network| network.streams[&client].proxy_ended);
        self.network.borrow_mut().streams.get_mut(&client).expect("open").actor_ended = true;
        self.await_that("all is closed", |network| {
            network.streams.values().all(|stream| stream.proxy_closed.is_some())
        });
        self.shard.turn();
        let mut streams = std::mem::take(&mut self.network.borrow_mut().streams);
        let answer = streams.remove(&client).expect("it was there").to_actor;
        let cut = streams.values().filter(|stream| stream.proxy_closed == Some(Close::Reset));
        assert_eq!(cut.count(), streams.len(), "a connection with half a request is cut");
        (answer, streams.into_values().flat_map(|stream| stream.to_actor).collect())
    }

    fn refuses(&mut self, request: &Malformed, at: usize) {
        let (one, two) = request.bytes.split_at(at);
        let (answer, forwarded) = self.exchange(&[one, two]);
        let shown = || format!("{}: {} at {at}", request.rule, request.bytes.escape_ascii());
        assert_eq!(status(&answer), request.status, "{}", shown());
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(text.matches("Connection: close\r\n").count(), 1, "{}: {text:?}", shown());
        match request.place {
            Place::Head => assert_eq!(forwarded, b"", "{}", shown()),
            Place::Body => assert!(is_cut_short(&forwarded), "{}", shown()),
        }
        let traffic = self.shard.traffic();
        assert!(traffic.sessions.is_empty() && traffic.upstreams.is_empty(), "{}", shown());
        assert_eq!(traffic.wire.engine.held_count(), 0, "{}", shown());
    }
}

/// True for nothing, or for a head and chunks without the last one.
fn is_cut_short(forwarded: &[u8]) -> bool {
    !forwarded.ends_with(b"0\r\n\r\n") && !forwarded.windows(5).any(|end| end == b"0\r\n\r\n")
}

#[test]
fn a_malformed_request_is_refused_alike_wherever_it_is_split_and_reaches_no_backend() {
    let mut scene = Scene::new();
    for request in &requests::all() {
        (1..=request.bytes.len()).for_each(|at| scene.refuses(request, at));
    }
}
