//! The bare relay on monoio, with its ring set up as Ringway's is. Each client has one connection
//! to a backend; the end of either ends both. Does not: look at the bytes.

use crate::{BACKLOG, BUFFER_SIZE, Plan};
use futures_lite::future;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};
use ringway::sys::socket;
use std::io;
use std::net::SocketAddr;

/// Submission entries: Ringway's default.
const RING_ENTRIES: u32 = 4096;

/// Relays until the process ends.
pub fn relay(plan: Plan) -> io::Result<()> {
    let mut ring = io_uring_06::IoUring::builder();
    ring.setup_single_issuer().setup_defer_taskrun();
    let builder = RuntimeBuilder::<IoUringDriver>::new().uring_builder(ring);
    builder.with_entries(RING_ENTRIES).build()?.block_on(accept(plan))
}

async fn accept(mut plan: Plan) -> io::Result<()> {
    let listener = std::net::TcpListener::from(socket::listen(plan.listen, BACKLOG)?);
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        let (_, address) = plan.backends.next();
        monoio::spawn(serve(client, address));
    }
}

/// Errors of one connection end that connection and nothing else.
async fn serve(client: TcpStream, address: SocketAddr) {
    let Ok(upstream) = TcpStream::connect_addr(address).await else { return };
    if upstream.set_nodelay(true).is_err() {
        return;
    }
    let (client_reads, client_writes) = client.into_split();
    let (upstream_reads, upstream_writes) = upstream.into_split();
    let there = pump(client_reads, upstream_writes);
    let back = pump(upstream_reads, client_writes);
    // The first to end cancels the other; what it had read by then has been sent.
    future::or(there, back).await;
}

async fn pump(mut from: impl AsyncReadRent, mut to: impl AsyncWriteRent) {
    let mut buffer = Vec::with_capacity(BUFFER_SIZE);
    loop {
        let result;
        (result, buffer) = from.read(buffer).await;
        if !matches!(result, Ok(1..)) {
            return;
        }
        let result;
        (result, buffer) = to.write_all(buffer).await;
        if result.is_err() {
            return;
        }
        // Only capacity counts for a read; what is there would otherwise be kept.
        buffer.clear();
    }
}
