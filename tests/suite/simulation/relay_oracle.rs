//! What must hold of a world of relays that is over: each byte came to whom it was for, in order
//! and once; an end stayed an end and a reset a reset; each session ended for a reason that fits
//! what its two ends did; and nothing of any of them is left.

use super::pools::pool_of;
use super::relay_control::door_address;
use super::relay_plan::{Door, Plan, Pool};
use super::relay_visits::{Leads, Visit};
use super::relay_world::{Backend, Client, RelayWorld};
use super::talker::{NAME_BYTES, Sight, Talker};
use ringway::access_log::Record;
use ringway::base::{Instant, ListenerId, PoolId, RouteId};
use ringway::config::ProxyProtocol;
use ringway::mailbox::Stage;
use ringway::proxy_protocol::{self, Tlv};
use ringway::stats::{CloseReason, Counter};
use ringway::tls_hello;
use std::time::Duration;

/// What the time at which an end has noticed something may be off.
const SLACK: Duration = Duration::from_secs(1);

/// One session, as it is seen from outside.
struct Session<'w> {
    world: &'w RelayWorld,
    visit: &'w Visit,
    client: &'w Talker,
    backend: Option<&'w Backend>,
    record: &'w Record,
    ended_at: Instant,
    reason: CloseReason,
}

impl RelayWorld {
    pub fn check(&mut self) {
        let picture = self.picture();
        self.shards.check_end(self.control.pools.slots(), Door::ALL.len() as u16, &picture);
        self.check_counts(&picture);
        let mut unrecorded = 0;
        for client in &self.clients {
            let Some(session) = self.session(client) else {
                assert!(client.talker.heard.is_empty() && client.backend.is_none(), "{picture}");
                unrecorded += 1;
                continue;
            };
            session.check();
        }
        let refused = self.shards.count(Counter::ClientLimitRejections)
            - self.shards.closes(CloseReason::RequestRefused);
        let gone = self.shards.network.borrow().gone_at_accept;
        assert_eq!(unrecorded, refused + gone, "each session has a record: {picture}");
    }

    fn session<'w>(&'w self, client: &'w Client) -> Option<Session<'w>> {
        let (visit, talker) = (&client.visit, &client.talker);
        let known = self.recorded.get(&visit.known_as());
        let (record, ended_at) = known.or_else(|| self.recorded.get(&visit.from))?;
        let label = record.failure.expect("each connection has a reason");
        let is_it = |reason: &&CloseReason| reason.label() == label;
        Some(Session {
            world: self,
            visit,
            client: talker,
            backend: client.backend.map(|backend| &self.backends[backend]),
            record,
            ended_at: *ended_at,
            reason: *CloseReason::ALL.iter().find(is_it).expect("a reason"),
        })
    }

    /// The counters agree with the records, and with who came.
    fn check_counts(&self, picture: &str) {
        let accepted = self.shards.count(Counter::ConnectionsAccepted);
        let sessions = self.recorded.len() as u64;
        assert_eq!(accepted, sessions, "each session has a record: {picture}");
        assert_eq!(accepted, self.shards.all_closes(), "each has one close reason: {picture}");
        assert_eq!(accepted, self.shards.count(Counter::ConnectionsClosed), "{picture}");
        let ledger = &self.shards.mailboxes[0].shared.ledger;
        let sum_of = |of: fn(&Record) -> u64| -> u64 {
            self.recorded.values().map(|(record, _)| of(record)).sum()
        };
        let listeners = || (0..4).flat_map(|listener| ledger.listeners(ListenerId(listener)));
        let received: u64 = listeners().map(|cell| cell.bytes.received.read()).sum();
        let sent: u64 = listeners().map(|cell| cell.bytes.sent.read()).sum();
        let (up, down) = (sum_of(|one| one.request_bytes), sum_of(|one| one.response_bytes));
        assert_eq!((received, sent), (up, down), "bytes of listeners: {picture}");
        assert_eq!(listeners().map(|cell| cell.accepted.read()).sum::<u64>(), accepted);
        let routed = (0..64).flat_map(|route| ledger.routes(RouteId(route)));
        let routed: u64 = routed.map(|cell| cell.connections.read()).sum();
        assert_eq!(routed, sum_of(|one| u64::from(one.pool.is_some())), "routes: {picture}");
        let unserved = (0..4).flat_map(|pool| ledger.pools(PoolId(pool)));
        let unserved: u64 = unserved.map(|cell| cell.unserved.read()).sum();
        let without = [CloseReason::NoBackend, CloseReason::BackendsFull];
        let without: u64 = without.iter().map(|reason| self.shards.closes(*reason)).sum();
        assert_eq!(unserved, without, "unserved: {picture}");
        assert!(self.shards.count(Counter::UpstreamConnects) >= self.connects, "{picture}");
        let shared = &self.shards.mailboxes[0].shared;
        for client in &self.clients {
            for address in [client.visit.known_as(), client.visit.from] {
                let shard = self.shards.mailboxes[0].shard();
                let most = self.plan.client_limit;
                assert!((0..most).all(|_| shared.clients.admit(shard, address.ip())), "{picture}");
                (0..most).for_each(|_| shared.clients.leave(shard, address.ip()));
            }
        }
    }
}

impl Session<'_> {
    fn expect(&self, holds: bool, what: &str) {
        let (number, reason) = (self.visit.number, self.reason);
        assert!(holds, "client {number}, {reason:?}: {what}: {}", self.world.picture());
    }

    fn check(&self) {
        let Self { visit, record, .. } = self;
        let listener = format!("listener-{}", visit.door as usize + 1);
        self.expect(record.listener.as_deref() == Some(&*listener), "its listener");
        match self.leads() {
            Leads::To(pool) => {
                let is_it = |backend: &Backend| pool_of(backend.address) == pool as usize;
                self.expect(self.backend.is_none_or(is_it), "a backend of another pool");
                let name = (pool as usize).to_string();
                let is_it = record.pool.as_deref().is_none_or(|known| known == name);
                self.expect(is_it, "it is recorded with another pool");
                self.check_reason();
                self.check_bytes();
                self.check_ends();
            }
            Leads::Nowhere(expected) => self.check_refusal(expected),
        }
        if let Some(backend) = self.backend {
            self.check_header(backend);
        }
    }

    /// Where its bytes had to go: those of a hello that was late go where silence does.
    fn leads(&self) -> Leads {
        match self.is_late() {
            true => Leads::To(Pool::Default),
            false => self.visit.leads,
        }
    }

    fn is_late(&self) -> bool {
        let may_be_late = self.world.plan.has_faults && self.visit.door == Door::Open;
        let name = (Pool::Default as usize).to_string();
        may_be_late && self.record.pool.as_deref() == Some(&name) && self.record.host.is_empty()
    }

    /// The reason fits what both ends did, and what happened in the world.
    fn check_reason(&self) {
        let (world, client) = (self.world, self.client);
        let plan = &world.plan;
        let backend = self.backend.map(|backend| &backend.talker);
        let may_be = match self.reason {
            CloseReason::TunnelEnded => {
                client.has_ended && backend.is_none_or(|backend| backend.has_ended)
            }
            CloseReason::ClientReset => client.has_reset,
            CloseReason::BackendReset => backend.is_none_or(|backend| backend.has_reset),
            CloseReason::TunnelIdle => plan.has_faults && self.was_silent(),
            CloseReason::NoBackend | CloseReason::BackendGone => plan.has_faults,
            CloseReason::BackendsFull => plan.has_faults,
            CloseReason::OutOfBuffers => plan.buffers[1] < 1_000,
            CloseReason::Drained => world.stage() == Stage::Ending,
            CloseReason::RequestRefused => plan.client_limit > 0,
            CloseReason::ListenerRemoved => self.visit.door == Door::Announced,
            CloseReason::HeadTimeout => plan.has_faults && plan.reads_beginning(self.visit.door),
            CloseReason::ClientClosed => client.has_ended && plan.reads_beginning(self.visit.door),
            _ => false,
        };
        self.expect(may_be, "that cannot be");
        if !plan.has_faults {
            let is_well = |talker: &Talker| talker.is_satisfied();
            let are_well = is_well(client) && backend.is_none_or(is_well);
            self.expect(are_well, "somebody has lost something");
        }
    }

    /// Neither end has said or heard anything for as long as that takes. If something has not come
    /// to the other end, it stands still.
    fn was_silent(&self) -> bool {
        let Some(backend) = self.backend else { return true };
        let talkers = [self.client, &backend.talker];
        let timeouts = Plan::timeouts();
        let has_ended = talkers.iter().any(|talker| talker.has_ended);
        let span = if has_ended { timeouts.half_closed } else { timeouts.tunnel };
        let moved = talkers.iter().map(|talker| talker.moved).max().expect("two");
        let has_come = self.came_to_backend(backend) == self.said_by_client()
            && self.client.heard.len() == backend.talker.said;
        // What an end has done since says nothing.
        !has_come || moved > self.ended_at || self.ended_at.since(moved) + SLACK >= span
    }

    fn said_by_client(&self) -> usize {
        self.client.said.saturating_sub(self.visit.header_bytes)
    }

    fn came_to_backend(&self, backend: &Backend) -> usize {
        backend.header_bytes.map_or(0, |header| backend.talker.heard.len() - header)
    }

    /// What came is what was said, from its beginning on, and what was recorded fits it.
    fn check_bytes(&self) {
        let (up, down) = (self.record.request_bytes as usize, self.record.response_bytes as usize);
        self.expect(up <= self.said_by_client(), "more is recorded than the client said");
        let Some(Backend { talker, header_bytes, .. }) = self.backend else {
            let is_unnamed = self.client.heard.len() < NAME_BYTES;
            return self.expect(is_unnamed, "it has heard something of nobody");
        };
        self.expect(down <= talker.said, "more is recorded than the backend said");
        let came = header_bytes.map_or(&[][..], |header| &talker.heard[header..]);
        let said = &self.client.bytes[self.visit.header_bytes..];
        self.expect(said.starts_with(came), "the backend got other bytes");
        self.expect(talker.bytes.starts_with(&self.client.heard), "the client got other bytes");
        self.expect(came.len() <= up, "the backend got more than is recorded");
        self.expect(self.client.heard.len() <= down, "the client got more than is recorded");
        // What was received before the end is delivered, unless who gets it is to blame.
        let may_lose = match self.reason {
            CloseReason::OutOfBuffers | CloseReason::Drained => true,
            _ => self.world.stage() == Stage::Ending,
        };
        let hears = |talker: &Talker| talker.hears_all() && !may_lose;
        self.expect(!hears(talker) || came.len() == up, "the backend has lost bytes");
        let is_complete = self.client.heard.len() == down;
        self.expect(!hears(self.client) || is_complete, "the client has lost bytes");
    }

    /// An end is one of the other side, behind all its bytes; a reset of one side is one for the
    /// other.
    fn check_ends(&self) {
        let Some(Backend { talker: backend, .. }) = self.backend else { return };
        let client = self.client;
        if client.sight == Sight::End {
            let has_all = client.heard.len() == backend.said;
            self.expect(backend.has_ended && has_all, "the client saw an end that is none");
        }
        if backend.sight == Sight::End {
            let came = self.backend.map_or(0, |backend| self.came_to_backend(backend));
            let has_all = came == self.said_by_client();
            self.expect(client.has_ended && has_all, "the backend saw an end that is none");
        }
        let saw_reset = |talker: &Talker| !talker.hears_all() || talker.sight == Sight::Reset;
        if self.reason == CloseReason::ClientReset && !client.has_ended {
            self.expect(saw_reset(backend), "the reset of the client was none for the backend");
        }
        if self.reason == CloseReason::BackendReset && !backend.has_ended {
            self.expect(saw_reset(client), "the reset of the backend was none for the client");
        }
    }

    /// Its bytes went nowhere.
    fn check_refusal(&self, expected: CloseReason) {
        let (client, world) = (self.client, self.world);
        let is_routed = self.backend.is_some() || self.record.pool.is_some();
        self.expect(!is_routed, "it was served");
        let may_be = match self.reason {
            reason if reason == expected => true,
            CloseReason::ClientReset => client.has_reset,
            CloseReason::ClientClosed => client.has_ended,
            CloseReason::Drained => world.stage() == Stage::Ending,
            CloseReason::RequestRefused => world.plan.client_limit > 0,
            CloseReason::ListenerRemoved => self.visit.door == Door::Announced,
            // It was late with what is refused.
            CloseReason::HeadTimeout => world.plan.has_faults,
            _ => false,
        };
        self.expect(may_be, "it was to be refused for another reason");
        let alert = match self.reason {
            CloseReason::UnknownServerName => tls_hello::alert_unrecognized_name(),
            _ => b"",
        };
        self.expect(alert.starts_with(&client.heard), "it heard something else than the alert");
        let is_short = client.heard.len() < alert.len();
        let may_be_short = world.plan.has_faults;
        self.expect(!is_short || may_be_short, "it did not hear the alert");
    }

    /// Its backend was told who the client is.
    fn check_header(&self, backend: &Backend) {
        let version = self.world.plan.header(pool_of(backend.address));
        if version == ProxyProtocol::None || backend.header_bytes.is_none() {
            return;
        }
        let header = proxy_protocol::read(&backend.talker.heard).expect("valid").expect("whole");
        let told = header.addresses.expect("the client's");
        let visit = self.visit;
        let asked = visit.announced.map(|both| both.destination);
        let asked = asked.unwrap_or_else(|| door_address(visit.door));
        self.expect(told.source == visit.known_as(), "another client is announced");
        self.expect(told.destination == asked, "another destination is announced");
        if version == ProxyProtocol::V1 {
            return;
        }
        let tlv = |kind| header.tlvs.first(kind);
        let is_read = !self.is_late();
        let text = |text: Option<&'static str>| text.filter(|_| is_read).map(str::as_bytes);
        self.expect(tlv(Tlv::AUTHORITY) == text(visit.server_name), "another name");
        self.expect(tlv(Tlv::ALPN) == text(visit.alpn), "another protocol");
        self.expect(tlv(Tlv::CRC32C).is_some(), "no checksum");
        self.expect(tlv(0xEE).is_some() == visit.has_unknown_tlv, "the TLV that came");
        let id = tlv(Tlv::UNIQUE_ID);
        self.expect(id.is_some() && id == self.record.unique_id.as_deref(), "another identifier");
        self.expect(visit.unique_id.is_none() || id == visit.unique_id, "not the sender's one");
    }
}
