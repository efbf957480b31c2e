//! The coordinator stands still, and the data plane does not notice.

use super::held_thread::HeldThread;
use super::{QUICK, config};
use crate::drilling::{self, record};
use crate::loopback::harness::await_that;
use crate::loopback::load::{Load, Operated, OriginProcess};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a drill holds it.
const HELD: Duration = Duration::from_secs(10);

#[test]
fn a_stopped_coordinator_does_not_stop_the_shards_and_catches_up() {
    let origins: Vec<OriginProcess> = (0..2).map(|_| OriginProcess::start()).collect();
    let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    let text = config(&addresses, "", QUICK);
    let operated = Operated::start(&text);
    addresses.iter().for_each(|address| operated.await_standing(*address, "serving"));
    let load = Load::start(operated.ringway.address, 64, "/1/200");
    load.await_answers(200);
    let least = drilling::duration().map_or(Duration::ZERO, |_| HELD);
    let (began, before) = (Instant::now(), load.answered());
    // The first thread is the coordinator's. It stops where the debugger holds it.
    let held = HeldThread::of(operated.ringway.pid());
    load.await_answers(3_000);
    while began.elapsed() < least {
        load.await_answers(100);
    }
    let (lasted, answered) = (began.elapsed(), load.answered() - before);
    drop(held);
    load.await_answers(200);
    let seen = load.stop();
    assert_eq!(seen.failed, 0, "{:?}", seen.failures);
    record("coordinator held", "seconds", lasted.as_secs());
    record("coordinator held", "answers meanwhile", answered);
    record("coordinator held", "failed", seen.failed);

    // Health and reloads work as before.
    assert_eq!(operated.json(&["status"])["phase"], "serving");
    origins[0].kill();
    operated.await_standing(addresses[0], "down");
    origins[0].restart();
    operated.await_standing(addresses[0], "serving");
    operated.rewrite(&config(&addresses[1..], "", QUICK));
    assert_eq!(operated.json(&["reload"])["applied"], true);
    await_that("it is forgotten", || operated.backend(addresses[0]).is_null());
    assert_eq!(operated.ringway.status_of("/1/1"), 200);
}
