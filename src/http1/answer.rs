//! Local answers: those that the proxy gives itself.

use super::ConnectionField;
use super::output::Output;
use super::response_rewrite::HSTS;
use crate::base::calendar::imf_fixdate;

/// A complete answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// The time of the answer, seconds since 1970: its Date (RFC 9110 §6.6.1).
    pub seconds: u64,
    /// The type of its body.
    pub content_type: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// Where it redirects to: its Location.
    pub location: Option<&'a [u8]>,
    /// The value of Strict-Transport-Security (RFC 6797 §7.1).
    pub hsts: Option<&'a [u8]>,
    /// Its Connection field.
    pub connection: ConnectionField,
    /// It answers HEAD: the body is left out.
    pub is_head: bool,
}

/// Writes head and body; none if `out` is too short.
pub fn write_answer(answer: &Answer<'_>, out: &mut [u8]) -> Option<usize> {
    let mut out = Output::new(out);
    out.put(b"HTTP/1.1 ");
    out.put_small_number(answer.status);
    out.put(b" ");
    out.put(reason_phrase(answer.status).as_bytes());
    out.put(b"\r\n");
    out.put_field(b"Date", &imf_fixdate(answer.seconds));
    if answer.status == 405 {
        // Only TRACE is answered with 405; backends decide on all other methods.
        out.put_field(b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    if let Some(location) = answer.location {
        out.put_field(b"Location", location);
    }
    if let Some(hsts) = answer.hsts {
        out.put_field(HSTS.as_bytes(), hsts);
    }
    out.put_field(b"Content-Type", answer.content_type.as_bytes());
    out.put(b"Content-Length: ");
    out.put_number(answer.body.len() as u64);
    out.put(b"\r\n");
    answer.connection.write(false, &mut out);
    out.put(b"\r\n");
    if !answer.is_head {
        out.put(answer.body);
    }
    out.finish()
}

/// The body of an answer that has no configured one.
pub fn default_body(status: u16) -> &'static [u8] {
    match status {
        301 => b"301 Moved Permanently: this is served over HTTPS.\n",
        308 => b"308 Permanent Redirect: this is served over HTTPS.\n",
        400 => b"400 Bad Request: the request is malformed.\n",
        404 => b"404 Not Found: no route for this host and path.\n",
        405 => b"405 Method Not Allowed: this method is not served here.\n",
        408 => b"408 Request Timeout: the request did not come in time.\n",
        413 => b"413 Content Too Large: the request body is too large.\n",
        414 => b"414 URI Too Long: the request target is too long.\n",
        417 => b"417 Expectation Failed: only 100-continue can be expected.\n",
        421 => b"421 Misdirected Request: it is not served on this connection.\n",
        431 => b"431 Request Header Fields Too Large: the request head is too large.\n",
        501 => b"501 Not Implemented: this is not served here.\n",
        502 => b"502 Bad Gateway: the backend's answer cannot be used.\n",
        503 => b"503 Service Unavailable: no backend can be reached.\n",
        504 => b"504 Gateway Timeout: the backend did not answer in time.\n",
        505 => b"505 HTTP Version Not Supported: HTTP/1.0 and HTTP/1.1 are served.\n",
        _ => b"\n",
    }
}

/// The phrase of a status (RFC 9110 §15), for those in common use.
pub(super) fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
