//! `ringway config dump`: every value in effect with its origin.

use super::load::Effective;
use serde_json::json;
use std::io::{self, Write};

/// Prints the configuration as TOML with remarks, which is a configuration file again, or as JSON:
/// each value is `{ "value": …, "origin": … }`.
pub(super) fn dump(effective: &Effective, as_json: bool, out: &mut dyn Write) -> io::Result<()> {
    let origin = |key: &str| effective.origin(key).word();
    if as_json {
        let noted = |key: &str, value: &_| json!({ "value": value, "origin": origin(key) });
        return writeln!(out, "{:#}", effective.config.to_json_with(noted));
    }
    writeln!(out, "# digest {}", effective.config.digest())?;
    write!(out, "{}", effective.config.to_toml_with_notes(|key| Some(origin(key).to_owned())))
}
