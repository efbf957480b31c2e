//! `[pool.NAME.ejection]`.

use crate::config::keys::kinds::{count, duration};
use crate::config::keys::{Keys, keys};
use crate::config::raw::Section;
use crate::config::values::parse_interval;
use crate::health::EjectionRules;
use std::ops::RangeInclusive;

/// Most failures in a row, beyond which an ejection is improbable.
const CONSECUTIVE_FAILURES_MAX: u32 = 1_000;

/// Most exchanges that a success rate may require.
const EXCHANGES_MIN_RANGE: RangeInclusive<u32> = 1..=1_000_000;

keys! {
    EjectionRules {
        consecutive_failures: consecutive_failures => count(0..=CONSECUTIVE_FAILURES_MAX),
        success_rate_min_percent: success_rate_min_percent => count(0..=100),
        window: window => duration(parse_interval),
        exchanges_min: exchanges_min => count(EXCHANGES_MIN_RANGE),
        base: base => duration(parse_interval),
        longest: longest => duration(parse_interval),
        share_max_percent: share_max_percent => count(0..=100),
    }
}

/// Reads the section.
pub(super) fn ejection(mut section: Section<'_>) -> EjectionRules {
    let mut rules = EjectionRules::default();
    rules.read_keys(&mut section);
    if rules.base > rules.longest {
        // The later one is reported, because it is more likely the mistake.
        let written = ["base", "longest"].into_iter().filter(|key| section.has(key));
        let span = written.map(|key| section.key_span(key)).max_by_key(|span| span.start);
        let message = "`base` is longer than `longest`: no ejection would last as long as `base`";
        let help = "make `longest` at least as long as `base`";
        section.report().add_with_help(span.unwrap_or(section.span.clone()), message, help);
    }
    section.finish();
    rules
}
