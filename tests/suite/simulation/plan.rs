//! What kind of world it is, who comes, and how mean it is to them: all drawn from the seed.

use super::bytes::BODY_MAX;
use super::client::Habits;
use super::message::{Area, Dialect, Manner};
use super::network::Meanness;
use ringway::base::Prng;
use std::net::SocketAddr;

/// Clients from here on share a few addresses.
const SHARED_ADDRESSES: u32 = 200;

/// Where a client comes from.
pub fn client_address(client: u32) -> SocketAddr {
    let host = if client < SHARED_ADDRESSES { 10 + client } else { 1 + client % 3 };
    SocketAddr::from(([192, 0, 2, host as u8], 40_000 + client as u16))
}

/// A client that has not come yet.
pub struct Visit {
    pub round: u32,
    pub manner: Manner,
    pub habits: Habits,
}

/// What kind of world it is.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub has_faults: bool,
    pub shards: usize,
    /// The coordinator publishes once in so many rounds; 0: never.
    pub changes_one_in: u32,
    /// The process drains in this round, whoever is there; none: when all clients are done.
    pub drains_in: Option<u32>,
    /// Nobody waits for anybody then.
    pub cuts: bool,
    /// One shard drains on its own in this round.
    pub leaves_in: Option<u32>,
    /// Every client comes to this shard if it can.
    pub favourite: Option<usize>,
    pub client_limit: u32,
    pub connections_max: usize,
    /// Buffers of a shard to receive into, and others.
    pub buffers: [usize; 2],
}

impl Plan {
    pub fn draw(prng: &mut Prng) -> Self {
        let has_faults = prng.one_in(2);
        let shards = [1, 2, 2, 3][prng.below(4) as usize];
        let mut round_one_in = |n| prng.one_in(n).then(|| prng.below(600));
        let drains_in = round_one_in(4);
        let leaves_in = round_one_in(3).filter(|_| shards > 1 && drains_in.is_none());
        Self {
            has_faults,
            shards,
            changes_one_in: [0, 10, 60][prng.below(3) as usize],
            drains_in,
            cuts: prng.one_in(6),
            leaves_in,
            favourite: prng.one_in(3).then_some(0),
            client_limit: if has_faults && prng.one_in(4) { 2 } else { 0 },
            connections_max: [100_000, 100_000, 3][prng.below(3) as usize],
            buffers: [
                [4, 16, 128][prng.below(3) as usize],
                if has_faults { [4, 12, 4_096][prng.below(3) as usize] } else { 4_096 },
            ],
        }
    }

    pub fn meanness(self, prng: &mut Prng) -> Meanness {
        Meanness::draw(prng, self.has_faults, [7, 40, 2_000, 16_000])
    }

    fn habits(self, prng: &mut Prng) -> Habits {
        let mut pick = |choices: [u32; 4]| {
            let fault = choices[prng.below(4) as usize];
            if self.has_faults { fault } else { 0 }
        };
        let aborts_one_in = pick([0, 0, 200, 1_000]);
        let hangs_one_in = pick([0, 0, 0, 4]);
        let oversleeps_one_in = pick([0, 0, 0, 3]);
        let reads_max = Some(pick([0, 0, 1, 20_000]) as usize).filter(|most| *most > 0);
        let reads_max = reads_max.filter(|_| prng.one_in(3));
        let reads_one_in = [0, 0, 4][prng.below(3) as usize];
        let garbles_one_in = if self.has_faults { 8 } else { 0 };
        let breaks_one_in = if self.has_faults { 40 } else { 0 };
        Habits {
            aborts_one_in,
            reads_one_in,
            reads_max,
            hangs_one_in,
            garbles_one_in,
            oversleeps_one_in,
            breaks_one_in,
        }
    }

    /// Who comes, and when.
    pub fn visits(self, meanness: Meanness, prng: &mut Prng) -> Vec<Visit> {
        // Where bytes come one by one, much would only take long.
        let size_max = match meanness {
            Meanness { receive_bytes_max: ..100, .. } => 200,
            Meanness { peer_bytes_max: ..1_000, .. } => 5_000,
            _ => BODY_MAX,
        };
        let count = match size_max {
            200 => 1 + prng.below(8),
            _ if self.favourite.is_some() => 15 + prng.below(25),
            _ => 1 + prng.below(12),
        };
        let spread = [1, 100, 800][prng.below(3) as usize];
        let first = if self.client_limit > 0 { SHARED_ADDRESSES } else { 0 };
        let visit = |client| Visit {
            round: prng.below(spread),
            manner: self.manner(client, size_max, prng),
            habits: self.habits(prng),
        };
        (first..first + count).map(visit).collect()
    }

    fn manner(self, client: u32, size_max: usize, prng: &mut Prng) -> Manner {
        let dialect = match prng.below(8) {
            0 => Dialect::Http10,
            1 => Dialect::Http10KeepAlive,
            2..=4 => Dialect::Http2,
            _ => Dialect::Http11,
        };
        let area = Area::ALL[prng.below(3) as usize];
        let is_at_side = prng.one_in(4);
        Manner { area, client, dialect, is_at_side, has_faults: self.has_faults, size_max }
    }
}
