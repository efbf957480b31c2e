//! Notifications to systemd (sd_notify(3)), if it started the process: readiness, phases, and the
//! watchdog while every shard turns. Without systemd they do nothing.

use super::phase::Phase;
use sd_notify::NotifyState;
use std::time::{Duration, Instant};

/// The extension of the stop timeout that each request asks for while the process drains.
const EXTENSION: Duration = Duration::from_secs(15);
/// Between two such requests.
const EXTEND_EVERY: Duration = Duration::from_secs(5);

/// See the module.
pub struct Systemd {
    /// Interval of watchdog notifications; none without a watchdog.
    watchdog_every: Option<Duration>,
    last_sign: Option<Instant>,
    last_extension: Option<Instant>,
    has_said_stopping: bool,
    said: String,
}

impl Default for Systemd {
    fn default() -> Self {
        // Twice as often as it must be, so that one late tick does not end the process.
        let watchdog_every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self {
            watchdog_every,
            last_sign: None,
            last_extension: None,
            has_said_stopping: false,
            said: String::new(),
        }
    }
}

impl Systemd {
    /// Listeners are bound, the first round of probes is over, shards run.
    pub fn ready(&mut self) {
        notify(&[NotifyState::Ready]);
    }

    /// Sends the status.
    pub fn step(&mut self, phase: Phase, is_alive: bool, status: String) {
        if status != self.said {
            notify(&[NotifyState::Status(&status)]);
            self.said = status;
        }
        let now = Instant::now();
        if let Some(every) = self.watchdog_every
            && is_alive
            && self.last_sign.is_none_or(|last| now - last >= every)
        {
            notify(&[NotifyState::Watchdog]);
            self.last_sign = Some(now);
        }
        if !phase.is_draining() {
            self.last_extension = None;
        } else if self.last_extension.is_none_or(|last| now - last >= EXTEND_EVERY) {
            let extension = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
            notify(&[NotifyState::ExtendTimeoutUsec(extension)]);
            self.last_extension = Some(now);
        }
        // Not before: until listeners close, the order to drain can be taken back.
        if phase >= Phase::Finishing && !std::mem::replace(&mut self.has_said_stopping, true) {
            notify(&[NotifyState::Stopping]);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be notified");
    }
}
