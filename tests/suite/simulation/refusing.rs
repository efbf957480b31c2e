//! Every malformed request, split at every byte, through the real shard: the client gets the right
//! answer, and what backends get of it.

use super::lone::{CALM, Lone, config};
use super::network::{Meanness, Network};
use crate::conformance::requests::{self, Malformed, Place};
use crate::loopback::harness::status;
use ringway::engine::Close;

/// A network where each piece arrives at once, as it was sent.
const WHOLE: Meanness = Meanness { receive_bytes_max: u32::MAX, ..CALM };

/// More turns than one exchange takes.
const TURNS_MAX: usize = 100;

struct Scene(Lone);

impl Scene {
    fn new() -> Self {
        let mut config = config();
        config.http.head_bytes_max = requests::HEAD_BYTES_MAX;
        Self(Lone::new(&config, WHOLE, [16, 64]))
    }

    fn await_that(&mut self, what: &str, holds: impl Fn(&Network) -> bool) {
        for _ in 0..TURNS_MAX {
            if holds(&self.0.network.borrow()) {
                return;
            }
            self.0.turn();
        }
        panic!("in vain: {what}");
    }

    /// Sends a request in these pieces, one after the other; returns the answer and what the
    /// backend got of the request, if anything.
    fn exchange(&mut self, pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let client = self.0.connect();
        for piece in pieces {
            let mut network = self.0.network.borrow_mut();
            network.streams.get_mut(&client).expect("open").to_proxy.push(piece);
            drop(network);
            self.await_that("it is received", |network| {
                network.streams[&client].to_proxy.is_empty()
            });
            self.0.turn();
        }
        self.await_that("it is answered", |network| network.streams[&client].proxy_ended);
        self.0.network.borrow_mut().streams.get_mut(&client).expect("open").actor_ended = true;
        self.await_that("all is closed", |network| {
            network.streams.values().all(|stream| stream.proxy_closed.is_some())
        });
        self.0.turn();
        let mut streams = std::mem::take(&mut self.0.network.borrow_mut().streams);
        let answer = streams.remove(&client).expect("it was there").to_actor.front().to_vec();
        let cut = streams.values().filter(|stream| stream.proxy_closed == Some(Close::Reset));
        assert_eq!(cut.count(), streams.len(), "a connection with half a request is cut");
        let forwarded = streams.into_values().flat_map(|stream| stream.to_actor.front().to_vec());
        (answer, forwarded.collect())
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
        let traffic = self.0.shard.traffic();
        assert!(traffic.clients().is_empty() && traffic.connections().is_empty(), "{}", shown());
        assert_eq!(traffic.engine().held_count(), 0, "{}", shown());
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
