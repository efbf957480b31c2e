//! Tables of the connections and exchanges of a shard: rows that are used again, each under an id
//! of its own type, so that a client's row cannot be used as that of a connection to a backend.
//!
//! Does: distinguish an operation of a row's present tenant from one of the tenant before. Does
//! not: know the purpose of its rows.

use crate::engine::{Key, Owner};
use slab::Slab;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// The number of a row, as a type of its own.
pub trait RowId: Copy {
    /// The id of this row.
    fn from_row(row: usize) -> Self;

    /// Its row.
    fn row(self) -> usize;
}

/// An id of something that owns operations of the engine.
pub trait OperationOwner: RowId {
    /// The engine's name for its kind.
    const OWNER: Owner;
}

/// A row with operations of the engine.
pub trait Operating {
    /// The key of its operations.
    fn key(&self) -> Key;
}

macro_rules! row_ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl RowId for $name {
            fn from_row(row: usize) -> Self {
                Self(row as u32)
            }

            fn row(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

row_ids! {
    /// A connection of a client.
    ClientId
    /// A connection to a backend.
    ConnectionId
    /// A request and its response.
    ExchangeId
    /// Bytes that are forwarded both ways, unparsed.
    RelayId
    /// A UDP socket of a listener.
    ReceiverId
    /// The datagrams between a client and a backend.
    FlowId
}

/// A place on a connection where one exchange happens: the connection, and the stream on it.
/// HTTP/1 has one stream at a time, number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port<C> {
    /// The connection.
    pub connection: C,
    /// The stream.
    pub stream: u32,
}

impl<C> Port<C> {
    /// The only port of a connection without streams.
    pub fn only(connection: C) -> Self {
        Self { connection, stream: 0 }
    }
}

impl OperationOwner for ClientId {
    const OWNER: Owner = Owner::Client;
}

impl OperationOwner for ConnectionId {
    const OWNER: Owner = Owner::Backend;
}

impl OperationOwner for ReceiverId {
    const OWNER: Owner = Owner::Listener;
}

impl OperationOwner for FlowId {
    const OWNER: Owner = Owner::Flow;
}

/// Rows by id. Access to an empty row is a fault of the program, and panics.
pub struct Table<I, T> {
    rows: Slab<T>,
    /// The generation of the newest tenant of any row.
    generation: u32,
    ids: PhantomData<I>,
}

impl<I: RowId, T> Table<I, T> {
    /// An empty table with room for this many rows. Room costs no memory before it is used, but a
    /// table that grows is copied, which takes time and leaves holes.
    pub fn with_capacity(rows: usize) -> Self {
        Self { rows: Slab::with_capacity(rows), generation: 0, ids: PhantomData }
    }

    /// Makes room for so many more rows, as [`Table::with_capacity`].
    pub fn reserve(&mut self, rows: usize) {
        self.rows.reserve(rows);
    }

    /// Inserts into a free row.
    pub fn insert(&mut self, tenant: T) -> I {
        I::from_row(self.rows.insert(tenant))
    }

    /// The id that the next tenant gets.
    pub fn next_id(&self) -> I {
        I::from_row(self.rows.vacant_key())
    }

    /// Empties a row.
    pub fn remove(&mut self, id: I) -> T {
        self.rows.remove(id.row())
    }

    /// A row, for writing.
    #[inline]
    pub fn at(&mut self, id: I) -> &mut T {
        &mut self.rows[id.row()]
    }

    /// A row, if it is not empty.
    pub fn get(&self, id: I) -> Option<&T> {
        self.rows.get(id.row())
    }

    /// Rows that are not empty.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// All rows have lower numbers than this.
    pub fn row_count(&self) -> usize {
        self.rows.capacity()
    }

    /// True if all rows are empty.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All rows that are not empty.
    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.rows.iter().map(|(row, tenant)| (I::from_row(row), tenant))
    }

    /// The ids of all rows that are not empty.
    pub fn ids(&self) -> Vec<I> {
        self.iter().map(|(id, _)| id).collect()
    }
}

impl<I: OperationOwner, T: Operating> Table<I, T> {
    /// The key of the next tenant, which must be inserted before another key is requested.
    pub fn next_key(&mut self) -> Key {
        self.generation = self.generation.wrapping_add(1);
        Key::new(I::OWNER, self.rows.vacant_key(), self.generation)
    }

    /// The row of an operation; none if the operation is older than the row's tenant.
    #[inline]
    pub fn find(&self, key: Key) -> Option<I> {
        let tenant = self.rows.get(key.index())?;
        (tenant.key() == key).then_some(I::from_row(key.index()))
    }
}

impl<I: RowId, T> Index<I> for Table<I, T> {
    type Output = T;

    #[inline]
    fn index(&self, id: I) -> &T {
        &self.rows[id.row()]
    }
}

impl<I: RowId, T> IndexMut<I> for Table<I, T> {
    #[inline]
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.rows[id.row()]
    }
}

impl<I, T> Default for Table<I, T> {
    fn default() -> Self {
        Self { rows: Slab::new(), generation: 0, ids: PhantomData }
    }
}

impl<I: RowId, T: fmt::Debug> fmt::Debug for Table<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.rows.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tenant(Key);

    impl Operating for Tenant {
        fn key(&self) -> Key {
            self.0
        }
    }

    #[test]
    fn an_operation_of_the_tenant_before_finds_nothing() {
        let mut table: Table<ClientId, Tenant> = Table::default();
        let first = table.next_key();
        let id = table.insert(Tenant(first));
        assert_eq!((first.owner(), table.find(first)), (Owner::Client, Some(id)));
        table.remove(id);
        assert_eq!(table.find(first), None);
        let second = table.next_key();
        assert_eq!(table.insert(Tenant(second)), id, "the row is used again");
        assert_eq!((table.find(first), table.find(second)), (None, Some(id)));
        assert_eq!((table.len(), table.ids()), (1, vec![id]));
    }
}
