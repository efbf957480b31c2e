//! Draining: no new connections, exchanges finish, idle connections close; then, by order,
//! everything closes.

use super::Shard;
use crate::engine::Engine;
use crate::mailbox::Stage;

impl<E: Engine> Shard<E> {
    /// Follows an order of the coordinator.
    pub(super) fn enter_stage(&mut self, stage: Stage) {
        let was = self.traffic.stage();
        self.traffic.enter_stage(stage);
        if stage >= Stage::Draining && was < Stage::Draining {
            self.retire_all();
        }
    }
}
