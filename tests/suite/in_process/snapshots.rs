//! Who frees a snapshot.

use super::panics::FixedSockets;
use super::stage;
use ringway::base::Generation;
use ringway::coordinator::Control;
use ringway::coordinator::fleet::Operation;
use ringway::mailbox::Taken;
use ringway::snapshot::Snapshot;
use ringway::sys::clock;
use std::sync::Arc;

fn newer(taken: Option<Taken>) -> Option<Arc<Snapshot>> {
    taken?.newest
}

#[test]
fn a_snapshot_is_freed_by_the_coordinator_and_never_by_a_shard() {
    let backend = "192.0.2.1:80".parse().expect("an address");
    let scene = stage(2, backend);
    let listen_sockets = FixedSockets { bound: scene.address, sockets: scene.sockets };
    let (mailboxes, now) = (scene.mailboxes, clock::monotonic());
    let control = Control::new(scene.config, Box::new(listen_sockets), mailboxes.clone(), now);
    let mut control = control.expect("its open is open");
    control.step(now);
    let first = Arc::downgrade(&control.snapshot());
    let of_shards = mailboxes.iter().map(|mailbox| mailbox.take(Generation(0)));
    let of_shards: Vec<_> = of_shards.map(|taken| newer(taken).expect("it is there")).collect();
    let reweigh = |control: &mut Control, weight| {
        let order = [Operation::Weight(weight)];
        control.operate("default", backend, &order, now).expect("it is there");
        Arc::downgrade(&control.snapshot())
    };
    let skipped = reweigh(&mut control, Some(3));
    let newest = reweigh(&mut control, Some(5));
    control.step(now);
    assert!(skipped.upgrade().is_none(), "no shard has taken it");
    // The shards go on one by one.
    for (mailbox, old) in mailboxes.iter().zip(of_shards) {
        let newer = newer(mailbox.take(old.generation)).expect("there is a newer one");
        assert!(Arc::ptr_eq(&newer, &control.snapshot()));
        drop(old);
        assert!(first.upgrade().is_some(), "a shard has freed it");
    }
    control.step(now);
    assert!(first.upgrade().is_none(), "it is kept for ever");
    assert!(newest.upgrade().is_some());
}
