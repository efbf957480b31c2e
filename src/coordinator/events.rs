//! Events for operators: a bounded list of the last ones, each with a number, a level
//! and a sentence, and the same in the log.

mod wording;

use serde::Serialize;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// Events that are kept.
const KEPT_MAX: usize = 1024;

/// Bytes that are kept of the problems of a text: the first ones.
const REASON_BYTES_MAX: usize = 2048;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The standing of a backend has changed.
    Backend {
        /// Its pool.
        pool: String,
        /// Its address.
        backend: SocketAddr,
        /// Its standing before.
        was: &'static str,
        /// Its standing now.
        is: &'static str,
        /// Why.
        reason: String,
    },
    /// A pool has a healthy backend again.
    PoolHealthy {
        /// Its name.
        pool: String,
    },
    /// A pool has no healthy backend.
    PoolWithoutHealthy {
        /// Its name.
        pool: String,
        /// How many backends it has.
        backends: usize,
        /// Its policy for requests then.
        policy: &'static str,
    },
    /// The outcome of a half-open probe.
    HalfOpenProbe {
        /// Its pool.
        pool: String,
        /// Its address.
        backend: SocketAddr,
        /// Whether it succeeded.
        passed: bool,
    },
    /// TLS with a backend fails. Once for each reason, until it has not for a minute.
    BackendTlsFailed {
        /// Its pool.
        pool: String,
        /// Its address.
        backend: SocketAddr,
        /// Why.
        reason: String,
    },
    /// An operator's order for a backend was applied.
    Ordered {
        /// Its pool.
        pool: String,
        /// Its address.
        backend: SocketAddr,
        /// What.
        order: String,
    },
    /// A change was requested, over the admin interface or by a signal.
    Audit {
        /// The requesting user or signal.
        who: String,
        /// The request.
        what: String,
        /// The answer's status, or what it would have been.
        status: u16,
    },
    /// A configuration is in force.
    Reloaded {
        /// How many there have been since the start.
        version: u64,
        /// Its digest.
        digest: String,
        /// Its generation.
        generation: u64,
        /// What changed.
        changes: usize,
        /// Changed keys that take effect only after a restart.
        needs_restart: Vec<String>,
    },
    /// A configuration was refused.
    ReloadRefused {
        /// Why.
        reason: String,
    },
    /// Files of TLS have changed, and are in force.
    TlsFilesLoaded {
        /// Which: a certificate, or the keys of tickets, with its path.
        files: String,
    },
    /// Files of TLS have changed, and cannot be used; what they had before still holds.
    TlsFilesFailed {
        /// Which.
        files: String,
        /// Why.
        reason: String,
    },
    /// A certificate is being fetched by ACME.
    AcmeBegun {
        /// Its file.
        certificate: String,
        /// Its names.
        names: Vec<String>,
        /// The authority's directory.
        directory: String,
        /// There is none until then: clients are refused.
        is_awaited: bool,
    },
    /// A certificate was fetched by ACME, and is in force.
    AcmeFetched {
        /// Its file.
        certificate: String,
        /// Its names.
        names: Vec<String>,
        /// Its end, milliseconds since 1970.
        ends_ms: u64,
    },
    /// A certificate could not be fetched by ACME. The present one, if there is one, is served.
    AcmeFailed {
        /// Its file.
        certificate: String,
        /// Its names.
        names: Vec<String>,
        /// Why.
        reason: String,
        /// Failures in a row.
        failures: u32,
        /// The time of the next attempt, milliseconds since 1970.
        next_ms: u64,
        /// Whole days until the end of the present certificate; none if there is none, or it is
        /// over.
        days_left: Option<u64>,
    },
    /// A certificate ends soon, or has ended.
    CertificateExpires {
        /// The file of its chain.
        certificate: String,
        /// The names that it is served for.
        names: Vec<String>,
        /// Its end, milliseconds since 1970.
        ends_ms: u64,
        /// Whole days until then; none if it is over.
        days_left: Option<u64>,
    },
    /// An answer of OCSP is sent with its certificate, or not any more.
    OcspStaple {
        /// The file of the certificate's chain.
        certificate: String,
        /// Its state, as `expired`.
        is: &'static str,
    },
    /// A certificate is not valid yet.
    CertificateNotYetValid {
        /// The file of its chain.
        certificate: String,
        /// The names that it is served for.
        names: Vec<String>,
        /// Its beginning, milliseconds since 1970.
        begins_ms: u64,
    },
    /// A table is full: an entry is left out.
    NoRoom {
        /// What.
        what: String,
    },
    /// A DNS name or the watched file could not be read; its last answer still holds.
    SourceFailed {
        /// The pool.
        pool: String,
        /// The source.
        source: String,
        /// Why.
        reason: String,
    },
    /// A source that had failed has reported completely.
    SourceRecovered {
        /// The pool.
        pool: String,
        /// The source.
        source: String,
        /// For how long it had failed.
        failed_ms: u64,
    },
    /// The coordinator was late itself, and probes ran into their timeouts meanwhile: they do not
    /// count as failures.
    CoordinatorLate {
        /// Its lateness within one of these probes.
        late_ms: u64,
        /// The number of such timeouts since the event before.
        held: u64,
    },
    /// The process has gone on to another phase.
    Phase {
        /// Which.
        phase: &'static str,
    },
    /// A shard panicked and was started again.
    ShardPanicked {
        /// Which.
        shard: usize,
    },
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Clients are not served as configured, or a configuration was refused.
    Error,
    /// An operator should look at it.
    Warn,
    /// Normal operation.
    Info,
}

/// The first problems of a text, for an event and the log: complete lines from its beginning.
pub fn beginning(text: &str) -> String {
    let ends = text.match_indices('\n').map(|(end, _)| end).chain([text.len()]);
    match ends.take_while(|end| *end <= REASON_BYTES_MAX).last().unwrap_or(0) {
        end if end == text.len() => text.to_owned(),
        end => format!("{}\n… (the rest is left out)", &text[..end]),
    }
}

/// An event with its number and time.
#[derive(Clone, Debug, Serialize)]
pub struct Noted {
    /// One more than that of the event before.
    pub number: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// How much it matters.
    pub level: Level,
    /// The event as a sentence.
    pub message: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// See the module.
#[derive(Default)]
pub struct Events {
    kept: VecDeque<Noted>,
    next: u64,
    news: Arc<Notify>,
}

impl Events {
    /// Adds an event, now.
    pub fn push(&mut self, event: Event) {
        let (level, message) = (event.level(), event.to_string());
        log(level, &message, &event);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Noted { number: self.next, time_ms, level, message, event });
        self.next += 1;
        self.news.notify_waiters();
    }

    /// Wakes all who wait for it at each event.
    pub fn news(&self) -> Arc<Notify> {
        self.news.clone()
    }

    /// The events from `number` on that are still kept.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &Noted> {
        self.kept.iter().filter(move |noted| noted.number >= number)
    }

    /// The number that the next event will have.
    pub fn next(&self) -> u64 {
        self.next
    }
}

/// The sentence, with the event in JSON for a log of that format.
fn log(level: Level, message: &str, event: &Event) {
    let event = serde_json::to_string(event).unwrap_or_default();
    match level {
        Level::Error => tracing::error!(event, "{message}"),
        Level::Warn => tracing::warn!(event, "{message}"),
        Level::Info => tracing::info!(event, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn of_a_long_reason_the_first_lines_are_kept() {
        let reason = |lines: usize| vec!["file:1:1: wrong"; lines].join("\n");
        assert_eq!(beginning(&reason(128)), reason(128));
        let cut = beginning(&reason(100_000));
        assert_eq!(cut, reason(128) + "\n… (the rest is left out)");
        assert!(beginning(&"ä".repeat(5000)).starts_with("\n…"), "no line has room");
    }

    #[tokio::test]
    async fn who_waits_for_an_event_is_woken_by_it() {
        let mut events = Events::default();
        let news = events.news();
        let woken = news.notified();
        events.push(Event::Phase { phase: "serving" });
        tokio::time::timeout(Duration::from_secs(20), woken).await.expect("it is woken");
    }
}
