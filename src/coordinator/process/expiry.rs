//! The dates of certificates: each is reported once when 30, 7 and 1 days are left and when it is
//! over, and while it is not valid yet. Does not: read the clock.

use crate::config::Certificate;
use crate::coordinator::events::Event;
use crate::tls;
use std::cmp::Reverse;
use std::collections::HashMap;

const DAY_S: i64 = 24 * 3600;

/// Days left at which a certificate is reported, the last one first.
const REPORTED_DAYS: [i64; 3] = [1, 7, 30];

/// Days left of a whole lifetime that are usual: certificates are renewed when a third is left.
const USUAL_SHARE: i64 = 3;

/// How near the end of a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    NotYetValid,
    Far,
    /// Within so many days; an earlier one is less near.
    Within(Reverse<i64>),
    Over,
}

impl Nearness {
    /// Where 30 days are a large part of the whole lifetime, they are no reason for a report.
    fn of(begins: i64, ends: i64, wall_s: i64) -> Self {
        if wall_s >= ends {
            return Self::Over;
        }
        let is_near = |days: &i64| {
            ends - wall_s <= days * DAY_S && days * DAY_S * USUAL_SHARE <= ends - begins
        };
        match REPORTED_DAYS.into_iter().find(is_near) {
            Some(days) => Self::Within(Reverse(days)),
            None if wall_s < begins => Self::NotYetValid,
            None => Self::Far,
        }
    }
}

/// What was reported of each certificate, by its fingerprint.
#[derive(Default)]
pub(crate) struct Expiry(HashMap<[u8; 32], Nearness>);

impl Expiry {
    /// The events that are due at this time, seconds since 1970.
    pub(crate) fn events(&mut self, certificates: &[Certificate], wall_s: u64) -> Vec<Event> {
        let wall_s = i64::try_from(wall_s).unwrap_or(i64::MAX);
        let all = || certificates.iter().filter_map(|one| Some((one, one.loaded.as_deref()?)));
        let present = |print: &[u8; 32]| all().any(|(_, loaded)| loaded.fingerprint == *print);
        self.0.retain(|fingerprint, _| present(fingerprint));
        let due = all().filter_map(|(one, loaded)| {
            let nearness = Nearness::of(loaded.begins, loaded.ends, wall_s);
            let before = self.0.insert(loaded.fingerprint, nearness);
            let is_news = match before {
                None => true,
                Some(before) => nearness > before,
            };
            event(one, loaded, nearness, wall_s).filter(|_| is_news)
        });
        due.collect()
    }
}

fn event(
    certificate: &Certificate,
    loaded: &tls::Certificate,
    nearness: Nearness,
    wall_s: i64,
) -> Option<Event> {
    let names = certificate.served_names().map(str::to_owned).collect();
    let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000);
    let path = certificate.chain.display().to_string();
    match nearness {
        Nearness::Far => None,
        Nearness::NotYetValid => Some(Event::CertificateNotYetValid {
            certificate: path,
            names,
            begins_ms: ms(loaded.begins),
        }),
        Nearness::Within(_) | Nearness::Over => Some(Event::CertificateExpires {
            certificate: path,
            names,
            ends_ms: ms(loaded.ends),
            days_left: days_left(loaded.ends, wall_s),
        }),
    }
}

/// Whole days until the end; none if it is over.
pub(crate) fn days_left(ends: i64, wall_s: i64) -> Option<u64> {
    let left = ends.checked_sub(wall_s).filter(|left| *left > 0)?;
    u64::try_from(left / DAY_S).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(days: u64) -> Certificate {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(["a.test".to_owned()]).expect("a name");
        let begin = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        params.not_before = begin.into();
        let lifetime = std::time::Duration::from_secs(days * DAY_S as u64);
        params.not_after = (begin + lifetime).into();
        let chain = params.self_signed(&key).expect("signed").pem();
        let both = chain + &key.serialize_pem();
        let load = |_: &std::path::Path| Ok(both.clone().into_bytes());
        Certificate::load("a.pem".into(), "a.pem".into(), &load).expect("they fit")
    }

    /// The days left of each event, as time goes by in days of its lifetime.
    fn reported(days: u64, at: &[i64]) -> Vec<Option<Option<u64>>> {
        let (certificate, mut expiry) = (certificate(days), Expiry::default());
        let mut events = |day: i64| {
            let wall_s = (1_000_000_000 + day * DAY_S) as u64;
            let found = expiry.events(std::slice::from_ref(&certificate), wall_s);
            match &found[..] {
                [] => None,
                [Event::CertificateExpires { days_left, .. }] => Some(*days_left),
                other => panic!("{other:?}"),
            }
        };
        at.iter().map(|day| events(*day)).collect()
    }

    #[test]
    fn each_step_towards_the_end_is_reported_once() {
        let at = [0, 59, 60, 61, 82, 83, 84, 88, 89, 90, 91];
        let (none, days) = (None, |days| Some(Some(days)));
        let over = Some(None);
        let expected = [none, none, days(30), none, none, days(7), none, none, days(1), over, none];
        assert_eq!(reported(90, &at), expected);
        // 30 days of 45 are no reason.
        assert_eq!(reported(45, &[10, 20, 38, 44]), [none, none, days(7), days(1)]);
        assert_eq!(reported(6, &[0, 3, 5, 6]), [none, none, days(1), over]);
        // What has begun long before is reported as it is.
        assert_eq!(reported(90, &[89, 89, 200]), [days(1), none, over]);
    }

    #[test]
    fn one_that_is_not_valid_yet_is_reported_and_another_one_is_new() {
        let (one, other) = (certificate(90), certificate(90));
        let mut expiry = Expiry::default();
        let mut count = |certificate: &Certificate, at: i64| {
            let wall_s = (1_000_000_000 + at) as u64;
            expiry.events(std::slice::from_ref(certificate), wall_s).len()
        };
        assert_eq!(count(&one, -10), 1);
        assert_eq!(count(&one, -5), 0);
        assert_eq!(count(&one, 5), 0);
        assert_eq!(count(&other, 100 * DAY_S), 1);
        assert_eq!(count(&one, 100 * DAY_S), 1, "it was forgotten meanwhile");
    }
}
