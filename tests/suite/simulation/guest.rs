//! A client of the simulation, whatever it speaks.

use super::client::{Client, Habits, Outcome, Tally};
use super::message::{Dialect, Manner};
use super::multiplexer::Multiplexer;
use super::network::Network;
use ringway::base::{Instant, Prng};

pub enum Guest {
    OneByOne(Box<Client>),
    AllAtOnce(Box<Multiplexer>),
}

impl Guest {
    pub fn new(socket: i32, manner: Manner, habits: Habits, prng: &mut Prng) -> Self {
        match manner.dialect {
            Dialect::Http2 => {
                Self::AllAtOnce(Multiplexer::new(socket, manner, habits, prng).into())
            }
            _ => Self::OneByOne(Client::new(socket, manner, habits, prng).into()),
        }
    }

    pub fn socket(&self) -> i32 {
        match self {
            Self::OneByOne(client) => client.socket,
            Self::AllAtOnce(client) => client.socket,
        }
    }

    pub fn outcome(&self) -> Outcome {
        match self {
            Self::OneByOne(client) => client.outcome,
            Self::AllAtOnce(client) => client.outcome,
        }
    }

    pub fn manner(&self) -> Manner {
        match self {
            Self::OneByOne(client) => client.manner,
            Self::AllAtOnce(client) => client.manner,
        }
    }

    pub fn tally(&self) -> Tally {
        match self {
            Self::OneByOne(client) => client.tally,
            Self::AllAtOnce(client) => client.tally,
        }
    }

    /// True if it has a part of an answer.
    pub fn has_half(&self) -> bool {
        match self {
            Self::OneByOne(client) => !client.received.is_empty(),
            Self::AllAtOnce(client) => client.has_half(),
        }
    }

    /// What it waits for.
    pub fn picture(&self) -> String {
        match self {
            Self::OneByOne(client) => client.picture(),
            Self::AllAtOnce(client) => client.picture(),
        }
    }

    /// When it goes on by itself.
    pub fn wake(&self) -> Option<Instant> {
        match self {
            Self::OneByOne(client) => client.wake(),
            Self::AllAtOnce(client) => client.wake(),
        }
    }

    /// Does a little; panics on a byte that is not its own. True if it has more to do.
    pub fn step(&mut self, network: &mut Network) -> bool {
        match self {
            Self::OneByOne(client) => client.step(network),
            Self::AllAtOnce(client) => client.step(network),
        }
    }
}
