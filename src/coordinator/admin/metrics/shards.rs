//! Metrics of the process and its shards: phase, connections, buffers, counters, listeners.

use super::text::Text;
use crate::base::Instant;
use crate::config::{Choice, Protocol, Transport};
use crate::coordinator::control::Control;
use crate::coordinator::process::{Listeners, Shards};
use crate::mailbox::{Ledger, ListenerCell, Mailbox};
use crate::snapshot::Listener;
use crate::stats::{CloseReason, Counter};
use std::sync::Arc;

pub(super) fn process(text: &mut Text, control: &Control, now: Instant) {
    let version = [("version", env!("CARGO_PKG_VERSION")), ("commit", env!("RINGWAY_COMMIT"))];
    text.family("ringway_build_info", "gauge", "The version that runs; the value is always 1.");
    text.sample("ringway_build_info", &version, 1);
    text.family("ringway_uptime_seconds", "gauge", "Seconds since the process began.");
    text.sample("ringway_uptime_seconds", &[], control.uptime(now).as_secs());
    text.family("ringway_phase", "gauge", "1 for the phase that the process is in.");
    text.sample("ringway_phase", &[("phase", control.course().phase().word())], 1);
    let is_ready = control.readiness().process().readiness.ready;
    text.family("ringway_ready", "gauge", "1 if traffic should come here.");
    text.sample("ringway_ready", &[], u8::from(is_ready));
    text.family("ringway_generation", "gauge", "The newest snapshot.");
    text.sample("ringway_generation", &[], control.generation());
    shards(text, control.shards(), now);
    buffers(text, control.shards());
    let dropped = control.shards().observations_dropped();
    let name = "ringway_observations_dropped_total";
    text.family(name, "counter", "Failures of backends dropped because their queue was full.");
    text.sample(name, &[], dropped);
}

/// One family after the other: all lines of a metric must be one group.
fn shards(text: &mut Text, shards: &Shards, now: Instant) {
    type Read = fn(&Mailbox, Instant) -> f64;
    let families: [(&str, &str, Read); 3] = [
        ("ringway_shard_generation", "The snapshot that a shard works with.", |mailbox, _| {
            mailbox.applied().0 as f64
        }),
        ("ringway_shard_connections", "Client connections of a shard.", |mailbox, _| {
            mailbox.connections().into()
        }),
        ("ringway_shard_turn_age_seconds", "Seconds since a shard last turned.", |mailbox, now| {
            now.since(mailbox.last_turn()).as_secs_f64()
        }),
    ];
    for (name, help, read) in families {
        text.family(name, "gauge", help);
        for (shard, mailbox) in shards.mailboxes().iter().enumerate() {
            text.sample(name, &[("shard", &shard.to_string())], read(mailbox, now));
        }
    }
}

fn buffers(text: &mut Text, shards: &Shards) {
    let name = "ringway_shard_buffers_held";
    let help = "Buffers of a shard that hold bytes: of the receive ring, or its own.";
    text.family(name, "gauge", help);
    for (shard, mailbox) in shards.mailboxes().iter().enumerate() {
        let shard = shard.to_string();
        let held = mailbox.buffers_held();
        for (kind, count) in [("receive", held.receive), ("private", held.private)] {
            text.sample(name, &[("shard", &shard), ("kind", kind)], count);
        }
    }
}

pub(super) fn counters(text: &mut Text, shards: &Shards) {
    for counter in Counter::ALL {
        text.family(counter.name(), "counter", counter.help());
        for (shard, mailbox) in shards.mailboxes().iter().enumerate() {
            let value = mailbox.counters.read(*counter);
            text.sample(counter.name(), &[("shard", &shard.to_string())], value);
        }
    }
    let name = "ringway_sessions_closed_total";
    text.family(
        name,
        "counter",
        "Client connections that ended, by reason and whose fault it was.",
    );
    for reason in CloseReason::ALL {
        let counters = shards.mailboxes().iter().map(|mailbox| &mailbox.counters);
        let count: u64 = counters.map(|counters| counters.read_closes(*reason)).sum();
        let fault = format!("{:?}", reason.fault()).to_lowercase();
        text.sample(name, &[("reason", reason.label()), ("fault", &fault)], count);
    }
}

pub(super) fn listeners(text: &mut Text, listeners: &Listeners, ledger: &Ledger) {
    let name = "ringway_listener_info";
    text.family(name, "gauge", "1, with the protocol and the address of a listener.");
    for listener in listeners.iter() {
        let address = listener.address.to_string();
        let labels = [
            ("listener", &*listener.name),
            ("protocol", listener.protocol.word()),
            ("address", &address),
        ];
        text.sample(name, &labels, 1);
    }
    for (name, kind, help, of, read) in LISTENER_FAMILIES {
        text.family(name, kind, help);
        for listener in listeners.iter().filter(|listener| of.has(listener.protocol)) {
            let value: u64 = ledger.listeners(listener.id).map(read).sum();
            text.sample(name, &[("listener", &listener.name)], value);
        }
    }
    datagrams(text, listeners, ledger);
}

/// Of listeners of UDP alone.
fn datagrams(text: &mut Text, listeners: &Listeners, ledger: &Ledger) {
    let is_udp = |one: &&Arc<Listener>| one.endpoint().transport == Transport::Udp;
    let name = "ringway_listener_datagrams_total";
    let help = "Datagrams that a listener of UDP has received from clients, and sent to them.";
    text.family(name, "counter", help);
    for listener in listeners.iter().filter(is_udp) {
        let cells = || ledger.listeners(listener.id);
        let received: u64 = cells().map(|cell| cell.datagrams_received.read()).sum();
        let sent: u64 = cells().map(|cell| cell.datagrams_sent.read()).sum();
        for (direction, count) in [("received", received), ("sent", sent)] {
            text.sample(name, &[("listener", &listener.name), ("direction", direction)], count);
        }
    }
    let name = "ringway_listener_datagrams_dropped_total";
    let help = "Datagrams of clients and backends that a listener of UDP has dropped.";
    text.family(name, "counter", help);
    for listener in listeners.iter().filter(is_udp) {
        let cells = ledger.listeners(listener.id);
        let dropped: u64 = cells.map(|cell| cell.datagrams_dropped.read()).sum();
        text.sample(name, &[("listener", &listener.name)], dropped);
    }
}

/// The listeners that a metric is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    Requests,
    Unread,
}

impl Of {
    fn has(self, protocol: Protocol) -> bool {
        let is_read = matches!(protocol, Protocol::Http | Protocol::Https);
        match self {
            Self::All => true,
            Self::Requests => is_read,
            Self::Unread => !is_read,
        }
    }
}

/// A metric of listeners: its name, type, help, the listeners that have it, and its value.
type ListenerFamily = (&'static str, &'static str, &'static str, Of, fn(&ListenerCell) -> u64);

const LISTENER_FAMILIES: [ListenerFamily; 6] = [
    (
        "ringway_listener_accepted_total",
        "counter",
        "Connections accepted; of UDP, flows that began.",
        Of::All,
        |cell| cell.accepted.read(),
    ),
    (
        "ringway_listener_refused_total",
        "counter",
        "Connections refused: their client has as many as it may have, what they begin with leads \
         nowhere, or no backend took them; of UDP, datagrams whose flow could not begin.",
        Of::All,
        |cell| cell.refused.read(),
    ),
    (
        "ringway_listener_connections",
        "gauge",
        "Client connections that are open; of UDP, flows.",
        Of::All,
        |cell| cell.sessions().into(),
    ),
    (
        "ringway_listener_requests_total",
        "counter",
        "Requests that were routed.",
        Of::Requests,
        |cell| cell.requests.read(),
    ),
    (
        "ringway_listener_received_bytes_total",
        "counter",
        "Bytes from clients that were forwarded unread.",
        Of::Unread,
        |cell| cell.bytes.received.read(),
    ),
    (
        "ringway_listener_sent_bytes_total",
        "counter",
        "Bytes to clients that were forwarded unread.",
        Of::Unread,
        |cell| cell.bytes.sent.read(),
    ),
];
