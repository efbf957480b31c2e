//! Rows of metrics, one for each pool or backend: visited in parts, between which other tasks run,
//! and may change the fleet.

use crate::coordinator::control::Control;
use crate::coordinator::fleet::{PoolRecord, Record};
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
pub(super) fn places(control: &Control) -> Vec<Place> {
    let mut places = Vec::new();
    for (pool, record) in control.fleet.pools() {
        places.extend(record.backends.keys().map(|address| Place {
            pool: pool.clone(),
            address: *address,
            label: address.to_string(),
        }));
    }
    places
}

/// Visits each row; between parts of them other tasks run, and may change the fleet.
pub(super) async fn each<C, R>(control: &RefCell<C>, rows: &[R], mut visit: impl FnMut(&C, &R)) {
    for part in rows.chunks(ROWS_AT_ONCE) {
        part.iter().for_each(|row| visit(&control.borrow(), row));
        yield_now().await;
    }
}

/// Visits each of these pools that is still there.
pub(super) async fn each_pool(
    control: &RefCell<Control>,
    names: &[String],
    mut visit: impl FnMut(&Control, &str, &PoolRecord),
) {
    each(control, names, |control, name| {
        if let Some(pool) = control.fleet.pools().get(name) {
            visit(control, name, pool);
        }
    })
    .await;
}

/// Visits each of these backends that is still there, with its labels.
pub(super) async fn each_backend(
    control: &RefCell<Control>,
    places: &[Place],
    mut visit: impl FnMut(&Control, &[(&str, &str); 2], &PoolRecord, &Record),
) {
    each(control, places, |control, Place { pool, address, label }| {
        let Some(record) = control.fleet.pools().get(pool) else { return };
        let Some(backend) = record.backends.get(address) else { return };
        visit(control, &[("pool", pool), ("backend", label)], record, backend);
    })
    .await;
}
