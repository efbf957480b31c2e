//! What kind of world of relays it is, all drawn from the seed.

use super::network::Meanness;
use super::talker::NAME_BYTES;
use ringway::base::Prng;
use ringway::config::{ProxyProtocol, Timeouts};
use std::time::Duration;

/// The listeners of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Bytes go to the plain pool.
    Plain,
    /// The same, behind a PROXY header. It comes and goes.
    Announced,
    /// TLS pass-through: what has no name, and what is not TLS, goes to the default pool.
    Open,
    /// TLS pass-through: only names that have a route go anywhere.
    Strict,
}

impl Door {
    pub const ALL: [Self; 4] = [Self::Plain, Self::Announced, Self::Open, Self::Strict];

    pub fn is_tls(self) -> bool {
        matches!(self, Self::Open | Self::Strict)
    }
}

/// The pools of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    Plain,
    /// Of `a.example`.
    Named,
    /// Of `*.w.example`, and of HTTP/2 for `a.example`.
    Wild,
    Default,
}

impl Pool {
    pub const ALL: [Self; 4] = [Self::Plain, Self::Named, Self::Wild, Self::Default];
}

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub has_faults: bool,
    pub shards: usize,
    pub visits: u32,
    /// Rounds in which clients come.
    pub spread: u32,
    /// Bytes come one by one.
    pub is_slow: bool,
    /// Clients may wait for the end of their backends; else backends may wait for that of clients.
    pub clients_end_last: bool,
    /// The coordinator publishes once in so many rounds; 0: never.
    pub changes_one_in: u32,
    /// The process drains in this round, whoever is there; none: when all clients are done.
    pub drains_in: Option<u32>,
    pub client_limit: u32,
    /// Of the listener of TLS, and of the process.
    pub door_limit: usize,
    pub connections_max: usize,
    pub backend_limit: usize,
    /// A header is required on these listeners of TLS too.
    announced: [bool; 2],
    /// By pool.
    pub headers: [ProxyProtocol; 4],
    pub favourite: Option<usize>,
    pub buffers: [usize; 2],
    pub meanness: Meanness,
}

/// A backend, or everything, is harmed once in so many rounds.
pub const HARM_ONE_IN: u32 = 150;

impl Plan {
    pub fn draw(prng: &mut Prng) -> Self {
        let has_faults = !prng.one_in(3);
        let meanness = Meanness::draw(prng, has_faults, [7, 400, 2_000, 16_000]);
        let mut pick = |choices: [u32; 4]| choices[prng.below(4) as usize];
        let fault = |one_in| if has_faults { one_in } else { 0 };
        let headers = [ProxyProtocol::None, ProxyProtocol::V1, ProxyProtocol::V2];
        let mut header = || headers[[0, 0, 1, 2][pick([0, 1, 2, 3]) as usize]];
        let headers = [header(), header(), header(), header()];
        let drains_in = Some(pick([0, 0, 50, 300])).filter(|round| *round > 0 && has_faults);
        Self {
            has_faults,
            shards: pick([1, 2, 2, 3]) as usize,
            visits: pick([5, 20, 30, 60]),
            spread: pick([1, 20, 100, 400]),
            is_slow: meanness.receive_bytes_max < 100 || meanness.peer_bytes_max < 1_000,
            clients_end_last: pick([0, 1, 0, 1]) == 1,
            changes_one_in: pick([0, 10, 20, 60]),
            drains_in,
            client_limit: fault(pick([0, 0, 0, 2])),
            door_limit: pick([0, 0, 0, 3]) as usize,
            connections_max: pick([100_000, 100_000, 100_000, 4]) as usize,
            backend_limit: fault(pick([0, 0, 1, 3])) as usize,
            announced: [pick([0, 0, 0, 1]) == 1, pick([0, 0, 0, 1]) == 1],
            headers,
            favourite: Some(0).filter(|_| pick([0, 0, 0, 1]) == 1),
            buffers: [
                pick([4, 16, 16, 128]) as usize,
                if has_faults { pick([4, 12, 60, 4_096]) as usize } else { 4_096 },
            ],
            meanness,
        }
    }

    pub fn requires_header(&self, door: Door) -> bool {
        match door {
            Door::Plain => false,
            Door::Announced => true,
            Door::Open => self.announced[0],
            Door::Strict => self.announced[1],
        }
    }

    /// Something of what a client of this listener says has to come before its bytes go anywhere.
    pub fn reads_beginning(&self, door: Door) -> bool {
        self.requires_header(door) || door.is_tls()
    }

    /// The version of the header that the backends of a pool get.
    pub fn header(&self, pool: usize) -> ProxyProtocol {
        self.headers[pool]
    }

    /// Bytes that an end has to say.
    pub fn draw_length(&self, prng: &mut Prng) -> usize {
        match prng.below(8) {
            0 => prng.below(NAME_BYTES as u32 + 1) as usize,
            1 if !self.is_slow => prng.below(150_000) as usize,
            2 | 3 if !self.is_slow => prng.below(20_000) as usize,
            _ => prng.below(600) as usize,
        }
    }

    /// Short, so that everything ends in few rounds.
    pub fn timeouts() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(2),
            request_head: Duration::from_secs(4),
            between_bytes: Duration::from_secs(5),
            tunnel: Duration::from_secs(12),
            half_closed: Duration::from_secs(6),
            ..Timeouts::default()
        }
    }
}
