//! The stages of the process as a shard follows them. Serving and lame duck: answers state whether
//! their connection is kept. Draining: no new connections, exchanges finish, idle connections
//! close. Ending: everything closes.

use super::{Shard, Traffic};
use crate::base::ListenerId;
use crate::client::{self, State};
use crate::engine::{Engine, Socket};
use crate::local::How;
use crate::mailbox::Stage;
use crate::sides::Sides;
use crate::stats::CloseReason;
use std::net::SocketAddr;

impl<E: Engine> Shard<E> {
    /// Follows an order of the coordinator.
    pub(super) fn enter_stage(&mut self, stage: Stage) {
        let was = self.traffic.stage();
        self.traffic.enter_stage(stage);
        if stage >= Stage::Draining && was < Stage::Draining {
            self.retire_all();
            self.traffic.leave_ports();
        }
    }
}

impl<E: Engine> Traffic<E> {
    /// Serves a connection on which nothing has been received yet.
    pub(super) fn open(&mut self, socket: Socket, address: SocketAddr, listener: ListenerId) {
        let local = &mut self.sides.local;
        let opened = client::open(&mut self.sides.clients, socket, address, listener, local);
        if let Some((client, dial)) = opened {
            self.dial(client, dial);
        }
        self.work_off();
    }

    fn enter_stage(&mut self, stage: Stage) {
        self.sides.local.current.stage = stage;
        if stage < Stage::Draining {
            return;
        }
        for id in self.sides.connections.idle_ids() {
            self.sides.connections.discard_idle(id, &mut self.sides.local);
        }
        let reason = CloseReason::Drained;
        for id in self.sides.clients.ids() {
            let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
            match client.state {
                State::Closing => {}
                _ if stage == Stage::Ending => self.end_client(id, How::Abort, reason),
                State::Http2 => client.drain_http2(local),
                _ if client.is_idle() => client.end_idle(reason, local),
                _ => {}
            }
        }
        self.work_off();
        if stage == Stage::Ending {
            let Sides { connections, picks, local, .. } = &mut self.sides;
            connections.abort_finishing(local);
            self.flows.end_all(picks, local);
        }
    }
}
