//! In steady state a request costs no heap allocation.

use super::{OPTIONS, stage};
use crate::counting::allocations;
use crate::loopback::harness::{Origin, connect, ok, read_until};
use ringway::engine::uring::{Features, Uring};
use ringway::mailbox::Stage;
use ringway::shard::{Shard, ShardParts};
use std::io::Write;

/// Allocations of a warm shard in 1,800 requests.
fn allocated(features: Features) -> u64 {
    let origin = Origin::http(|_, body| ok(body));
    let scene = stage(1, origin.address);
    let mailbox = scene.mailboxes[0].clone();
    let (address, wakes) = (scene.address, scene.wakes.clone());
    let (began, has_begun) = std::sync::mpsc::channel();
    let shard = std::thread::spawn(move || {
        let engine = Uring::with_features(&OPTIONS, features, wakes[0].clone());
        let engine = engine.expect("io_uring works here");
        let mut shard = Shard::new(ShardParts {
            engine,
            mailboxes: scene.mailboxes,
            index: 0,
            snapshot: scene.snapshot,
            access_log: None,
            seed: 1,
        });
        let requests = ringway::stats::Counter::Requests;
        let counters = shard.traffic().counters_of_shard();
        let run_until = |shard: &mut Shard<Uring>, wanted: u64| {
            while counters.read(requests) < wanted {
                shard.turn();
            }
        };
        began.send(()).expect("awaited");
        run_until(&mut shard, 200);
        let before = allocations();
        run_until(&mut shard, 2_000);
        let allocated = allocations() - before;
        shard.run();
        allocated
    });
    has_begun.recv().expect("it runs");
    let mut stream = connect(address);
    let get = "GET /a/path?with=query HTTP/1.1\r\nHost: t\r\nUser-Agent: x\r\nCookie: y=z\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
    for turn in 0..2_100 {
        let (request, end) = if turn % 2 == 0 { (get, "0\r\n\r\n") } else { (post, "hello") };
        stream.write_all(request.as_bytes()).expect("sent");
        read_until(&mut stream, end.as_bytes());
    }
    drop(stream);
    mailbox.order(Stage::Draining);
    shard.join().expect("it ends")
}

#[test]
fn a_request_allocates_nothing_once_the_shard_is_warm() {
    for features in [Features::ALL, Features::OF_6_1] {
        assert_eq!(allocated(features), 0, "{features:?}");
    }
}
