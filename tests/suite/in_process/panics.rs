//! One shard panics while the other serves.

use super::{OPTIONS, stage};
use crate::loopback::harness::{Origin, await_that, connect, read_to_end, read_until};
use ringway::config::{Config, Listener, TextFormat};
use ringway::coordinator::admin::Admin;
use ringway::coordinator::{
    ConfigSource, Control, Coordinator, ListenSockets, OpenListener, ShardEnd, ShardReport, Spawn,
    Unusable,
};
use ringway::engine::uring::Uring;
use ringway::engine::{
    BufferId, BuffersHeld, Close, Datagram, Destination, Engine, Event, Failure, Key, Op, Room,
    Slice, Socket, Source,
};
use ringway::shard::{Shard, ShardParts};
use ringway::stats::Counter;
use ringway::sys::clock;
use std::io::Write;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A real engine that panics when it receives a certain word.
struct Fragile {
    inner: Uring,
}

const WORD: &[u8] = b"GET /panic ";

impl Engine for Fragile {
    fn next_event(&mut self) -> Option<Event> {
        let event = self.inner.next_event();
        if let Some(Event::Received { buffer, .. }) = event {
            assert!(!self.inner.bytes(buffer).starts_with(WORD), "as ordered by a test");
        }
        event
    }
    fn now(&self) -> ringway::base::Instant {
        self.inner.now()
    }
    fn wall_seconds(&self) -> u64 {
        self.inner.wall_seconds()
    }
    fn turn(&mut self, deadline: ringway::base::Instant) {
        self.inner.turn(deadline);
    }
    fn accept(&mut self, listener: Socket, key: Key, takes_many: bool) {
        self.inner.accept(listener, key, takes_many);
    }
    fn accept_now(&mut self, listener: Socket) -> Option<Socket> {
        self.inner.accept_now(listener)
    }
    fn peer_address(&self, socket: Socket) -> Option<SocketAddr> {
        self.inner.peer_address(socket)
    }

    fn local_address(&self, socket: Socket) -> Option<SocketAddr> {
        self.inner.local_address(socket)
    }
    fn connect(
        &mut self,
        address: SocketAddr,
        source: Source,
        key: Key,
    ) -> Result<Socket, Failure> {
        self.inner.connect(address, source, key)
    }
    fn receive(&mut self, socket: Socket, key: Key) {
        self.inner.receive(socket, key);
    }
    fn poll(&mut self, socket: Socket, key: Key) {
        self.inner.poll(socket, key);
    }
    fn send(&mut self, socket: Socket, key: Key, slices: &[Slice], is_last: bool) {
        self.inner.send(socket, key, slices, is_last);
    }
    fn send_at_once(&mut self, socket: Socket, bytes: &[u8]) {
        self.inner.send_at_once(socket, bytes);
    }
    fn acknowledged(&self, socket: Socket) -> u64 {
        self.inner.acknowledged(socket)
    }

    fn unacknowledged(&self, socket: Socket) -> u32 {
        self.inner.unacknowledged(socket)
    }
    fn keep_alive(&mut self, socket: Socket, idle: Duration) {
        self.inner.keep_alive(socket, idle);
    }
    fn shutdown_write(&mut self, socket: Socket) {
        self.inner.shutdown_write(socket);
    }
    fn connect_datagrams(
        &mut self,
        address: SocketAddr,
        source: Source,
    ) -> Result<Socket, Failure> {
        self.inner.connect_datagrams(address, source)
    }
    fn receive_datagrams(&mut self, socket: Socket, key: Key) {
        self.inner.receive_datagrams(socket, key);
    }
    fn datagram(&self, buffer: BufferId) -> Datagram {
        self.inner.datagram(buffer)
    }
    fn send_datagram(
        &mut self,
        socket: Socket,
        key: Key,
        slice: Slice,
        destination: Option<Destination>,
    ) {
        self.inner.send_datagram(socket, key, slice, destination);
    }
    fn has_datagrams(&self) -> bool {
        self.inner.has_datagrams()
    }
    fn turn_datagrams_away(&mut self, socket: Socket) {
        self.inner.turn_datagrams_away(socket);
    }
    fn close_datagrams(&mut self, socket: Socket) {
        self.inner.close_datagrams(socket);
    }
    fn cancel(&mut self, op: Op, key: Key) {
        self.inner.cancel(op, key);
    }
    fn close(&mut self, socket: Socket, how: Close) {
        self.inner.close(socket, how);
    }
    fn acquire(&mut self, room: Room) -> Option<BufferId> {
        self.inner.acquire(room)
    }
    fn release(&mut self, buffer: BufferId) {
        self.inner.release(buffer);
    }
    fn buffer_size(&self) -> usize {
        self.inner.buffer_size()
    }
    fn bytes(&self, buffer: BufferId) -> &[u8] {
        self.inner.bytes(buffer)
    }
    fn bytes_mut(&mut self, buffer: BufferId) -> &mut [u8] {
        self.inner.bytes_mut(buffer)
    }
    fn bytes_pair(&mut self, read: BufferId, write: BufferId) -> (&[u8], &mut [u8]) {
        self.inner.bytes_pair(read, write)
    }
    fn receive_buffers_scarce(&self) -> bool {
        self.inner.receive_buffers_scarce()
    }
    fn buffers_low(&self) -> bool {
        self.inner.buffers_low()
    }
    fn buffers_held(&self) -> BuffersHeld {
        self.inner.buffers_held()
    }
    fn is_receive_buffer(&self, buffer: BufferId) -> bool {
        self.inner.is_receive_buffer(buffer)
    }
}

#[test]
fn a_shard_that_panics_loses_its_own_sessions_and_comes_back() {
    let origin = Origin::saying("hello");
    let scene = stage(2, origin.address);
    let (address, mailboxes) = (scene.address, scene.mailboxes.clone());
    let starts = Arc::new(AtomicUsize::new(0));
    let (wakes, of_threads, counted) = (scene.wakes, mailboxes.clone(), starts.clone());
    std::thread::spawn(move || {
        let spawn: Spawn = Box::new(move |index, snapshot, reports| {
            let (wake, mailboxes, counted) =
                (wakes[index].clone(), of_threads.clone(), counted.clone());
            std::thread::spawn(move || {
                let inner = Uring::new(&OPTIONS, wake).expect("io_uring works here");
                let engine = Fragile { inner };
                let parts =
                    ShardParts { engine, mailboxes, index, snapshot, access_log: None, seed: 1 };
                let mut shard = Shard::new(parts);
                counted.fetch_add(1, Ordering::Relaxed);
                let end = match catch_unwind(AssertUnwindSafe(|| shard.run())) {
                    Ok(()) => ShardEnd::Finished,
                    Err(_) => {
                        shard.abandon();
                        ShardEnd::Panicked
                    }
                };
                let _ = reports.send(ShardReport { shard: index, end });
            });
        });
        let listen_sockets = FixedSockets { bound: address, sockets: scene.sockets };
        let control = Control::new(
            scene.config,
            Box::new(listen_sockets),
            scene.mailboxes,
            clock::monotonic(),
        );
        let control = control.expect("its open is open");
        let coordinator =
            Coordinator::new(control, Box::new(NoSource), spawn, scene.bell, Admin::default(), 1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(coordinator.run()).expect("signals");
    });
    await_that("both run", || starts.load(Ordering::Relaxed) == 2);
    // Enough connections that both shards have some.
    let get = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut streams: Vec<_> = (0..32).map(|_| connect(address)).collect();
    for stream in &mut streams {
        stream.write_all(get).expect("sent");
        read_until(stream, b"hello");
    }
    let held = mailboxes.iter().map(|mailbox| mailbox.connections()).collect::<Vec<_>>();
    assert!(held.iter().all(|count| *count > 0), "{held:?}");
    let mut fatal = connect(address);
    fatal.write_all(b"GET /panic HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    assert_eq!(read_to_end(&mut fatal), b"", "closed, not left to wait");
    await_that("it is back", || starts.load(Ordering::Relaxed) == 3);
    let mut survivors = 0;
    for stream in &mut streams {
        let lives = stream.write_all(get).is_ok() && read_answer(stream);
        survivors += usize::from(lives);
    }
    let counters = mailboxes.iter().map(|mailbox| &mailbox.counters);
    let panicked: Vec<u64> = counters.map(|counters| counters.read(Counter::ShardPanics)).collect();
    let other = panicked.iter().position(|count| *count == 0).expect("one did not panic");
    assert_eq!(panicked.iter().sum::<u64>(), 1);
    assert_eq!(survivors as u32, held[other], "exactly the other shard's sessions live");
    for _ in 0..32 {
        let mut stream = connect(address);
        stream.write_all(get).expect("sent");
        read_until(&mut stream, b"hello");
    }
}

pub(super) struct NoSource;

impl ConfigSource for NoSource {
    fn read(&self) -> Result<Config, Unusable> {
        Err("there is no file".to_owned().into())
    }

    fn parse(&self, _: &str, _: TextFormat, _: &str) -> Result<Config, Unusable> {
        self.read()
    }
}

/// The one listener of the stage.
pub(super) struct FixedSockets {
    pub(super) bound: SocketAddr,
    pub(super) sockets: Vec<Socket>,
}

impl ListenSockets for FixedSockets {
    fn open(&mut self, _listener: &Listener) -> Result<OpenListener, String> {
        Ok(OpenListener { bound: self.bound, sockets: self.sockets.clone(), is_passed: false })
    }

    fn note_open(&mut self, _listeners: &[Listener]) {}

    fn turn_away(&mut self, _sockets: &[Socket]) {}

    fn close(&mut self, _door: OpenListener) {}

    fn close_unused(&mut self) {}
}

fn read_answer(stream: &mut std::net::TcpStream) -> bool {
    use std::io::Read;
    let mut answer = [0; 43];
    stream.read_exact(&mut answer).is_ok() && answer.ends_with(b"hello")
}
