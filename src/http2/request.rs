//! Requests: the rules of RFC 9113 §8.3.1 and RFC 8441 §4 on a section, and its view.
//!
//! A section that breaks the rules of HTTP/2 is malformed: its stream is reset. What is left is
//! judged by the rules that hold for HTTP/1 too, and refused with a status.

use super::section::{FieldRoom, Pseudo, Section};
use super::stream::Content;
use crate::head::rules::{check_method, drop_underscores, expects_continue, host_of};
use crate::head::target::{self, Target, is_host};
use crate::head::{
    BodyLength, Kind, Method, Refusal, RequestHead, Rules, Version, classes, read_fields,
};

/// Why a section is no request, if it is none; else what DATA follows it.
pub(super) fn check(
    section: &Section,
    is_last: bool,
    allows_extended_connect: bool,
) -> Result<Content, &'static str> {
    let method = section.pseudo(Pseudo::Method).ok_or(":method is missing")?;
    if !classes::is_token(method) {
        return Err(":method is not a token");
    }
    let has = |pseudo| section.pseudo(pseudo).is_some();
    let is_connect = method == b"CONNECT";
    if let Some(protocol) = section.pseudo(Pseudo::Protocol) {
        if !is_connect || !allows_extended_connect {
            return Err(":protocol is not allowed here");
        }
        if !classes::is_token(protocol) {
            return Err(":protocol is not a token");
        }
    } else if is_connect {
        if has(Pseudo::Scheme) || has(Pseudo::Path) || !has(Pseudo::Authority) {
            return Err("CONNECT has no :authority, or has :scheme or :path"); // §8.5
        }
        return tunnel(section);
    }
    if !has(Pseudo::Scheme) {
        return Err(":scheme is missing");
    }
    if section.pseudo(Pseudo::Path).is_none_or(<[u8]>::is_empty) {
        return Err(":path is missing or empty");
    }
    if is_connect { tunnel(section) } else { content(section.content_length(), is_last) }
}

fn tunnel(section: &Section) -> Result<Content, &'static str> {
    match section.content_length() {
        None => Ok(Content::Tunnel),
        Some(_) => Err("CONNECT has a content-length"),
    }
}

/// The DATA that follows a head with this content-length (RFC 9113 §8.1.1).
pub(super) fn content(length: Option<u64>, is_last: bool) -> Result<Content, &'static str> {
    match (length, is_last) {
        (None, false) => Ok(Content::Unknown),
        (None, true) => Ok(Content::Rest(0)),
        (Some(bytes), true) if bytes > 0 => Err(TOO_SHORT),
        (Some(bytes), _) => Ok(Content::Rest(bytes)),
    }
}

/// The body of a message ends before its content-length.
pub(super) const TOO_SHORT: &str = "DATA is shorter than content-length";

impl<'b, 's> RequestHead<'b, 's> {
    /// The head of a request, of which [`super::Event::Request`] told.
    pub fn of_section(
        section: &'b Section,
        room: &'s mut FieldRoom<'b>,
        rules: &Rules,
    ) -> Result<Self, Refusal> {
        let version = Version::Http2;
        let pseudo = |pseudo| section.pseudo(pseudo);
        let asked = Method(pseudo(Pseudo::Method).unwrap_or_default());
        let protocol = pseudo(Pseudo::Protocol);
        // An extended CONNECT is what an Upgrade is in HTTP/1.1 (RFC 8441 §5), which is how it is
        // forwarded to a backend of that version.
        let method = if protocol.is_some() { Method(b"GET") } else { asked };
        check_method(method, rules)?;
        let default_port = match pseudo(Pseudo::Scheme) {
            None | Some(b"http") => 80,
            Some(b"https") => 443,
            Some(_) => return Err(Refusal::WrongScheme),
        };
        let authority = pseudo(Pseudo::Authority);
        if authority.is_some_and(|authority| !is_host(authority)) {
            return Err(Refusal::MalformedHost);
        }
        let path = if method.is_connect() { authority } else { pseudo(Pseudo::Path) };
        let target = target(path.unwrap_or_default(), method, rules)?;
        let fields = section.fields(room);
        let mut found = read_fields(fields, version, Kind::Request)?;
        drop_underscores(fields, &mut found, rules)?;
        let host = host_of(&found, authority, version, default_port)?;
        let expects_continue = expects_continue(&found, version)?;
        let body = match (section.is_last, section.content_length()) {
            (true, _) | (false, Some(0)) => BodyLength::None,
            (false, Some(bytes)) => BodyLength::Sized(bytes),
            (false, None) if protocol.is_some() || method.is_connect() => BodyLength::None,
            (false, None) => BodyLength::Chunked,
        };
        Ok(Self {
            length: 0,
            method,
            target: target.forwarded,
            path: target.path,
            host,
            version,
            body,
            keep_alive: true,
            expects_continue,
            upgrade: protocol,
            fields,
            dropped: found.dropped,
            never_indexed: section.never_indexed(),
            connection: found.connection,
            has_forwarded: found.has_forwarded,
            has_via: found.has_via,
            accepts_trailers: found.accepts_trailers,
        })
    }
}

/// The target: origin-form, `*` of OPTIONS, or the authority of CONNECT. Another form is one of
/// HTTP/1 (RFC 9113 §8.3.1).
fn target<'b>(path: &'b [u8], method: Method<'_>, rules: &Rules) -> Result<Target<'b>, Refusal> {
    if path.len() > rules.target_bytes_max {
        return Err(Refusal::TargetTooLong);
    }
    if !method.is_connect() && path != b"*" && path.first() != Some(&b'/') {
        return Err(Refusal::MalformedTarget);
    }
    target::read(path, method.is_connect(), method.0 == b"OPTIONS", rules.scheme)
}
