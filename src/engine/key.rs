//! The 64 bits of user data of an operation, which its completion carries too.

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// Accept connections from a listener.
    Accept = 1,
    /// Open a connection.
    Connect = 2,
    /// Receive until cancelled.
    Receive = 3,
    /// Wait for data without receiving.
    Poll = 4,
    /// Send ranges of buffers.
    Send = 5,
    /// The engine's own wake-up.
    Wake = 6,
    /// The engine's own cancel requests.
    Cancel = 7,
    /// The engine's own taking back of buffers that the kernel has.
    TakeBack = 8,
    /// Receive datagrams until cancelled.
    ReceiveDatagrams = 9,
    /// Send a datagram.
    SendDatagram = 10,
}

/// The kind of slot that an operation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Owner {
    /// A listener of the shard.
    Listener = 1,
    /// A connection of a client.
    Client = 2,
    /// A connection to a backend.
    Backend = 3,
    /// A flow of datagrams.
    Flow = 4,
}

/// The owner of an operation: a slot of a kind, and the tenant of that slot. A completion whose
/// generation is not the slot's is late: it is counted and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

const INDEX_BITS: u32 = 24;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;

impl Key {
    /// Highest index of a slot.
    pub const INDEX_MAX: usize = INDEX_MASK as usize;

    /// The key of slot `index` in its `generation`.
    ///
    /// # Panics
    /// If the index needs more than 24 bits; slabs are bounded far below that.
    pub fn new(owner: Owner, index: usize, generation: u32) -> Self {
        assert!(index <= Self::INDEX_MAX, "slot index {index} does not fit a key");
        Self((owner as u64) << 56 | (index as u64) << 32 | u64::from(generation))
    }

    /// The slot.
    pub fn index(self) -> usize {
        (self.0 >> 32 & INDEX_MASK) as usize
    }

    /// The tenant of the slot.
    pub fn generation(self) -> u32 {
        self.0 as u32
    }

    /// The kind of slot.
    pub fn owner(self) -> Owner {
        match self.0 >> 56 & 0xf {
            1 => Owner::Listener,
            2 => Owner::Client,
            4 => Owner::Flow,
            _ => Owner::Backend,
        }
    }

    /// The key with an operation in its highest four bits, as the kernel carries it.
    pub fn with_op(self, op: Op) -> u64 {
        (op as u64) << 60 | self.0
    }

    /// The inverse of [`Key::with_op`]; none for bits that it never returns.
    pub fn split(bits: u64) -> Option<(Op, Self)> {
        let op = match bits >> 60 {
            1 => Op::Accept,
            2 => Op::Connect,
            3 => Op::Receive,
            4 => Op::Poll,
            5 => Op::Send,
            6 => Op::Wake,
            7 => Op::Cancel,
            8 => Op::TakeBack,
            9 => Op::ReceiveDatagrams,
            10 => Op::SendDatagram,
            _ => return None,
        };
        Some((op, Self(bits & !(0xf << 60))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_through_the_kernel() {
        for owner in [Owner::Listener, Owner::Client, Owner::Backend, Owner::Flow] {
            for index in [0, 1, 77, Key::INDEX_MAX] {
                for generation in [0, 1, u32::MAX] {
                    let key = Key::new(owner, index, generation);
                    let (op, back) = Key::split(key.with_op(Op::Send)).expect("made by with_op");
                    assert_eq!((op, back), (Op::Send, key));
                    assert_eq!(back.owner(), owner);
                    assert_eq!((back.index(), back.generation()), (index, generation));
                }
            }
        }
        assert!(Key::split(0).is_none());
    }
}
