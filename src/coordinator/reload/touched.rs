//! What uses a part of the configuration in force now, and what of that would end by another one.
//! Does not: change anything.

use super::plan::{Part, Plan, Touched, plan};
use crate::config::{self, Config, Transport};
use crate::coordinator::control::Control;
use crate::coordinator::fleet::{Fleet, Record, Source};
use crate::coordinator::process::{Listeners, successor};
use crate::mailbox::Ledger;
use crate::snapshot::Listener;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Bound::{Included, Unbounded};

/// The backends of each pool that another configuration keeps.
type Kept<'c> = BTreeMap<&'c str, BTreeSet<SocketAddr>>;

/// The state that is counted in.
struct Present<'p> {
    fleet: &'p Fleet,
    listeners: &'p Listeners,
    /// Client connections that are open.
    connections: u64,
}

/// The changes that `config` would make.
pub(super) fn changes(control: &Control, config: &Config) -> Plan {
    let fleet = control.fleet();
    let (listeners, connections) = (control.listeners(), control.shards().connections());
    let present = Present { fleet: &fleet, listeners, connections };
    let kept = config.pools.iter().map(|pool| (&*pool.name, present.fleet.reported_under(pool)));
    let kept: Kept<'_> = kept.collect();
    let ending = |part: &Part| match part {
        Part::Listener { name, transport: Transport::Tcp, .. } => {
            let goes_on = present
                .listeners_of(part)
                .any(|one| successor(config, name, one.endpoint()).is_some());
            (!goes_on).then(|| present.touched(part, |_| true))
        }
        // The flows of a socket end with it, and go on with it under another name.
        Part::Listener { transport: Transport::Udp, address, .. } => {
            let is_same = |one: &config::Listener| {
                one.endpoint().transport == Transport::Udp
                    && one.address.port() != 0
                    && one.address.to_string() == *address
            };
            let goes_on = config.listeners.iter().any(is_same);
            (!goes_on).then(|| present.touched(part, |_| true))
        }
        part => present.ending(part, &kept),
    };
    plan(control.config(), config, |part| present.touched(part, |_| true), ending)
}

impl<'p> Present<'p> {
    /// The connections and exchanges that use a part; of backends, those for which `counts` is
    /// true.
    fn touched(&self, part: &Part, counts: impl Fn(&SocketAddr) -> bool) -> Touched {
        let none = Touched::default();
        match part {
            Part::Process(_) => Touched { client_connections: Some(self.connections), ..none },
            Part::Listener { transport, .. } => {
                let meant = self.listeners_of(part);
                let sessions = meant.map(|listener| sessions_on(self.fleet.ledger(), listener));
                Touched::of_listener(*transport, sessions.sum())
            }
            Part::Certificate(_) | Part::Route(_) => none,
            Part::Pool { .. } | Part::Backend { .. } | Part::BackendsFile { .. } => {
                let meant = meant_by(self.fleet, part).filter(|(address, _)| counts(address));
                touched_backends(self.fleet.ledger(), meant.map(|(_, record)| record))
            }
        }
    }

    /// Those of them that end when the part is removed; none if all its backends are kept.
    fn ending(&self, part: &Part, kept: &Kept<'_>) -> Option<Touched> {
        let kept = match part {
            Part::Backend { pool, .. } | Part::BackendsFile { pool, .. } => kept.get(&**pool),
            _ => None,
        };
        let is_kept = |address: &SocketAddr| kept.is_some_and(|kept| kept.contains(address));
        let mut meant = meant_by(self.fleet, part).peekable();
        let goes_on = meant.peek().is_some() && meant.all(|(address, _)| is_kept(address));
        (!goes_on).then(|| self.touched(part, |address| !is_kept(address)))
    }

    /// The open listeners of a part.
    fn listeners_of(&self, part: &Part) -> impl Iterator<Item = &'p Listener> {
        self.listeners.keyed().filter_map(move |((named, configured), listener)| {
            let Part::Listener { name, transport, address } = part else { return None };
            let is_it = named == name
                && configured.transport == *transport
                && configured.address.to_string() == *address;
            is_it.then_some(&**listener)
        })
    }
}

/// The connections and exchanges of some backends together.
fn touched_backends<'r>(ledger: &Ledger, backends: impl Iterator<Item = &'r Record>) -> Touched {
    let (mut connections, mut exchanges) = (0, 0);
    for cell in backends.flat_map(|record| ledger.backends(record.slot)) {
        connections += u64::from(cell.connections());
        exchanges += u64::from(cell.in_flight.read());
    }
    Touched {
        backend_connections: Some(connections),
        exchanges: Some(exchanges),
        ..Touched::default()
    }
}

fn sessions_on(ledger: &Ledger, listener: &Listener) -> u64 {
    ledger.listeners(listener.id).map(|cell| u64::from(cell.sessions())).sum()
}

/// The backends of a part: those of a pool, the one of an address, those of a name or file that no
/// source before it lists.
fn meant_by<'f>(
    fleet: &'f Fleet,
    part: &'f Part,
) -> impl Iterator<Item = (&'f SocketAddr, &'f Record)> {
    let pool = match part {
        Part::Pool { pool, .. } | Part::Backend { pool, .. } | Part::BackendsFile { pool, .. } => {
            fleet.pools().get(pool)
        }
        Part::Process(_) | Part::Listener { .. } | Part::Certificate(_) | Part::Route(_) => None,
    };
    let address = match part {
        Part::Backend { backend, .. } => backend.parse::<SocketAddr>().ok(),
        _ => None,
    };
    let range = address.map_or((Unbounded, Unbounded), |one| (Included(one), Included(one)));
    let is_meant = move |source: &Source| match (part, source) {
        (Part::Backend { backend, .. }, Source::Name(name)) => name == backend,
        (Part::Backend { .. }, _) => address.is_some(),
        (Part::BackendsFile { .. }, source) => *source == Source::File,
        _ => true,
    };
    let backends = pool.into_iter().flat_map(move |pool| pool.backends.range(range));
    backends.filter(move |(_, record)| is_meant(&record.source))
}
