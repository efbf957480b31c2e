//! The flows of a receiver in the order of their last datagrams: a list through their rows, so that
//! no flow needs a timer of its own.

use super::Flows;
use crate::base::Instant;
use crate::table::FlowId;

/// The ends of the list, and its length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    pub(super) oldest: Option<FlowId>,
    newest: Option<FlowId>,
    pub(super) count: u32,
}

impl Flows {
    /// A datagram of a flow has come: it is the newest now. Flows that are used in one turn stay
    /// as they are to each other.
    pub(super) fn touch(&mut self, id: FlowId, now: Instant) {
        let flow = self.table.at(id);
        let was_used_at = std::mem::replace(&mut flow.used_at, now);
        let receiver = flow.ends.receiver;
        if was_used_at != now && self.receivers[receiver].order.newest != Some(id) {
            self.unlink(id);
            self.link(id);
        }
    }

    /// Adds a flow as the newest one.
    pub(super) fn link(&mut self, id: FlowId) {
        let flow = self.table.at(id);
        let order = &mut self.receivers.at(flow.ends.receiver).order;
        let before = order.newest.replace(id);
        (flow.older, flow.newer) = (before, None);
        order.count += 1;
        match before {
            Some(before) => self.table.at(before).newer = Some(id),
            None => order.oldest = Some(id),
        }
    }

    /// Takes a flow out.
    pub(super) fn unlink(&mut self, id: FlowId) {
        let flow = self.table.at(id);
        let order = &mut self.receivers.at(flow.ends.receiver).order;
        let (older, newer) = (flow.older.take(), flow.newer.take());
        order.count -= 1;
        match older {
            Some(older) => self.table.at(older).newer = newer,
            None => order.oldest = newer,
        }
        match newer {
            Some(newer) => self.table.at(newer).older = older,
            None => order.newest = older,
        }
    }
}
