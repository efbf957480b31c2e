//! `ringway demo`: the balancer in front of three small origins, for a first look.

mod origin;

use super::arguments::LogLevel;
use super::reread::Reread;
use super::{Failed, Start};
use origin::Origin;
use ringway::balance::Algorithm;
use ringway::config::{Backend, Config};
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

const ORIGINS: [Origin; 3] = [
    Origin { name: "falcon", weight: 3, latency: Duration::from_millis(2) },
    Origin { name: "heron", weight: 2, latency: Duration::from_millis(10) },
    Origin { name: "tortoise", weight: 1, latency: Duration::from_millis(60) },
];

/// Starts the origins, says what to try, and serves until it is told to end.
pub(super) fn demo(
    listen: SocketAddr,
    log_level: LogLevel,
    serve: fn(Start) -> Result<(), Box<dyn Error>>,
    out: &mut dyn Write,
) -> Result<(), Failed> {
    let addresses = origin::start(&ORIGINS)?;
    let backend = |(origin, address): (&Origin, &SocketAddr)| Backend {
        address: *address,
        weight: origin.weight,
    };
    let backends: Vec<Backend> = ORIGINS.iter().zip(&addresses).map(backend).collect();
    let config = Config::quick(&[listen], &backends, Algorithm::default())
        .map_err(|message| Failed::Error(message.into()))?;
    introduce(listen, &addresses, out)?;
    let source = Box::new(Reread::default());
    serve(Start { config, config_file: None, source, log_level }).map_err(Failed::Error)
}

fn introduce(listen: SocketAddr, addresses: &[SocketAddr], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Ringway listens on http://{listen} in front of three origins:\n")?;
    for (Origin { name, weight, latency }, address) in ORIGINS.iter().zip(addresses) {
        let latency = latency.as_millis();
        writeln!(out, "  {name:<9} {address:<16} weight {weight}, answers after {latency} ms")?;
    }
    writeln!(
        out,
        "\nTry, in another terminal:\n\n  \
         curl http://{listen}/hello                 # who answers, and what it was asked\n  \
         for i in $(seq 60); do curl -s http://{listen}/ | head -1; done | sort | uniq -c\n  \
         curl -d 'some data' http://{listen}/form   # a request with a body\n  \
         curl -v http://{listen}/ --http1.0         # another version of HTTP\n\n\
         End it with Ctrl-C."
    )?;
    out.flush()
}
