//! Rows of metrics, one for each pool or backend: visited in parts, between which other tasks run,
//! and may change the fleet.

use crate::coordinator::fleet::{Fleet, PoolRecord, Record};
use std::cell::RefCell;
use std::net::SocketAddr;
use tokio::task::yield_now;

/// Rows that are written before other tasks run: some milliseconds of work.
pub(super) const ROWS_AT_ONCE: usize = 512;

/// A backend as of the beginning of the text.
pub(super) struct Place {
    pool: String,
    address: SocketAddr,
    label: String,
}

/// Every backend.
pub(super) fn places(fleet: &Fleet) -> Vec<Place> {
    let mut places = Vec::new();
    for (pool, record) in fleet.pools() {
        places.extend(record.backends.keys().map(|address| Place {
            pool: pool.clone(),
            address: *address,
            label: address.to_string(),
        }));
    }
    places
}

/// Visits each row; between parts of them other tasks run, and may change the fleet.
pub(super) async fn each<C, R>(cell: &RefCell<C>, rows: &[R], mut visit: impl FnMut(&C, &R)) {
    for part in rows.chunks(ROWS_AT_ONCE) {
        part.iter().for_each(|row| visit(&cell.borrow(), row));
        yield_now().await;
    }
}

/// Visits each of these pools that is still there.
pub(super) async fn each_pool(
    fleet: &RefCell<Fleet>,
    names: &[String],
    mut visit: impl FnMut(&Fleet, &str, &PoolRecord),
) {
    each(fleet, names, |fleet, name| {
        if let Some(pool) = fleet.pools().get(name) {
            visit(fleet, name, pool);
        }
    })
    .await;
}

/// Visits each of these backends that is still there, with its labels.
pub(super) async fn each_backend(
    fleet: &RefCell<Fleet>,
    places: &[Place],
    mut visit: impl FnMut(&Fleet, &[(&str, &str); 2], &PoolRecord, &Record),
) {
    each(fleet, places, |fleet, Place { pool, address, label }| {
        let Some(record) = fleet.pools().get(pool) else { return };
        let Some(backend) = record.backends.get(address) else { return };
        visit(fleet, &[("pool", pool), ("backend", label)], record, backend);
    })
    .await;
}
