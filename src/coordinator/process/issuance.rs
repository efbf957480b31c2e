//! Where each certificate by ACME stands: what was tried, and when it is tried next. Pure.
//!
//! A certificate is renewed when a third of its lifetime is left, a little earlier by an amount
//! that differs from one to another. An attempt that fails is repeated after minutes, then ever
//! later, up to a day. What was tried outlives the process.

use crate::config::{Acme, Certificate};
use crate::tls;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The pause after the first failure. Authorities count failed validations of a name by the hour.
const RETRY_FIRST: Duration = Duration::from_secs(5 * 60);
/// The longest pause after a failure.
const RETRY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Doublings of the first pause, more than lead to the longest.
const DOUBLINGS_MAX: u32 = 16;
/// How long a certificate is kept although its authority suggests another one.
const SUGGESTED_AFTER: Duration = Duration::from_secs(3600);
/// The part of a lifetime by which a renewal may come earlier.
const JITTER_SHARE: i64 = 30;

/// What was tried for a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The names that it was tried for: with others it begins anew.
    pub names: Vec<String>,
    /// Failures in a row.
    pub failures: u32,
    /// No attempt before that, seconds since 1970.
    pub not_before_s: u64,
    /// Why the last attempt failed; empty: it did not.
    pub last_error: String,
    /// When the last certificate was fetched, seconds since 1970; 0: never.
    pub fetched_s: u64,
    /// The directory that it was fetched from; empty: not known.
    #[serde(default)]
    pub directory: String,
}

/// A time that the authority suggests for a renewal (RFC 9773), seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suggested {
    /// The certificate that it is about, by its fingerprint.
    pub fingerprint: [u8; 32],
    /// The beginning of the window.
    pub from_s: u64,
    /// The end of the window.
    pub until_s: u64,
}

/// Where a certificate stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issuance {
    /// What was tried for it.
    pub tried: Tried,
    /// It is being fetched.
    pub is_under_way: bool,
    /// An operator wants it to be fetched now.
    pub is_ordered: bool,
    /// When it is fetched next, seconds since 1970; none: another process does that.
    pub due_s: Option<u64>,
    /// What the authority suggests.
    pub suggested: Option<Suggested>,
}

impl Issuance {
    /// A word for its state; `is_loaded`: there is a certificate.
    pub fn word(&self, is_loaded: bool) -> &'static str {
        match () {
            () if self.is_under_way => "fetching",
            () if self.tried.failures > 0 => "failing",
            () if !is_loaded => "awaited",
            () => "valid",
        }
    }

    /// Forgets times that a clock which was ahead has left.
    pub fn forget_future(&mut self, now_s: u64) {
        if self.tried.not_before_s > now_s + RETRY_MAX.as_secs() {
            self.tried.not_before_s = 0;
        }
        if self.tried.fetched_s > now_s {
            self.tried.fetched_s = 0;
        }
    }

    /// When a certificate is fetched next, seconds since 1970.
    pub fn due(&self, certificate: &Certificate, acme: &Acme) -> u64 {
        if self.is_ordered {
            return 0;
        }
        // That of another authority, as of a staging one, is in force until there is a better one.
        let is_elsewhere =
            !self.tried.directory.is_empty() && self.tried.directory != acme.directory;
        let fit = certificate.loaded.as_deref().filter(|loaded| fits(loaded, certificate, acme));
        let fit = fit.filter(|_| !is_elsewhere);
        let due = fit.map_or(0, |loaded| self.renewal(loaded));
        let is_same = self.tried.names == certificate.names;
        if is_same { due.max(self.tried.not_before_s) } else { due }
    }

    fn renewal(&self, loaded: &tls::Certificate) -> u64 {
        let spread = i64::from(u16::from_be_bytes([loaded.fingerprint[0], loaded.fingerprint[1]]));
        let life = (loaded.ends - loaded.begins).max(0);
        let jitter = life / JITTER_SHARE * spread / i64::from(u16::MAX);
        let own = seconds(loaded.begins + life / 3 * 2 - jitter);
        let is_ours = self.tried.fetched_s >= seconds(loaded.begins) && self.tried.fetched_s > 0;
        let fetched_s = if is_ours { self.tried.fetched_s } else { 0 };
        match self.suggested.filter(|one| one.fingerprint == loaded.fingerprint) {
            // It may be revoked soon. An authority that says so each time makes no loop.
            Some(Suggested { from_s, until_s, .. }) => {
                let length = until_s.saturating_sub(from_s);
                let due = from_s + length * spread.unsigned_abs() / u64::from(u16::MAX);
                // One that never wants it to be renewed does not let it end.
                let late = seconds(loaded.begins + life / 10 * 9);
                due.min(late).max(fetched_s + SUGGESTED_AFTER.as_secs())
            }
            // Nor does one whose certificates are nearly over when they come.
            None if is_ours => {
                let pause = match seconds(loaded.ends).saturating_sub(fetched_s) / 2 {
                    0 => SUGGESTED_AFTER.as_secs(),
                    half => half,
                };
                own.max(fetched_s + pause)
            }
            None => own,
        }
    }

    /// Notes that an attempt failed at this time. `retry_after` is what the authority asks for;
    /// `jitter` is random.
    pub fn note_failure(
        &mut self,
        names: &[String],
        reason: String,
        retry_after: Option<Duration>,
        now_s: u64,
        jitter: u16,
    ) {
        if self.tried.names != names {
            let directory = std::mem::take(&mut self.tried.directory);
            self.tried = Tried { names: names.to_vec(), directory, ..Tried::default() };
        }
        let before = self.tried.failures;
        self.tried.failures = before.saturating_add(1);
        let pause = match retry_after {
            // The first time it is what the authority says, then at least what it was.
            Some(asked) if before == 0 => asked,
            Some(asked) => asked.max(pause(before, jitter)),
            None => pause(before + 1, jitter),
        };
        let pause = pause.clamp(Duration::from_secs(1), RETRY_MAX);
        self.tried.not_before_s = now_s + pause.as_secs();
        self.tried.last_error = reason;
    }

    /// Notes that the certificate was fetched at this time.
    pub fn note_success(&mut self, names: &[String], now_s: u64) {
        self.tried = Tried { names: names.to_vec(), fetched_s: now_s, ..Tried::default() };
        self.suggested = None;
    }
}

/// The pause after so many failures in a row, three quarters of it to five quarters.
fn pause(failures: u32, jitter: u16) -> Duration {
    let doubled = RETRY_FIRST * (1 << failures.saturating_sub(1).min(DOUBLINGS_MAX));
    let pause = doubled.min(RETRY_MAX);
    pause * 3 / 4 + pause / 2 * u32::from(jitter) / u32::from(u16::MAX)
}

/// Whether a certificate is what the configuration asks for.
fn fits(loaded: &tls::Certificate, certificate: &Certificate, acme: &Acme) -> bool {
    let has = |name: &String| loaded.names.iter().any(|own| **own == **name);
    loaded.kind == acme.key_type.kind() && certificate.names.iter().all(has)
}

fn seconds(time_s: i64) -> u64 {
    u64::try_from(time_s).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 24 * 3600;
    const BEGIN_S: u64 = 1_000_000_000;

    fn certificate(names: &[&str], days: u64) -> Certificate {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(["a.test".to_owned()]).expect("a name");
        let at = |time_s| std::time::UNIX_EPOCH + Duration::from_secs(time_s);
        params.not_before = at(BEGIN_S).into();
        params.not_after = at(BEGIN_S + days * DAY_S).into();
        let both = params.self_signed(&key).expect("signed").pem() + &key.serialize_pem();
        let load = |_: &std::path::Path| Ok(both.clone().into_bytes());
        let mut one = Certificate::load("a.pem".into(), "a.pem".into(), &load).expect("they fit");
        one.names = names.iter().map(ToString::to_string).collect();
        one
    }

    #[test]
    fn it_is_renewed_when_a_third_is_left_and_at_once_for_other_names_or_keys() {
        let (mut one, acme) = (certificate(&["a.test"], 90), Acme::default());
        let due = Issuance::default().due(&one, &acme);
        let days = (due - BEGIN_S) / DAY_S;
        assert!((57..=60).contains(&days), "{days}");
        let of_rsa = Acme { key_type: crate::config::AcmeKeyType::Rsa2048, ..Acme::default() };
        assert_eq!(Issuance::default().due(&one, &of_rsa), 0);
        one.names.push("b.test".to_owned());
        assert_eq!(Issuance::default().due(&one, &acme), 0);
        one.loaded = None;
        assert_eq!(Issuance::default().due(&one, &acme), 0);
    }

    #[test]
    fn what_the_authority_suggests_counts_for_the_certificate_that_it_is_about() {
        let (one, acme) = (certificate(&["a.test"], 90), Acme::default());
        let own = Issuance::default().due(&one, &acme);
        let fingerprint = one.loaded.as_ref().expect("it was read").fingerprint;
        let (from_s, until_s) = (BEGIN_S + DAY_S, BEGIN_S + 2 * DAY_S);
        let suggested = |fingerprint| {
            let suggested = Some(Suggested { fingerprint, from_s, until_s });
            Issuance { suggested, ..Issuance::default() }
        };
        let issuance = suggested(fingerprint);
        assert!((from_s..=until_s).contains(&issuance.due(&one, &acme)));
        assert_eq!(suggested([0; 32]).due(&one, &acme), own);
    }

    #[test]
    fn an_authority_that_never_wants_a_renewal_does_not_let_it_end() {
        let (one, acme) = (certificate(&["a.test"], 90), Acme::default());
        let fingerprint = one.loaded.as_ref().expect("it was read").fingerprint;
        let (from_s, until_s) = (BEGIN_S + 400 * DAY_S, BEGIN_S + 500 * DAY_S);
        let suggested = Some(Suggested { fingerprint, from_s, until_s });
        let issuance = Issuance { suggested, ..Issuance::default() };
        assert_eq!(issuance.due(&one, &acme), BEGIN_S + 81 * DAY_S);
    }

    #[test]
    fn a_certificate_of_another_directory_is_fetched_anew() {
        let (one, acme) = (certificate(&["a.test"], 90), Acme::default());
        let mut issuance = Issuance::default();
        issuance.note_success(&one.names, BEGIN_S);
        issuance.tried.directory = acme.directory.clone();
        assert!(issuance.due(&one, &acme) > BEGIN_S + 50 * DAY_S);
        issuance.tried.directory = "https://staging.test/directory".to_owned();
        assert_eq!(issuance.due(&one, &acme), 0);
        issuance.note_failure(&one.names, "no".to_owned(), None, BEGIN_S + DAY_S, 0);
        let due = issuance.due(&one, &acme);
        assert!(due > BEGIN_S + DAY_S && due < BEGIN_S + 2 * DAY_S, "{due}");
    }

    #[test]
    fn what_a_clock_that_was_ahead_has_left_is_forgotten() {
        let (one, acme) = (certificate(&["a.test"], 90), Acme::default());
        let mut issuance = Issuance::default();
        issuance.note_failure(&one.names, "expired".to_owned(), None, BEGIN_S + 900 * DAY_S, 0);
        issuance.forget_future(BEGIN_S);
        assert!(issuance.due(&one, &acme) < BEGIN_S + 90 * DAY_S);
        issuance.note_failure(&one.names, "no".to_owned(), None, BEGIN_S, 0);
        let kept = issuance.clone();
        issuance.forget_future(BEGIN_S);
        assert_eq!(issuance, kept, "a pause that is to come is kept");
    }

    #[test]
    fn one_that_is_over_when_it_comes_makes_no_loop() {
        let (one, acme) = (certificate(&["a.test"], 90), Acme::default());
        let mut issuance = Issuance::default();
        let now_s = BEGIN_S + 88 * DAY_S;
        issuance.note_success(&one.names, now_s);
        assert_eq!(issuance.due(&one, &acme), now_s + DAY_S);
    }

    #[test]
    fn failures_come_ever_later_up_to_a_day_and_other_names_begin_anew() {
        let one = Certificate { loaded: None, ..certificate(&["a.test"], 90) };
        let (acme, mut issuance) = (Acme::default(), Issuance::default());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            issuance.note_failure(&one.names, "no".to_owned(), None, 1_000, u16::MAX / 2);
            pauses.push(issuance.due(&one, &acme) - 1_000);
        }
        assert_eq!(pauses[..4], [299, 599, 1199, 2399]);
        assert!(pauses.is_sorted() && pauses[11] <= DAY_S && pauses[11] > DAY_S - 10, "{pauses:?}");
        assert_eq!(issuance.word(false), "failing");
        let other = Certificate { names: vec!["b.test".to_owned()], ..one.clone() };
        assert_eq!(issuance.due(&other, &acme), 0);
        issuance.note_failure(&other.names, "no".to_owned(), None, 1_000, 0);
        assert_eq!(issuance.tried.failures, 1);
        assert!(issuance.due(&other, &acme) > 1_000);
        issuance.is_ordered = true;
        assert_eq!(issuance.due(&other, &acme), 0, "the operator's word goes before any pause");
        issuance.is_ordered = false;
        issuance.note_success(&other.names, 2_000);
        assert_eq!((issuance.due(&other, &acme), issuance.word(true)), (0, "valid"));
    }

    #[test]
    fn what_the_authority_asks_for_is_kept_to_and_grows_if_it_goes_on() {
        let names = ["a.test".to_owned()];
        let (mut issuance, asked) = (Issuance::default(), Some(Duration::from_secs(2)));
        issuance.note_failure(&names, "no".to_owned(), asked, 1_000, 0);
        assert_eq!(issuance.tried.not_before_s, 1_002);
        issuance.note_failure(&names, "no".to_owned(), asked, 1_000, 0);
        assert_eq!(issuance.tried.not_before_s, 1_225);
        let long = Some(Duration::from_secs(10 * DAY_S));
        issuance.note_failure(&names, "no".to_owned(), long, 1_000, 0);
        assert_eq!(issuance.tried.not_before_s, 1_000 + DAY_S, "it is asked once a day");
    }
}
