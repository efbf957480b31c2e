//! Every maximum of Ringway with its unit and its reason. Configuration may lower a limit, never
//! raise it past the constant here.

use std::time::Duration;

/// Bytes of a request or response head, the empty line included. One head must fit one buffer.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Fields (header lines) in one head or trailer section. Fields are counted, not only bytes:
/// many tiny ones cost more than their bytes.
pub const FIELDS_MAX: usize = 100;
/// Fields of a head that was written here: to those that it came with, [`FIELDS_MAX`] at most, what
/// a proxy has to say is added.
pub const OWN_FIELDS_MAX: usize = FIELDS_MAX + 12;
/// Bytes of one chunk-size line with its extensions. A legitimate line has fewer than twenty.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Attempts that one request gets, the first included: what four could not take, a fifth will not,
/// and its client has waited for each of them.
pub const ATTEMPTS_MAX: usize = 4;
/// So long after its head was complete, a request gets no further attempt: its client has hardly
/// waited, and what is old must not make an outage longer.
pub const RETRY_TIME_MAX: Duration = Duration::from_secs(30);
/// The second retry of a request that got no connection waits a random part of this first, the
/// third one of twice as much, so that requests whose backends fail together do not come together
/// again. The first retry does not wait: another backend is most likely well.
pub const RETRY_BACKOFF: Duration = Duration::from_millis(25);
/// Bytes of a trailer section.
pub const TRAILER_BYTES_MAX: usize = 4 * 1024;
/// Bytes of one field in a line of the access log, and of a target that was refused: more tells
/// nothing, and a line is not to be longer than what pipes take at once.
pub const LOGGED_BYTES_MAX: usize = 1024;
/// Bytes of line ends that are ignored before one request (RFC 9112 §2.2). Careless clients send
/// one or two behind a body; whoever sends more only keeps a shard busy.
pub const LEADING_LINE_ENDS_BYTES_MAX: u32 = 64;
/// Interim (1xx) responses before one final response.
pub const INTERIMS_MAX: u8 = 32;
/// How long a client is listened to after its last answer while nothing comes from it. To close a
/// connection that bytes still arrive on is to reset it, and a reset can cost the client an answer
/// that it has not read (RFC 9112 §9.6).
pub const LINGER_SILENCE: Duration = Duration::from_secs(5);
/// How long a client is listened to whose idle connection we end: a request may be on its way.
pub const LINGER_IDLE: Duration = Duration::from_secs(2);
/// How long a client is listened to after its last answer in all: long enough for an upload whose
/// sender looks for the answer only when it is done.
pub const LINGER_MAX: Duration = Duration::from_secs(30);
/// Bytes that a client may send after its last answer. A gigabit per second takes eight seconds
/// for them; whoever sends as much as that for nothing has its connection reset.
pub const LINGER_BYTES_MAX: u32 = 1 << 30;
/// Smallest and largest buffer that may be configured, bytes. A buffer holds a whole head, and
/// positions inside a buffer are kept in 32 bits.
pub const BUFFER_BYTES_MIN: usize = HEAD_BYTES_MAX;
/// See [`BUFFER_BYTES_MIN`].
pub const BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// Buffers in one shard's receive ring: the kernel's ids have 16 bits and the ring is a power of
/// two of at most this many entries.
pub const BUFFERS_PER_SHARD_MAX: usize = 32_768;
/// Fewest buffers in a receive ring that can serve a handful of busy connections.
pub const BUFFERS_PER_SHARD_MIN: usize = 16;
/// Entries of a submission queue.
pub const RING_ENTRIES_MAX: u32 = 32_768;
/// See [`RING_ENTRIES_MAX`].
pub const RING_ENTRIES_MIN: u32 = 64;
/// Shards of one process; also the width of the tables of published counts.
pub const SHARDS_MAX: usize = 256;
/// Backends over all pools: the width of the tables of published counts.
pub const BACKENDS_MAX: usize = 16_384;
/// Pools of a process, those on their way out too: the length of the tables with a row per pool.
pub const POOLS_MAX: usize = 16_384;
/// Routes of a process: the length of the tables with a row per route.
pub const ROUTES_MAX: usize = 65_536;
/// Listeners of a process, those on their way out too: the length of the tables with a row per
/// listener.
pub const LISTENERS_MAX: usize = 4_096;
/// How long a socket whose listener is gone is still accepted on. The kernel resets connections
/// that are in its backlog or in the middle of their handshake when it is closed; a handshake takes
/// a round trip.
pub const LISTENER_LEAVES_AFTER: Duration = Duration::from_secs(1);
/// Flows of a listener of UDP. Each has a socket of its own to its backend, and a process can open
/// 1,048,576 files unless `fs.nr_open` is raised.
pub const FLOWS_MAX: u32 = 1_000_000;
/// Flows that begin in one turn of a shard. A socket and its connect take some ten microseconds, so
/// that is below a millisecond for which the shard's connections wait.
pub const FLOWS_BEGUN_PER_TURN_MAX: usize = 64;
/// Datagrams that wait because their flow could not begin in its turn: four turns' worth, and a
/// quarter of the buffers that datagrams of established flows need too.
pub const FLOWS_WAITING_MAX: usize = 256;
/// Bytes that a datagram can carry over IPv4: 16 bits of length count its headers too.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Receive and send buffer of a socket for datagrams, bytes. The kernel grants at most
/// `net.core.rmem_max` and `net.core.wmem_max`. What comes while a shard is busy waits there: 4 MiB
/// are five thousand small datagrams.
pub const DATAGRAM_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Highest weight of a backend. Bounded so that weight sums and sequences stay small.
pub const WEIGHT_MAX: u32 = 1_000;
/// Bytes of a TLS ClientHello with the headers of its records, as they are received. Those with
/// post-quantum key shares have 2 KiB, the largest seen in use (many key shares, tickets, padding)
/// less than a quarter of this.
pub const TLS_HELLO_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a line of the PROXY protocol version 1, its end included (section 2.1 there).
pub const PROXY_V1_BYTES_MAX: usize = 107;
/// Bytes of a header of the PROXY protocol version 2: 16 and what a length of 16 bits counts.
pub const PROXY_V2_BYTES_MAX: usize = 16 + u16::MAX as usize;
/// Bytes of the TLVs of a header of the PROXY protocol that are kept to be passed on: with the
/// values that Ringway writes itself they fit the smallest buffer.
pub const PROXY_TLVS_KEPT_BYTES_MAX: usize = 12 * 1024;
/// Completions taken in one turn before timers and accepts get their share.
pub const COMPLETIONS_PER_TURN_MAX: usize = 1_024;
/// Timers that may fire in one turn.
pub const TIMERS_PER_TURN_MAX: usize = 1_024;

const _: () = assert!(HEAD_BYTES_MAX <= BUFFER_BYTES_MIN);
const _: () = assert!(TRAILER_BYTES_MAX <= HEAD_BYTES_MAX);
/// Bytes of the payload of a HTTP/2 frame, in both directions: what every peer accepts (RFC 9113
/// §4.2). Larger frames would only hold up other streams.
pub const HTTP2_FRAME_BYTES_MAX: usize = 16 * 1024;
/// CONTINUATION frames behind one HEADERS frame. With frames of full size the first of them is
/// already beyond [`HEAD_BYTES_MAX`]; some peers fill theirs badly.
pub const HTTP2_CONTINUATIONS_MAX: u8 = 8;
/// Bytes of one compressed field block. One that is too large for a head is read all the same, so
/// that the compression stays in step and the connection lives; beyond this the connection ends.
pub const HTTP2_BLOCK_BYTES_MAX: usize = 4 * HEAD_BYTES_MAX;
/// Bytes that the fields of one block may have once they are expanded, with 32 for each, whether
/// they are stored or not: the bound on the work for a block that is refused.
pub const HTTP2_SECTION_WORK_MAX: usize = 8 * HEAD_BYTES_MAX;
/// Cookie fields of one request, which HTTP/2 clients split at each `; ` (RFC 9113 §8.2.3). They
/// are one field for [`FIELDS_MAX`]; sites with more than a hundred cookies exist.
pub const HTTP2_COOKIE_CRUMBS_MAX: u32 = 256;
/// Bytes of the dynamic table of HPACK, in both directions: the default of RFC 9113 §6.5.2.
pub const HPACK_TABLE_BYTES: usize = 4 * 1024;
/// Bytes of answers to control frames (acknowledgements, resets, credit) that a peer may leave
/// unread: a thousand frames.
pub const HTTP2_OWED_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the receive window of a HTTP/2 connection that has grown: a gigabit per second at
/// 50 ms.
pub const HTTP2_WINDOW_BYTES_MAX: u32 = 8 * 1024 * 1024;
/// Bytes by which the receive windows of all HTTP/2 connections of a shard may have grown: what a
/// client may send, a backend may leave unread.
pub const HTTP2_GROWTH_BYTES_MAX: u32 = 32 * 1024 * 1024;
/// Bytes that a stream which is not incremental sends before others of its urgency get their turn
/// (RFC 9218 §10 lets one such response end first; without a bound an endless one starves others).
pub const HTTP2_TURN_BYTES: u32 = 64 * 1024;
/// Silence of a backend of HTTP/2 after which a PING goes with the next stream that is opened: a
/// connection may have been lost without a trace while it was idle.
pub const HTTP2_PING_AFTER: Duration = Duration::from_secs(10);
/// The longest that a peer of HTTP/2 may take to acknowledge our settings: behind what a slow path
/// holds back, and no longer (RFC 9113 §6.5.3).
pub const HTTP2_SETTINGS_MAX: Duration = Duration::from_secs(30);
/// Silence of a backend of HTTP/2 with open streams after which it is asked by PING. Servers of
/// gRPC take more than one in five minutes for a flood.
pub const HTTP2_PING_APART: Duration = Duration::from_secs(310);
