//! The bare relay on glommio. Each client has one connection to a backend; the end of either ends
//! both. Does not: look at the bytes; set up the ring, which glommio does not let anyone do.

use crate::{BUFFER_SIZE, Plan};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future, io};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use std::error::Error;
use std::net::SocketAddr;

/// Submission entries: Ringway's default.
const RING_ENTRIES: usize = 4096;

/// Relays until the process ends.
pub fn relay(plan: Plan) -> Result<(), Box<dyn Error>> {
    let builder = LocalExecutorBuilder::new(Placement::Fixed(plan.core));
    builder.ring_depth(RING_ENTRIES).make()?.run(accept(plan))
}

async fn accept(mut plan: Plan) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(plan.listen)?;
    loop {
        let client = listener.accept().await?;
        let (_, address) = plan.backends.next();
        glommio::spawn_local(serve(client, address)).detach();
    }
}

/// Errors of one connection end that connection and nothing else.
async fn serve(client: TcpStream, address: SocketAddr) {
    let Ok(upstream) = TcpStream::connect(address).await else { return };
    if client.set_nodelay(true).is_err() || upstream.set_nodelay(true).is_err() {
        return;
    }
    let (client_reads, client_writes) = io::split(client);
    let (upstream_reads, upstream_writes) = io::split(upstream);
    let there = pump(client_reads, upstream_writes);
    let back = pump(upstream_reads, client_writes);
    // The first to end cancels the other; what it had read by then has been sent.
    future::or(there, back).await;
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = vec![0; BUFFER_SIZE];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
