//! Each event as a sentence, with its level.

use super::{Event, Level};
use crate::base::calendar::Civil;
use crate::tls::StapleState;
use std::fmt;

/// Standings of a backend that fails, without an operator's order.
const UNFIT: [&str; 3] = ["down", "not-ready", "ejected"];

impl Event {
    /// Its level.
    pub fn level(&self) -> Level {
        match self {
            Self::PoolWithoutHealthy { .. }
            | Self::ReloadRefused { .. }
            | Self::NoRoom { .. }
            | Self::TlsFilesFailed { .. }
            | Self::CertificateExpires { days_left: None | Some(0), .. }
            | Self::ShardPanicked { .. } => Level::Error,
            Self::AcmeFailed { days_left, .. } => match days_left {
                Some(days) if *days >= ACME_DAYS_LEFT_MIN => Level::Warn,
                _ => Level::Error,
            },
            Self::CertificateExpires { .. } | Self::CertificateNotYetValid { .. } => Level::Warn,
            Self::OcspStaple { is, .. } if *is != StapleState::Stapled.word() => Level::Warn,
            Self::Backend { is, .. } if UNFIT.contains(is) => Level::Warn,
            Self::HalfOpenProbe { passed: false, .. } | Self::SourceFailed { .. } => Level::Warn,
            Self::CoordinatorLate { .. } | Self::BackendTlsFailed { .. } => Level::Warn,
            Self::Audit { status, .. } if *status >= 400 => Level::Warn,
            Self::Reloaded { needs_restart, .. } if !needs_restart.is_empty() => Level::Warn,
            _ => Level::Info,
        }
    }
}

/// Days left of a certificate below which it matters that another one cannot be fetched.
const ACME_DAYS_LEFT_MIN: u64 = 7;

/// Names of a certificate that a sentence has.
const NAMES_MAX: usize = 3;

/// The first names of a certificate, as "for a, b and 3 more".
fn names_of(names: &[String]) -> String {
    let first = names.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        _ if names.is_empty() => "without a name".to_owned(),
        0 => format!("for {first}"),
        more => format!("for {first} and {more} more"),
    }
}

/// `2026-11-30 12:00 UTC`.
fn date_of(time_ms: u64) -> String {
    let Civil { year, month, day, hour, minute, .. } = Civil::at(time_ms / 1_000);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

impl fmt::Display for Event {
    // Rule: the words of all events are read side by side.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend { pool, backend, was, is, reason } => {
                write!(f, "backend {pool} {backend}: {is} (was {was}): {reason}")
            }
            Self::PoolHealthy { pool } => write!(f, "pool {pool}: has a healthy backend again"),
            Self::PoolWithoutHealthy { pool, backends, policy } => {
                let becomes = match *policy {
                    "refuse" => {
                        "requests are answered with 503, connections reset, datagrams dropped"
                    }
                    _ => "all are tried but those that an operator took out",
                };
                let unfit = match backends {
                    1 => "its only backend is not healthy".to_owned(),
                    _ => format!("none of its {backends} backends is healthy"),
                };
                write!(f, "pool {pool}: {unfit}: {becomes}")
            }
            Self::HalfOpenProbe { pool, backend, passed } => {
                let outcome = if *passed { "passed" } else { "failed" };
                write!(f, "backend {pool} {backend}: its half-open probe {outcome}")
            }
            Self::BackendTlsFailed { pool, backend, reason } => {
                write!(f, "backend {pool} {backend}: TLS fails: {reason}")
            }
            Self::Ordered { pool, backend, order } => {
                write!(f, "backend {pool} {backend}: ordered: {order}")
            }
            Self::Audit { who, what, status } => write!(f, "{what} by {who}: {status}"),
            Self::Reloaded { version, digest, generation, changes, needs_restart } => {
                let noun = if *changes == 1 { "change" } else { "changes" };
                write!(
                    f,
                    "configuration {version} (digest {digest}) loaded: generation {generation}, \
                     {changes} {noun}"
                )?;
                match needs_restart.as_slice() {
                    [] => Ok(()),
                    keys => write!(f, "; NOT APPLIED until a restart: {}", keys.join(", ")),
                }
            }
            Self::ReloadRefused { reason } => {
                write!(f, "configuration refused, nothing has changed: {}", reason.trim_end())
            }
            Self::TlsFilesLoaded { files } => write!(f, "{files}: read again, and in force"),
            Self::TlsFilesFailed { files, reason } => {
                write!(
                    f,
                    "{files}: has changed, and CANNOT BE USED: {reason}; what it had still holds"
                )
            }
            Self::AcmeBegun { certificate, names, directory, is_awaited } => {
                let names = names_of(names);
                write!(f, "certificate {certificate} {names}: is being fetched from {directory}")?;
                match is_awaited {
                    true => write!(f, "; until then there is none, and clients are refused"),
                    false => Ok(()),
                }
            }
            Self::AcmeFetched { certificate, names, ends_ms } => {
                let (names, ends) = (names_of(names), date_of(*ends_ms));
                write!(f, "certificate {certificate} {names}: fetched, valid until {ends}")
            }
            Self::AcmeFailed { certificate, names, reason, failures, next_ms, days_left } => {
                let (names, next) = (names_of(names), date_of(*next_ms));
                write!(
                    f,
                    "certificate {certificate} {names}: CANNOT BE FETCHED (failures: {failures}): \
                     {reason}; the next attempt is on {next}, "
                )?;
                match days_left {
                    Some(days) => write!(f, "and the present one is valid for {days} days"),
                    None => write!(f, "and clients are refused until one succeeds"),
                }
            }
            Self::CertificateExpires { certificate, names, ends_ms, days_left } => {
                let (names, ends) = (names_of(names), date_of(*ends_ms));
                write!(f, "certificate {certificate} {names}: ")?;
                match days_left {
                    None => write!(f, "EXPIRED on {ends}: clients refuse it; renew it"),
                    Some(0) => write!(f, "expires within a day, on {ends}: renew it"),
                    Some(1) => write!(f, "expires in a day, on {ends}: renew it"),
                    Some(days) => write!(f, "expires in {days} days, on {ends}: renew it"),
                }
            }
            Self::CertificateNotYetValid { certificate, names, begins_ms } => {
                let (names, begins) = (names_of(names), date_of(*begins_ms));
                write!(
                    f,
                    "certificate {certificate} {names}: valid only from {begins} on: clients \
                     refuse it until then; is the clock right?"
                )
            }
            Self::OcspStaple { certificate, is } if *is == StapleState::Stapled.word() => {
                write!(f, "certificate {certificate}: its OCSP answer is sent with it")
            }
            Self::OcspStaple { certificate, is } => write!(
                f,
                "certificate {certificate}: its OCSP answer is {is}, and NOT SENT: get a new one"
            ),
            Self::NoRoom { what } => write!(f, "there is no room for all of {what}"),
            Self::SourceFailed { pool, source, reason } => {
                write!(f, "pool {pool}: {source}: {reason}; its last answer still holds")
            }
            Self::SourceRecovered { pool, source, failed_ms } => {
                write!(f, "pool {pool}: {source}: recovered after {} s", failed_ms / 1000)
            }
            Self::CoordinatorLate { late_ms, held } => {
                let (noun, verb) = match held {
                    1 => ("health check", "does"),
                    _ => ("health checks", "do"),
                };
                write!(
                    f,
                    "the coordinator was {late_ms} ms late itself: {held} {noun} that timed out \
                     meanwhile {verb} not count; is the processor overloaded?"
                )
            }
            Self::Phase { phase } => write!(f, "the process is {phase} now"),
            Self::ShardPanicked { shard } => {
                write!(f, "shard {shard} panicked: its sessions are lost")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sentences_with_the_level_that_operators_expect() {
        let (pool, backend) = ("app".to_owned(), "10.0.0.1:80".parse().expect("an address"));
        let became = |was, is, reason: &str| Event::Backend {
            pool: pool.clone(),
            backend,
            was,
            is,
            reason: reason.to_owned(),
        };
        for (event, level, sentence) in [
            (
                became("serving", "down", "health check timed out"),
                Level::Warn,
                "backend app 10.0.0.1:80: down (was serving): health check timed out",
            ),
            (
                became("down", "serving", "fit for traffic"),
                Level::Info,
                "backend app 10.0.0.1:80: serving (was down): fit for traffic",
            ),
            (
                became("serving", "draining", "ordered"),
                Level::Info,
                "backend app 10.0.0.1:80: draining (was serving): ordered",
            ),
            (
                Event::PoolWithoutHealthy { pool: pool.clone(), backends: 3, policy: "refuse" },
                Level::Error,
                "pool app: none of its 3 backends is healthy: requests are answered with 503, \
                 connections reset, datagrams dropped",
            ),
            (
                Event::PoolWithoutHealthy {
                    pool: pool.clone(),
                    backends: 2,
                    policy: "route-to-all",
                },
                Level::Error,
                "pool app: none of its 2 backends is healthy: all are tried but those that an \
                 operator took out",
            ),
            (
                Event::PoolWithoutHealthy { pool: pool.clone(), backends: 1, policy: "refuse" },
                Level::Error,
                "pool app: its only backend is not healthy: requests are answered with 503, \
                 connections reset, datagrams dropped",
            ),
            (
                Event::ReloadRefused { reason: "a.toml:1:1: wrong\n\n".to_owned() },
                Level::Error,
                "configuration refused, nothing has changed: a.toml:1:1: wrong",
            ),
            (
                Event::Reloaded {
                    version: 3,
                    digest: "1a2b3c4d".to_owned(),
                    generation: 9,
                    changes: 1,
                    needs_restart: vec!["runtime.shards".to_owned()],
                },
                Level::Warn,
                "configuration 3 (digest 1a2b3c4d) loaded: generation 9, 1 change; NOT APPLIED \
                 until a restart: runtime.shards",
            ),
        ] {
            assert_eq!((event.level(), event.to_string()), (level, sentence.to_owned()));
        }
    }
    #[test]
    fn every_event_has_its_row_in_the_documents() {
        let documents = include_str!("../../../docs/operations.md");
        let (_, code) = include_str!("../events.rs").split_once("pub enum Event {").expect("it is");
        let (variants, _) = code.split_once("\n}\n").expect("it ends");
        let names = variants.lines().filter_map(|line| line.strip_prefix("    "));
        let names = names.filter_map(|line| line.strip_suffix(" {"));
        let mut count = 0;
        for name in names.filter(|name| name.starts_with(char::is_uppercase)) {
            let words = name.chars().flat_map(|letter| {
                let mark = letter.is_uppercase().then_some('_');
                mark.into_iter().chain(letter.to_lowercase())
            });
            let word: String = words.skip(1).collect();
            assert!(documents.contains(&format!("\n| `{word}` | ")), "{word} has no row");
            count += 1;
        }
        assert!(count >= 14, "only {count} were found");
    }
}
