//! `ringway demo`: the balancer in front of three small origins, with clients of its own, for a
//! first look.

mod origin;
mod own_certificate;
mod traffic;

use super::arguments::{LogLevel, Source};
use super::load::Effective;
use super::reread::Reread;
use super::{Failed, Start};
use clap::ArgMatches;
use origin::Origin;
use own_certificate::OwnCertificate;
use ringway::balance::Algorithm;
use ringway::config::{Backend, Config, Protocol, WrittenKeys};
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ORIGINS: [Origin; 3] = [
    Origin { name: "falcon", weight: 3, latency: Duration::from_millis(2) },
    Origin { name: "heron", weight: 2, latency: Duration::from_millis(10) },
    Origin { name: "tortoise", weight: 1, latency: Duration::from_millis(60) },
];

/// Starts the origins, serves until it is ordered to end, and prints what to try once it listens.
pub(super) fn demo(
    listen: SocketAddr,
    has_tls: bool,
    log_level: LogLevel,
    serve: fn(Start) -> Result<(), Box<dyn Error>>,
) -> Result<(), Failed> {
    let addresses = origin::start(&ORIGINS)?;
    let certificate = has_tls.then(|| OwnCertificate::make(listen.ip())).transpose()?;
    let config = configure(listen, &addresses, certificate.as_ref());
    let config = config.map_err(|message| Failed::Error(message.into()))?;
    let socket = config.admin.socket.clone().unwrap_or_default();
    let trusted = certificate.as_ref().map(|own| own.chain.clone());
    let on_listening = move |listeners: &[SocketAddr], out: &mut dyn Write| {
        let Some(listener) = listeners.first() else { return Ok(()) };
        introduce(traffic::reachable(*listener), &addresses, &socket, trusted.as_deref(), out)?;
        traffic::start(*listener, trusted.as_deref())
    };
    let mut effective = Effective::of(config, WrittenKeys::default());
    effective.follow_limit();
    let source = Reread::new(Source::default(), ArgMatches::default(), &effective);
    let on_listening = Some(Box::new(on_listening) as _);
    let start = Start { on_listening, ..Start::of(effective, source, log_level) };
    serve(start).map_err(Failed::Error)
}

fn configure(
    listen: SocketAddr,
    addresses: &[SocketAddr],
    certificate: Option<&OwnCertificate>,
) -> Result<Config, String> {
    let backend = |(origin, address): (&Origin, &SocketAddr)| Backend {
        address: *address,
        weight: origin.weight,
    };
    let backends: Vec<Backend> = ORIGINS.iter().zip(addresses).map(backend).collect();
    let mut config = Config::quick(&[listen], &backends, Algorithm::default())?;
    if let Some(own) = certificate {
        config.listeners[0].protocol = Protocol::Https;
        config.certificates.push(own.certificate.clone());
    }
    config.admin.socket = Some(admin_socket());
    // Ctrl-C ends a demo at once: no other balancer watches its readiness.
    config.timeouts.lame_duck = Duration::ZERO;
    config.timeouts.linger = Duration::ZERO;
    config.timeouts.drain = Duration::from_secs(1);
    Ok(config)
}

/// The admin socket, in a folder where every user may make one, and apart from that of a Ringway
/// that serves this machine.
fn admin_socket() -> PathBuf {
    std::env::temp_dir().join(format!("ringway-demo-{}.sock", std::process::id()))
}

fn introduce(
    listener: SocketAddr,
    addresses: &[SocketAddr],
    socket: &Path,
    trusted: Option<&Path>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let scheme = if trusted.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{listener}");
    let curl = trusted.map(|file| format!("--cacert {} ", file.display())).unwrap_or_default();
    writeln!(out, "\nRingway listens on {url} in front of three origins:\n")?;
    for (Origin { name, weight, latency }, address) in ORIGINS.iter().zip(addresses) {
        let latency = latency.as_millis();
        writeln!(out, "  {name:<9} {address:<16} weight {weight}, answers after {latency} ms")?;
    }
    // The path of the call, so that the lines work where it is not in the PATH.
    let program = std::env::args().next().unwrap_or_else(|| "ringway".to_owned());
    let (clients, first) = (traffic::CLIENTS, addresses[0]);
    let lines = [
        (format!("{program} top"), "the traffic, live; q ends it"),
        (
            format!("{program} backend drain default {first} --wait"),
            "falcon goes, no request fails",
        ),
        (format!("{program} status"), "listeners, pools, backends"),
        (format!("{program} backend ready default {first}"), "falcon comes back, slowly"),
        (format!("{program} explain GET {url}/hello"), "where a request goes, and why"),
        (format!("curl {curl}{url}/hello"), "who answers, and what it was asked"),
    ];
    let width = lines.iter().map(|(line, _)| line.len()).max().unwrap_or_default();
    writeln!(out, "\n{clients} clients of the demo send about 60 requests a second.")?;
    writeln!(out, "Try in another terminal:\n\n  export RINGWAY_ADMIN={}", socket.display())?;
    for (line, what) in lines {
        writeln!(out, "  {line:<width$}  # {what}")?;
    }
    writeln!(out, "\nPress Ctrl-C to end it.")?;
    out.flush()
}
