//! HTTP Strict Transport Security (RFC 6797): what is written in the configuration, and the value
//! of the field.

use super::units::{parse_duration, print_duration};
use std::fmt;
use std::time::Duration;

/// The least time that browsers' preload lists take (<https://hstspreload.org>).
const PRELOAD_LEAST: Duration = Duration::from_secs(365 * 86_400);

/// The longest time: more than anybody can mean.
const MAX_AGE_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

const SUBDOMAINS: &str = "includeSubDomains";
const PRELOAD: &str = "preload";

/// A browser that has seen the field asks this host by HTTPS only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// For so long; zero: no longer.
    max_age: Duration,
    /// Also every host below this one.
    includes_subdomains: bool,
    /// The host may be put on the lists that come with browsers.
    preload: bool,
}

impl Hsts {
    /// Reads `365d; includeSubDomains; preload`; empty: none.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let mut parts = text.split(';').map(str::trim);
        let max_age = parse_max_age(parts.next().unwrap_or_default())?;
        let mut hsts = Self { max_age, includes_subdomains: false, preload: false };
        for part in parts {
            match part {
                _ if part.eq_ignore_ascii_case(SUBDOMAINS) => hsts.includes_subdomains = true,
                _ if part.eq_ignore_ascii_case(PRELOAD) => hsts.preload = true,
                other => {
                    let shown = other.escape_debug();
                    return Err(format!(
                        "`{shown}` is no directive of HSTS: it can be `{SUBDOMAINS}` or `{PRELOAD}`"
                    ));
                }
            }
        }
        if hsts.preload && !(hsts.includes_subdomains && max_age >= PRELOAD_LEAST) {
            return Err(format!(
                "browsers take no host for preloading without `{SUBDOMAINS}` and at least 365d: \
                 write \"365d; {SUBDOMAINS}; {PRELOAD}\", or leave `{PRELOAD}` out"
            ));
        }
        Ok(Some(hsts))
    }

    /// The value of the field Strict-Transport-Security.
    pub fn field_value(&self) -> String {
        self.with_directives(format!("max-age={}", self.max_age.as_secs()))
    }

    fn with_directives(&self, mut text: String) -> String {
        let directives = [(self.includes_subdomains, SUBDOMAINS), (self.preload, PRELOAD)];
        for (_, directive) in directives.into_iter().filter(|(is_set, _)| *is_set) {
            text += &format!("; {directive}");
        }
        text
    }
}

fn parse_max_age(text: &str) -> Result<Duration, String> {
    if text.starts_with("max-age") {
        return Err("write the time alone, as \"365d; includeSubDomains\"".to_owned());
    }
    let max_age = parse_duration(text)?;
    match max_age {
        _ if max_age.subsec_millis() != 0 => Err(format!("`{text}` is no number of whole seconds")),
        _ if max_age > MAX_AGE_MAX => Err(format!("`{text}` is longer than 36500d")),
        _ => Ok(max_age),
    }
}

impl fmt::Display for Hsts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_directives(print_duration(self.max_age)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_printed_and_written() {
        for (text, printed, value) in [
            ("365d", "365d", "max-age=31536000"),
            ("0s", "0s", "max-age=0"),
            (
                "730d;includesubdomains ; PRELOAD",
                "730d; includeSubDomains; preload",
                "max-age=63072000; includeSubDomains; preload",
            ),
        ] {
            let hsts = Hsts::parse(text).expect(text).expect("there is one");
            assert_eq!((&*hsts.to_string(), &*hsts.field_value()), (printed, value));
            assert_eq!(Hsts::parse(printed), Ok(Some(hsts)));
        }
        assert_eq!(Hsts::parse(""), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, told) in [
            ("31536000", "no unit"),
            ("max-age=31536000", "the time alone"),
            ("500ms", "whole seconds"),
            ("40000d", "longer than 36500d"),
            ("365d; subdomains", "`subdomains` is no directive"),
            ("365d;", "`` is no directive"),
            ("365d; preload", "365d; includeSubDomains; preload"),
            ("30d; includeSubDomains; preload", "at least 365d"),
        ] {
            let wrong = Hsts::parse(text).expect_err(text);
            assert!(wrong.contains(told), "{text}: {wrong}");
        }
    }
}
