//! The probers of pools: made when their configuration is new or may read other files, and again
//! after a failure. Does not: probe.

use super::protocol::{Prober, Trusted};
use crate::base::Instant;
use crate::config::Probe;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The pause before a prober that could not be made is tried again: its files may have been mended.
/// The pause is doubled each time, because the coordinator's thread reads these files.
const AGAIN_AFTER_MIN: Duration = Duration::from_secs(1);
/// See [`AGAIN_AFTER_MIN`].
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);

/// A prober that its tasks read anew for each probe, so that it can be replaced.
pub(super) type Replaceable = Rc<RefCell<Prober>>;

/// The prober of a pool, as far as it could be made.
#[derive(Default)]
pub(super) struct Made {
    /// The newest that could be made; it stays in use until there is a newer one.
    pub(super) current: Option<(Rc<Probe>, Replaceable)>,
    /// Its files may have changed since.
    is_stale: bool,
    /// A newer one that could not be made.
    failed: Option<Failed>,
}

/// A probe that could not be made.
struct Failed {
    probe: Rc<Probe>,
    /// When it is tried again.
    again: Instant,
    /// The pause before that.
    pause: Duration,
}

impl Made {
    /// True if a prober that could not be made is to be tried again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.failed.as_ref().is_some_and(|failed| now >= failed.again)
    }

    /// Marks all probers to be made anew.
    pub(super) fn doubt(&mut self) {
        (self.failed, self.is_stale) = (None, true);
    }

    /// Makes the prober for `probe`, unless there is one or it is too early to try again.
    ///
    /// # Errors
    /// The reason, for the first failure of a series.
    pub(super) fn make(
        &mut self,
        probe: &Rc<Probe>,
        trusted: &mut Trusted,
        now: Instant,
    ) -> Result<(), String> {
        let current = self.current.as_ref().filter(|(current, _)| current == probe);
        if current.is_some() && !self.is_stale {
            self.failed = None;
            return Ok(());
        }
        let failed = self.failed.as_ref().filter(|failed| failed.probe == *probe);
        let last_pause = failed.map(|failed| failed.pause);
        if last_pause.is_some() && !self.is_due(now) {
            return Ok(());
        }
        match Prober::new(probe, trusted) {
            Ok(prober) => {
                match current {
                    Some((_, replaceable)) => *replaceable.borrow_mut() = prober,
                    None => {
                        self.current = Some((probe.clone(), Rc::new(RefCell::new(prober))));
                    }
                }
                (self.failed, self.is_stale) = (None, false);
                Ok(())
            }
            Err(reason) => {
                let pause = last_pause.unwrap_or_default() * 2;
                let pause = pause.clamp(AGAIN_AFTER_MIN, AGAIN_AFTER_MAX);
                self.failed = Some(Failed { probe: probe.clone(), again: now + pause, pause });
                if last_pause.is_some() { Ok(()) } else { Err(reason) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HttpProbe, ProbeKind, TlsProbe};

    fn over_tls(file: std::path::PathBuf) -> Rc<Probe> {
        let tls = Some(TlsProbe { ca_file: Some(file), ..TlsProbe::default() });
        let kind = ProbeKind::Http(HttpProbe { tls, ..HttpProbe::default() });
        Rc::new(Probe { kind, ..Probe::default() })
    }

    #[test]
    fn what_cannot_be_made_is_tried_ever_more_rarely() {
        let name = format!("ringway-missing-{}.pem", std::process::id());
        let probe = over_tls(std::env::temp_dir().join(name));
        let mut made = Made::default();
        let mut now = Instant::from_nanos(1);
        let make = |made: &mut Made, now| made.make(&probe, &mut Trusted::default(), now);
        let reason = make(&mut made, now).expect_err("there is no such file");
        assert!(reason.contains("ringway-missing"), "{reason}");
        let mut pauses = |made: &mut Made, count: usize| -> Vec<u64> {
            let mut pauses = Vec::new();
            for _ in 0..count {
                let begun = now;
                while !made.is_due(now) {
                    now = now + Duration::from_secs(1);
                }
                pauses.push(now.since(begun).as_secs());
                assert_eq!(make(made, now), Ok(()), "it is reported once");
            }
            pauses
        };
        assert_eq!(pauses(&mut made, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
