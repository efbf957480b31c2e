//! The relay of datagrams on Ringway's own engine, with nothing around it.

use super::Flows;
use crate::Plan;
use ringway::engine::uring::Uring;
use ringway::engine::{BufferId, Destination, Engine, Event, Key, Owner, Socket, Source};
use ringway::limits::COMPLETIONS_PER_TURN_MAX;
use ringway::sys::event_fd::EventFd;
use ringway::sys::udp;
use std::error::Error;
use std::os::fd::IntoRawFd;
use std::sync::Arc;

struct Relay {
    engine: Uring,
    listener: Socket,
    flows: Flows<Socket>,
}

fn listener_key() -> Key {
    Key::new(Owner::Listener, 0, 0)
}

fn flow_key(index: usize) -> Key {
    Key::new(Owner::Flow, index, 0)
}

/// Relays until the process ends.
pub fn relay(plan: Plan) -> Result<(), Box<dyn Error>> {
    let listener = Socket(udp::receive_on(plan.listen)?.into_raw_fd());
    let engine = Uring::new(&crate::uring::OPTIONS, Arc::new(EventFd::new()?))?;
    let mut relay = Relay { engine, listener, flows: Flows::new(plan.backends) };
    relay.engine.receive_datagrams(listener, listener_key());
    loop {
        let deadline = relay.engine.now() + crate::uring::TURN_MAX;
        relay.engine.turn(deadline);
        for _ in 0..COMPLETIONS_PER_TURN_MAX {
            let Some(event) = relay.engine.next_event() else { break };
            relay.dispatch(event)?;
        }
    }
}

impl Relay {
    fn dispatch(&mut self, event: Event) -> Result<(), Box<dyn Error>> {
        match event {
            Event::Datagram { key, buffer, more } => {
                match key.owner() {
                    Owner::Flow => self.give_back(key.index(), buffer),
                    _ => self.send_on(buffer)?,
                }
                if !more {
                    self.receive(key);
                }
            }
            Event::ReceiveEnded { key, .. } => self.receive(key),
            _ => {}
        }
        Ok(())
    }

    fn receive(&mut self, key: Key) {
        let socket = match key.owner() {
            Owner::Flow => self.flows.all[key.index()].1,
            _ => self.listener,
        };
        self.engine.receive_datagrams(socket, key);
    }

    fn send_on(&mut self, buffer: BufferId) -> Result<(), Box<dyn Error>> {
        let datagram = self.engine.datagram(buffer);
        let Some(client) = datagram.from else {
            self.engine.release(buffer);
            return Ok(());
        };
        let engine = &mut self.engine;
        let index = self.flows.of(client, |index, backend| {
            let socket = engine.connect_datagrams(backend, Source::Any);
            socket.inspect(|socket| engine.receive_datagrams(*socket, flow_key(index)))
        });
        let index = index.map_err(|failure| format!("no socket for a client: {failure:?}"))?;
        let socket = self.flows.all[index].1;
        self.engine.send_datagram(socket, flow_key(index), datagram.payload, None);
        Ok(())
    }

    fn give_back(&mut self, index: usize, buffer: BufferId) {
        let payload = self.engine.datagram(buffer).payload;
        let destination = Destination { address: self.flows.all[index].0, source: None };
        self.engine.send_datagram(self.listener, listener_key(), payload, Some(destination));
    }
}
