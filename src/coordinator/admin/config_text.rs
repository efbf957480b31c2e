//! A configuration on the admin interface: TOML, or JSON of the same schema.

use super::reply::{Refused, Reply, json_reply, refusal, text_reply};
use crate::config::{Config, TextFormat};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{HeaderMap, StatusCode};

const TOML: &str = "application/toml";
const JSON: &str = "application/json";

/// A configuration in the body of a request.
pub(super) struct Given {
    pub(super) text: String,
    pub(super) format: TextFormat,
    /// Its name in error messages.
    pub(super) name: String,
}

/// The format of the body of a request: TOML if its head has no Content-Type.
pub(super) fn format_of(headers: &HeaderMap) -> Result<TextFormat, Refused> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(TextFormat::Toml) };
    let value = String::from_utf8_lossy(value.as_bytes());
    match media_type(&value).as_str() {
        TOML => Ok(TextFormat::Toml),
        JSON => Ok(TextFormat::Json),
        other => {
            let other = other.escape_debug();
            let error =
                format!("a configuration is {TOML} or {JSON}, not {other}: say so in Content-Type");
            Err(Box::new(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, error)))
        }
    }
}

/// The configuration as TOML, or as JSON if the Accept field names it.
pub(super) fn reply(config: &Config, headers: &HeaderMap) -> Reply {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut accepted = accepted.flat_map(|value| value.split(','));
    match accepted.any(|accepted| media_type(accepted) == JSON) {
        true => json_reply(StatusCode::OK, &config.to_json()),
        false => text_reply(StatusCode::OK, TOML, config.to_toml().into_bytes()),
    }
}

/// Without parameters, lower case (RFC 9110, 8.3.1).
fn media_type(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
