//! The parts of an answer.

use crate::config::Problem;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

/// An answer.
pub(super) type Reply = Response<Full<Bytes>>;

/// A refusal of a request, as an answer.
pub(super) type Refused = Box<Reply>;

const STATE: HeaderName = HeaderName::from_static("x-ringway-state");

/// An answer in JSON, ending with a line end.
pub(super) fn json_reply(status: StatusCode, value: &impl Serialize) -> Reply {
    text_reply(status, "application/json", json_text(value))
}

/// The text of a body in JSON.
pub(super) fn json_text(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Any text.
pub(super) fn text_reply(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Reply {
    let response = Response::builder().status(status).header(CONTENT_TYPE, media);
    response.body(Full::new(body.into())).expect("the parts are constants")
}

/// An answer with the state of the process in its head.
pub(super) fn with_state(mut reply: Reply, state: &'static str) -> Reply {
    reply.headers_mut().insert(STATE, hyper::header::HeaderValue::from_static(state));
    reply
}

/// A refusal with its reason and remedy.
pub(super) fn refusal(status: StatusCode, error: impl Into<String>) -> Reply {
    let error: Value = error.into().into();
    json_reply(status, &json!({ "error": error }))
}

/// A refusal of a configuration, with the place of each problem.
pub(super) fn refusal_with(
    status: StatusCode,
    error: impl Into<String>,
    problems: &[Problem],
) -> Reply {
    if problems.is_empty() {
        return refusal(status, error);
    }
    let error: Value = error.into().into();
    json_reply(status, &json!({ "error": error, "problems": problems }))
}
