//! What happens to sockets by itself: operations go on, end, fail, and lose the race against a
//! cancel or win it.

use super::engine::BUFFER_SIZE;
use super::network::{Armed, Door, Fate, Network, Stream};
use ringway::engine::{BufferId, Event, Failure, Key, Op, ReceiveFlags, Socket};

/// Bytes that an actor who does not read can be sent.
const WINDOW: usize = 64 * 1024;

impl Stream {
    /// An operation is in flight.
    pub(super) fn is_in_use(&self) -> bool {
        self.receive.is_some()
            || self.poll.is_some()
            || self.send.is_some()
            || self.connect.is_some()
    }

    /// Bytes that the actor takes, now.
    pub(super) fn bring(&mut self, bytes: &[u8]) {
        self.arrived += bytes.len() as u64;
        self.to_actor.push(bytes);
    }

    /// The end of the stream takes along what waited for it.
    pub(super) fn uncork(&mut self) {
        let corked = std::mem::take(&mut self.corked);
        self.bring(&corked);
    }

    /// There is something to receive, and it is waited for.
    fn has_news(&self) -> bool {
        (self.receive.is_some() || self.poll.is_some())
            && (!self.to_proxy.is_empty() || self.actor_ended || self.actor_reset)
    }
}

impl Network {
    /// Lets one step's worth of things happen to what a shard has asked for. `acquire` gives a
    /// receive buffer filled with the bytes, or none.
    pub fn step(&mut self, shard: usize, mut acquire: impl FnMut(&[u8]) -> Option<BufferId>) {
        if !self.prng.one_in(self.meanness.hold_back_one_in) {
            let lane = &mut self.lanes[shard];
            lane.ready.append(&mut lane.held);
        }
        // What is cancelled may be faster than the cancel.
        let cancels_first = self.prng.one_in(2);
        if cancels_first {
            self.step_cancels(shard);
        }
        self.step_accepts(shard);
        let is_own = |stream: &Stream| {
            stream.user == Some(shard) && stream.is_in_use() && stream.proxy_closed.is_none()
        };
        let own = self.streams.iter().filter(|(_, stream)| is_own(stream));
        let sockets: Vec<i32> = own.map(|(socket, _)| *socket).collect();
        for socket in sockets {
            self.step_connect(shard, socket);
            self.step_send(shard, socket);
            if self.stream(socket).has_news() {
                self.step_receive(shard, socket, &mut acquire);
            }
        }
        if !cancels_first {
            self.step_cancels(shard);
        }
    }

    /// Events reach a shard in the order of their causes, but not always at once.
    pub(super) fn push(&mut self, shard: usize, event: Event) {
        self.activity += 1;
        let is_held = self.prng.one_in(self.meanness.hold_back_one_in);
        let lane = &mut self.lanes[shard];
        let queue = if is_held || !lane.held.is_empty() { &mut lane.held } else { &mut lane.ready };
        queue.push_back(event);
    }

    fn stream(&mut self, socket: i32) -> &mut Stream {
        self.streams.get_mut(&socket).expect("listed")
    }

    fn step_accepts(&mut self, shard: usize) {
        let awaited =
            |door: &Door| door.shard == shard && door.accept.is_some() && !door.backlog.is_empty();
        let doors = self.doors.iter().filter(|(_, door)| awaited(door));
        let doors: Vec<i32> = doors.map(|(number, _)| *number).collect();
        for number in doors {
            while self.accept_one(shard, number) {}
        }
    }

    /// Accepts a connection, or fails to; true if there may be another one.
    fn accept_one(&mut self, shard: usize, number: i32) -> bool {
        let out = self.is_out_of_descriptors;
        let fails = out || self.prng.one_in(self.meanness.accept_fails_one_in);
        let takes_many = self.doors[&number].takes_many;
        let ends = fails || !takes_many || self.prng.one_in(self.meanness.ends_early_one_in);
        let kind = !out && self.prng.one_in(2);
        let door = self.doors.get_mut(&number).expect("listed");
        let (Some(armed), false) = (door.accept, door.backlog.is_empty()) else { return false };
        let key = armed.key;
        if ends {
            door.accept = None;
        }
        if fails {
            let failures = [Failure::OutOfDescriptors, Failure::OutOfResources];
            let failure = failures[usize::from(kind)];
            self.push(shard, Event::AcceptEnded { key, failure });
            return false;
        }
        let socket = Socket(door.backlog.pop_front().expect("not empty"));
        self.push(shard, Event::Accepted { key, socket, more: !ends });
        !ends
    }

    fn step_connect(&mut self, shard: usize, socket: i32) {
        let stream = self.stream(socket);
        let Some((Armed { key, .. }, fate)) = &mut stream.connect else { return };
        let key = *key;
        let result = match fate {
            Fate::Hangs => return,
            Fate::Connects(1) => Ok(()),
            Fate::Fails(1, failure) => Err(*failure),
            Fate::Connects(steps) | Fate::Fails(steps, _) => {
                *steps -= 1;
                self.activity += 1;
                return;
            }
        };
        self.end_connect(shard, socket, key, result);
    }

    fn end_connect(&mut self, shard: usize, socket: i32, key: Key, result: Result<(), Failure>) {
        let stream = self.stream(socket);
        stream.connect = None;
        stream.is_connected = result.is_ok();
        if result.is_ok() {
            self.arrivals.push(socket);
        }
        self.push(shard, Event::Connected { key, result });
    }

    fn step_send(&mut self, shard: usize, socket: i32) {
        let most = self.meanness.peer_bytes_max;
        let stream = self.streams.get_mut(&socket).expect("listed");
        let Some(mut send) = stream.send.take() else { return };
        if let Some(says) = self.ends_at_send.remove(&socket) {
            stream.to_proxy.push(says.as_bytes());
            stream.actor_ended = true;
        }
        let key = send.armed.key;
        stream.actor_reset |= self.resets_at_send.remove(&socket);
        if stream.actor_reset {
            // What was taken before the failure is told first; the next send meets it again.
            let taken = send.done as u32;
            let result = if taken > 0 { Ok(taken) } else { Err(Failure::Reset) };
            return self.push(shard, Event::Sent { key, result });
        }
        let room = WINDOW.saturating_sub(stream.to_actor.len());
        let mut end = send.bytes.len().min(send.done + most.min(room));
        let ends_short = stream.actor_ended
            && !send.is_last
            && end > send.done + 1
            && self.prng.one_in(self.meanness.sends_short_one_in);
        if ends_short {
            end = send.done + 1 + self.prng.below((end - send.done - 1) as u32) as usize;
        }
        let piece = &send.bytes[send.done..end];
        self.activity += piece.len() as u64;
        stream.sent += piece.len() as u64;
        let is_done = end == send.bytes.len();
        match is_done && send.is_last {
            true => stream.corked.extend_from_slice(piece),
            false => stream.bring(piece),
        }
        if is_done || ends_short {
            return self.push(shard, Event::Sent { key, result: Ok(end as u32) });
        }
        send.done = end;
        stream.send = Some(send);
    }

    /// Brings something of what has come.
    fn step_receive(
        &mut self,
        shard: usize,
        socket: i32,
        acquire: &mut impl FnMut(&[u8]) -> Option<BufferId>,
    ) {
        let is_starved = self.starved.contains(&socket);
        let loses_ring = is_starved || self.prng.one_in(self.meanness.no_buffers_one_in);
        let most = 1 + self.prng.below(self.meanness.receive_bytes_max) as usize;
        let most = most.min(BUFFER_SIZE);
        let ends = self.prng.one_in(self.meanness.ends_early_one_in);
        let stream = self.stream(socket);
        if let Some(Armed { key, .. }) = stream.poll {
            stream.poll = None;
            return self.push(shard, Event::Readable { key });
        }
        let Some(Armed { key, .. }) = stream.receive else { return };
        let event = if stream.actor_reset {
            stream.receive = None;
            Event::ReceiveEnded { key, failure: Some(Failure::Reset) }
        } else if stream.to_proxy.is_empty() {
            stream.receive = None;
            Event::ReceiveEnded { key, failure: None }
        } else {
            let length = most.min(stream.to_proxy.len());
            let buffer =
                if loses_ring { None } else { acquire(&stream.to_proxy.front()[..length]) };
            let is_over = buffer.is_none() || ends;
            stream.receive = stream.receive.filter(|_| !is_over);
            match buffer {
                None => Event::ReceiveEnded { key, failure: Some(Failure::NoBuffers) },
                Some(buffer) => {
                    stream.to_proxy.skip(length);
                    let flags = ReceiveFlags {
                        still_armed: !ends,
                        more_readable: !stream.to_proxy.is_empty(),
                    };
                    Event::Received { key, buffer, length: length as u32, flags }
                }
            }
        };
        self.push(shard, event);
    }

    fn step_cancels(&mut self, shard: usize) {
        for (op, key, sequence) in std::mem::take(&mut self.lanes[shard].cancels) {
            self.activity += 1;
            let is_it = |armed: Armed| armed.key == key && armed.sequence < sequence;
            if let Some(event) = self.end_cancelled(shard, op, key, is_it) {
                self.push(shard, event);
            }
        }
    }

    /// Ends the operation that a cancel is after, if it has not ended by itself.
    fn end_cancelled(
        &mut self,
        shard: usize,
        op: Op,
        key: Key,
        is_it: impl Fn(Armed) -> bool,
    ) -> Option<Event> {
        let failure = Failure::Cancelled;
        if op == Op::Accept {
            let mut doors = self.doors.values_mut().filter(|door| door.shard == shard);
            let door = doors.find(|door| door.accept.is_some_and(&is_it))?;
            door.accept = None;
            return Some(Event::AcceptEnded { key, failure });
        }
        if op == Op::ReceiveDatagrams {
            return self.end_cancelled_datagrams(shard, key, is_it);
        }
        let own = self.streams.values_mut().filter(|stream| stream.user == Some(shard));
        for stream in own {
            match op {
                Op::Receive if stream.receive.is_some_and(&is_it) => {
                    stream.receive = None;
                    return Some(Event::ReceiveEnded { key, failure: Some(failure) });
                }
                Op::Poll if stream.poll.is_some_and(&is_it) => {
                    stream.poll = None;
                    return Some(Event::Readable { key });
                }
                Op::Connect if stream.connect.is_some_and(|(armed, _)| is_it(armed)) => {
                    stream.connect = None;
                    return Some(Event::Connected { key, result: Err(failure) });
                }
                Op::Send if stream.send.as_ref().is_some_and(|send| is_it(send.armed)) => {
                    let done = stream.send.take().expect("found").done as u32;
                    let result = if done > 0 { Ok(done) } else { Err(failure) };
                    return Some(Event::Sent { key, result });
                }
                _ => {}
            }
        }
        None
    }
}
