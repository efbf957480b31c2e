//! From an accepted connection to one that requests are read from.

use super::{Client, Clients, Dial};
use crate::base::ListenerId;
use crate::engine::{Close, Engine, Socket};
use crate::local::{How, Local, Signal};
use crate::mailbox::Stage;
use crate::stats::{CloseReason, Counter};
use crate::table::ClientId;
use std::net::SocketAddr;

/// Serves a connection on which nothing has been received yet, and which is counted for its
/// listener already. It is aborted at once if its client has as many connections as it may have, or
/// all connections are being aborted. Returns it if its bytes are forwarded, and nothing of them is
/// needed to find a backend.
pub fn open<E: Engine>(
    clients: &mut Clients,
    socket: Socket,
    address: SocketAddr,
    listener: ListenerId,
    local: &mut Local<E>,
) -> Option<(ClientId, Dial)> {
    let mailbox = &local.reports.mailbox;
    let shard = mailbox.shard();
    // Whose connection it is stands in the header; many clients' come from the proxy's address.
    let is_counted = !local.current.listener(listener).is_some_and(|one| one.requires_proxy_header);
    if is_counted && !mailbox.shared.clients.admit(shard, address.ip()) {
        local.count(Counter::ClientLimitRejections);
        local.reports.listener_cell(listener).refused.add(1);
        local.wire.engine.close(socket, Close::Reset);
        local.reports.session_ended(listener);
        local.reports.mailbox.show_connections(clients.len() as u32);
        return None;
    }
    local.count(Counter::ConnectionsAccepted);
    local.reports.listener_cell(listener).accepted.add(1);
    let key = clients.next_key();
    let id = clients.insert(Client::new(socket, key, address, listener));
    let client = clients.at(id);
    client.is_counted = is_counted;
    // Its listener may have been removed while it waited.
    client.is_leaving = local.current.snapshot().listener(listener).is_none();
    local.wire.receive(&mut client.link);
    client.set_deadline(local.current.timeouts().request_head, local);
    let dial = client.begin(local);
    local.reports.mailbox.show_connections(clients.len() as u32);
    if local.current.stage == Stage::Ending {
        local.work.push(Signal::End(id, How::Abort, CloseReason::Drained));
    }
    dial.map(|dial| (id, dial))
}
