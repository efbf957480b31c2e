//! `[http]`, `[[error_answer]]` and `[access_log]`.

use super::Loader;
use crate::config::model::{AccessLog, Body, ErrorAnswer, Http, LogPath};
use crate::config::raw::{At, Section};
use crate::config::values::{is_token, parse_log_path, parse_size_in};
use crate::config::{ERROR_ANSWER_BYTES_MAX, ERROR_ANSWER_STATUSES};
use crate::limits::HEAD_BYTES_MAX;
use std::path::{Path, PathBuf};

const HEAD_BYTES_LEAST: u64 = 1024;
const LOG_QUEUE_MAX: usize = 1 << 20;

/// Content-Type where the user gives none.
const CONTENT_TYPE_DEFAULT: &str = "text/html";

pub(super) fn http(mut section: Section<'_>) -> Http {
    let mut http = Http::default();
    section.choice_into("underscore_names", &mut http.underscore_names);
    section.parse_into("via", &mut http.via, parse_pseudonym);
    if let Some(networks) = section.texts("trusted_proxies") {
        let parsed = |text: At<&str>| section.report_error(text.span, text.value.parse());
        http.trusted_proxies = networks.into_iter().filter_map(parsed).collect();
    }
    if let Some(protocols) = section.texts("upgrade_protocols") {
        let parsed = |text: At<&str>| section.report_error(text.span, parse_protocol(text.value));
        http.upgrade_protocols = protocols.into_iter().filter_map(parsed).collect();
    }
    section.choice_into("connect", &mut http.connect);
    section.choice_into("half_close", &mut http.half_close);
    section.size_into("head_bytes_max", &mut http.head_bytes_max, |text| {
        parse_size_in(text, HEAD_BYTES_LEAST..=HEAD_BYTES_MAX as u64).map(|bytes| bytes as usize)
    });
    section.size_into("request_body_max", &mut http.request_body_max, |text| {
        parse_size_in(text, 0..=u64::MAX)
    });
    section.finish();
    http
}

fn parse_pseudonym(text: &str) -> Result<String, String> {
    if text.is_empty() || is_token(text) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` cannot stand in a Via field: use letters, digits, `-`", text.escape_debug()))
}

fn parse_protocol(text: &str) -> Result<String, String> {
    if is_token(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("`{}` is not a protocol: write it like \"websocket\"", text.escape_debug()))
}

pub(super) fn error_answers(sections: Vec<Section<'_>>, load: Loader<'_>) -> Vec<ErrorAnswer> {
    let mut answers: Vec<ErrorAnswer> = Vec::new();
    for mut section in sections {
        let status = status(&mut section, &answers);
        let mut content_type = CONTENT_TYPE_DEFAULT.to_owned();
        section.parse_into("content_type", &mut content_type, parse_content_type);
        let body = body(&mut section, load);
        if let (Some(status), Some(body)) = (status, body) {
            answers.push(ErrorAnswer { status, content_type, body });
        }
        section.finish();
    }
    answers
}

fn status(section: &mut Section<'_>, earlier: &[ErrorAnswer]) -> Option<u16> {
    let Some(status) = section.count("status", 100..=599) else {
        if !section.has("status") {
            section.report().add(section.span.clone(), "`status` is missing here");
        }
        return None;
    };
    if !ERROR_ANSWER_STATUSES.contains(&status.value) {
        let known: Vec<String> = ERROR_ANSWER_STATUSES.iter().map(u16::to_string).collect();
        section.report().add_with_help(
            status.span,
            format!("Ringway itself never answers with {}", status.value),
            format!("it does with {}", known.join(", ")),
        );
        return None;
    }
    if earlier.iter().any(|answer| answer.status == status.value) {
        let message = format!("duplicate answer for {}: remove one", status.value);
        section.report().add(status.span, message);
        return None;
    }
    Some(status.value)
}

fn parse_content_type(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if printable && text.contains('/') && text.trim() == text {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is not a media type: write it like \"text/html\"", text.escape_debug()))
}

fn body(section: &mut Section<'_>, load: Loader<'_>) -> Option<Body> {
    let (text, file) = (section.text("body"), section.text("file"));
    let (body, span) = match (text, file) {
        (Some(text), None) => (Body::Text(text.value.to_owned()), text.span),
        (None, Some(file)) => {
            let path = PathBuf::from(file.value);
            let bytes = section.report_error(file.span.clone(), read_file(&path, load))?;
            (Body::File { path, bytes }, file.span)
        }
        (Some(_), Some(file)) => {
            section.report().add(file.span, "both `body` and `file`: remove one");
            return None;
        }
        (None, None) => {
            if !section.has("body") && !section.has("file") {
                let message = "`body` or `file` is missing here";
                section.report().add(section.span.clone(), message);
            }
            return None;
        }
    };
    let length = body.bytes().len();
    if length > ERROR_ANSWER_BYTES_MAX {
        let message = format!(
            "the content has {length} bytes: at most {ERROR_ANSWER_BYTES_MAX}, so that it \
             is sent with its head in one piece"
        );
        section.report().add(span, message);
        return None;
    }
    Some(body)
}

fn read_file(path: &Path, load: Loader<'_>) -> Result<Vec<u8>, String> {
    load(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

pub(super) fn access_log(mut section: Section<'_>) -> Option<AccessLog> {
    if !section.is_written() {
        return None;
    }
    let path = section.required_text("path");
    let path = path.and_then(|text| section.report_error(text.span, parse_log_path(text.value)));
    let mut log = AccessLog::at(LogPath::Stdout);
    section.choice_into("format", &mut log.format);
    section.count_into("queue", &mut log.queue, 1..=LOG_QUEUE_MAX);
    section.finish();
    Some(AccessLog { path: path?, ..log })
}
