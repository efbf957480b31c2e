//! Datagrams of clients: each goes to the backend of its flow, or begins a flow.

use super::{Endpoints, Flows, State};
use crate::engine::{BufferId, DATAGRAM_HEADROOM, Datagram, Engine, Key, Slice};
use crate::local::Local;
use crate::pick::Replicas;
use crate::proxy_protocol::{Addresses, write_v2_of_datagram};
use crate::snapshot::ProxyProtocol;
use crate::stats::{CloseReason, Counter};
use crate::table::{FlowId, ReceiverId};
use std::net::SocketAddr;

/// What happens to a datagram of a client.
enum Way {
    /// It goes to the backend of its flow.
    Flow(FlowId),
    /// Its flow begins in a later turn.
    Wait,
    Drop,
}

impl Flows {
    /// A datagram has come to a listener's socket. `more`: the receive goes on.
    pub fn client_datagram<E: Engine>(
        &mut self,
        key: Key,
        buffer: BufferId,
        more: bool,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        let Some(receiver) = self.receivers.find(key) else {
            local.count(Counter::LateCompletions);
            return local.wire.engine.release(buffer);
        };
        let datagram = local.wire.engine.datagram(buffer);
        let listener = self.receivers[receiver].listener;
        local.count(Counter::ClientDatagramsReceived);
        local.reports.listener_cell(listener).datagrams_received.add(1);
        local.reports.count(Counter::ClientBytesReceived, datagram.payload.len() as u64);
        self.take(receiver, buffer, picks, local);
        if !more {
            self.hear_on(receiver, local);
        }
    }

    /// Sends a client's datagram on, has it wait for its turn, or drops it.
    pub(super) fn take<E: Engine>(
        &mut self,
        receiver: ReceiverId,
        buffer: BufferId,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        let datagram = local.wire.engine.datagram(buffer);
        match self.flow_of(receiver, &datagram, picks, local) {
            Way::Flow(flow) => self.forward(flow, datagram.payload, picks, local),
            Way::Wait => self.wait(receiver, buffer, local),
            Way::Drop => local.wire.engine.release(buffer),
        }
    }

    /// The flow of a datagram, which may begin with it. One that is dropped is counted.
    fn flow_of<E: Engine>(
        &mut self,
        id: ReceiverId,
        datagram: &Datagram,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> Way {
        let receiver = &self.receivers[id];
        let (true, Some(client)) = (datagram.is_whole, datagram.from) else {
            local.reports.count_dropped(receiver.listener, Counter::DatagramsTruncated);
            return Way::Drop;
        };
        let asked = datagram.to.filter(|_| receiver.has_many_addresses());
        let local_ip = asked.unwrap_or(receiver.address.ip());
        let ends = Endpoints { receiver: id, client, local: local_ip };
        let flow = match self.index.find(&ends, &self.table) {
            None if !self.may_begin() => return Way::Wait,
            None => self.begin(ends, picks, local),
            // Until there is time for its move, a flow goes on as it is.
            Some(flow) if self.may_begin() && self.has_to_move(flow, picks) => {
                self.move_on(flow, picks, local)
            }
            Some(flow) => Some(flow),
        };
        flow.map_or(Way::Drop, Way::Flow)
    }

    /// True if the route of the listener leads to another pool, or the backend gets no new traffic.
    fn has_to_move(&self, id: FlowId, picks: &Replicas) -> bool {
        let flow = &self.table[id];
        let target = self.receivers[flow.ends.receiver].target;
        let leads_elsewhere = target.is_some_and(|target| target.pool != flow.attempts.pool);
        leads_elsewhere || !picks.is_serving(flow.slot())
    }

    /// Sends a client's datagram to the backend of its flow.
    fn forward<E: Engine>(
        &mut self,
        id: FlowId,
        payload: Slice,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        self.touch(id, local.now());
        self.pass_half_open(id, local);
        let flow = self.table.at(id);
        let receiver = &self.receivers[flow.ends.receiver];
        flow.from_client.add(payload.len());
        let bytes = payload.len() as u64;
        local.reports.listener_cell(receiver.listener).bytes.received.add(bytes);
        local.reports.backend_cell(flow.slot()).bytes.sent.add(bytes);
        let pool = picks.pool(flow.attempts.pool);
        let datagram = match pool.is_some_and(|pool| pool.proxy_protocol == ProxyProtocol::V2) {
            true => announce(payload, flow.ends, receiver.address.port(), local),
            false => payload,
        };
        local.count(Counter::UpstreamDatagramsSent);
        local.reports.count(Counter::UpstreamBytesSent, datagram.len() as u64);
        local.wire.engine.send_datagram(flow.socket, flow.key, datagram, None);
        let requests = u64::from(receiver.rules.requests);
        if requests > 0 && flow.from_client.datagrams >= requests {
            flow.state = State::Answering;
            self.index.remove(id, &self.table);
        }
        if self.is_answered(id) {
            self.end(id, CloseReason::FlowAnswered, picks, local);
        }
    }
}

/// Writes the header of the PROXY protocol in front of a datagram. Each datagram has one: a backend
/// reads each by itself.
fn announce<E: Engine>(payload: Slice, ends: Endpoints, port: u16, local: &mut Local<E>) -> Slice {
    let destination = SocketAddr::new(ends.local, port);
    let addresses = Addresses { source: ends.client, destination };
    let mut header = [0; DATAGRAM_HEADROOM];
    let length = write_v2_of_datagram(&addresses, &mut header).expect("it has 52 bytes at most");
    let start = payload.start as usize - length;
    let bytes = local.wire.engine.bytes_mut(payload.buffer);
    bytes[start..start + length].copy_from_slice(&header[..length]);
    Slice { start: start as u32, ..payload }
}
