//! Snapshots that a newer one has replaced. To free one, with thousands of backends and routes,
//! takes longer than a turn of a shard may last: so they are kept here until no shard has them, and
//! freed by this thread.

use crate::snapshot::Snapshot;
use std::sync::Arc;

/// See the module.
#[derive(Default)]
pub(crate) struct Retired(Vec<Arc<Snapshot>>);

impl Retired {
    /// Keeps a snapshot that a newer one has replaced, if there is one.
    pub(crate) fn extend(&mut self, replaced: Option<Arc<Snapshot>>) {
        self.0.extend(replaced);
    }

    /// Frees those with no other owner: shards have taken a newer one, or never took it.
    pub(crate) fn free(&mut self) {
        self.0.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }
}
