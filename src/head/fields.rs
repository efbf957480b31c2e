//! The fields of a head: those with a meaning for a proxy, and the rules that requests and
//! responses share.

use super::{BodyLength, Field, Refusal, Version};
use crate::limits::OWN_FIELDS_MAX;
use std::time::Duration;

/// A field that the proxy interprets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Host
    Host,
    /// Content-Length
    ContentLength,
    /// Transfer-Encoding
    TransferEncoding,
    /// Connection
    Connection,
    /// Keep-Alive
    KeepAlive,
    /// Fields that concern one connection only, besides those that Connection names.
    HopByHop,
    /// Upgrade
    Upgrade,
    /// Expect
    Expect,
    /// Via
    Via,
    /// Forwarded
    Forwarded,
    /// X-Forwarded-For
    ForwardedFor,
    /// X-Forwarded-Proto
    ForwardedProto,
    /// X-Forwarded-Host
    ForwardedHost,
    /// X-Real-IP
    RealIp,
    /// X-Client-Cert-…, what a client's certificate says: only Ringway's own are forwarded.
    ClientCertificate,
    /// Any other.
    Other,
}

impl Known {
    /// The known field of this name, which is a token.
    #[inline]
    pub fn of(name: &str) -> Self {
        let name = name.as_bytes();
        match name.len() {
            2 if is(name, b"te") => Self::HopByHop,
            3 if is(name, b"via") => Self::Via,
            4 if is(name, b"host") => Self::Host,
            6 if is(name, b"expect") => Self::Expect,
            7 if is(name, b"upgrade") => Self::Upgrade,
            9 if is(name, b"forwarded") => Self::Forwarded,
            9 if is(name, b"x-real-ip") => Self::RealIp,
            10 if is(name, b"connection") => Self::Connection,
            10 if is(name, b"keep-alive") => Self::KeepAlive,
            14 if is(name, b"content-length") => Self::ContentLength,
            15 if is(name, b"x-forwarded-for") => Self::ForwardedFor,
            16 if is(name, b"proxy-connection") => Self::HopByHop,
            16 if is(name, b"x-forwarded-host") => Self::ForwardedHost,
            17 if is(name, b"transfer-encoding") => Self::TransferEncoding,
            17 if is(name, b"x-forwarded-proto") => Self::ForwardedProto,
            17 if is(name, b"x-client-cert-san") => Self::ClientCertificate,
            21 if is(name, b"x-client-cert-subject") => Self::ClientCertificate,
            22 if is(name, b"x-client-cert-verified") => Self::ClientCertificate,
            25 if is(name, b"x-client-cert-fingerprint") => Self::ClientCertificate,
            _ => Self::Other,
        }
    }
}

/// True if a name, a token, is the known one in any case. The bit of the case turns no byte of a
/// token but a capital letter into a byte of a known name, so the names are compared in one piece.
#[inline(always)]
fn is<const LENGTH: usize>(name: &[u8], known: &[u8; LENGTH]) -> bool {
    let Ok(name) = <&[u8; LENGTH]>::try_from(name) else { return false };
    let mut differs = 0;
    for at in 0..LENGTH {
        differs |= (name[at] | 0x20) ^ known[at];
    }
    differs == 0
}

impl Known {
    /// True for a field about hops: a request's is rewritten, a response's is forwarded.
    fn is_about_hops(self) -> bool {
        matches!(
            self,
            Self::Via
                | Self::Forwarded
                | Self::ForwardedFor
                | Self::ForwardedProto
                | Self::ForwardedHost
                | Self::RealIp
                | Self::ClientCertificate
        )
    }
}

/// True for a field about the client, with underscores for some of its dashes.
pub fn is_forwarding_spelt_with_underscores(name: &str) -> bool {
    let mut dashed = [0; "x-client-cert-fingerprint".len()];
    let Some(dashed) = dashed.get_mut(..name.len()) else { return false };
    for (to, from) in dashed.iter_mut().zip(name.bytes()) {
        *to = if from == b'_' { b'-' } else { from };
    }
    let known = std::str::from_utf8(dashed).map_or(Known::Other, Known::of);
    matches!(
        known,
        Known::ForwardedFor
            | Known::ForwardedHost
            | Known::ForwardedProto
            | Known::RealIp
            | Known::ClientCertificate
    )
}

/// The values of the known fields; none for a field that is missing.
#[derive(Debug, Default)]
pub struct Found<'b> {
    /// Host.
    pub host: Option<&'b [u8]>,
    /// Content-Length.
    pub content_length: Option<u64>,
    /// Transfer-Encoding is chunked.
    pub is_chunked: bool,
    /// Upgrade; empty if there are several.
    pub upgrade: Option<&'b [u8]>,
    /// Expect; empty if there are several.
    pub expect: Option<&'b [u8]>,
    /// The options of Connection.
    pub connection: Connection,
    /// How long the sender keeps its connection without a request, by Keep-Alive.
    pub idle_timeout: Option<Duration>,
    /// Fields of a [`Kind::EmptyResponse`] announce content all the same.
    pub announces_content: bool,
    /// Fields that are not forwarded as they are.
    pub dropped: FieldSet,
    /// There is a field about the client.
    pub has_forwarded: bool,
    /// There is a Via.
    pub has_via: bool,
    /// TE: the sender accepts trailers.
    pub accepts_trailers: bool,
}

/// The message of a head, as far as it decides the meaning of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// A response that may have a body.
    Response,
    /// A response that ends with its head, whatever length its fields state (RFC 9112 §6.3, items 1
    /// and 2), and must not be forwarded with such fields (RFC 9110 §8.6, RFC 9112 §6.1).
    EmptyResponse,
}

/// The options of the Connection fields (RFC 9110 §7.6.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection {
    /// `close`
    pub close: bool,
    /// `keep-alive`
    pub keep_alive: bool,
    /// `upgrade`
    pub upgrade: bool,
    /// The name of a field.
    pub names_others: bool,
}

/// Some fields of a head, by position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet([u64; 2]);

const _: () = assert!(OWN_FIELDS_MAX <= 128, "one bit for each field");

impl FieldSet {
    /// Adds a field.
    #[inline]
    pub fn add(&mut self, at: usize) {
        self.0[at / 64 % 2] |= 1 << (at % 64);
    }

    /// True if the field is one of them.
    #[inline]
    pub fn has(self, at: usize) -> bool {
        self.0[at / 64 % 2] >> (at % 64) & 1 == 1
    }
}

/// Reads all fields by the rules that requests and responses share.
#[inline(always)]
pub fn read<'b>(fields: &[Field<'b>], version: Version, kind: Kind) -> Result<Found<'b>, Refusal> {
    let mut found = Found::default();
    for (at, field) in fields.iter().enumerate() {
        let known = Known::of(field.name);
        if known != Known::Other {
            read_one(&mut found, known, field.value, version, kind)?;
            if kind == Kind::Request || !known.is_about_hops() {
                found.dropped.add(at);
            }
        }
    }
    if found.is_chunked && found.content_length.is_some() {
        return Err(Refusal::LengthWithTransferEncoding);
    }
    if found.connection.names_others {
        drop_named_by_connection(fields, &mut found)?;
    }
    Ok(found)
}

#[inline(always)]
fn read_one<'b>(
    found: &mut Found<'b>,
    known: Known,
    value: &'b [u8],
    version: Version,
    kind: Kind,
) -> Result<(), Refusal> {
    match known {
        Known::Host => {
            // In a response it has no meaning, and is not forwarded.
            if found.host.replace(value).is_some() && kind == Kind::Request {
                return Err(Refusal::SeveralHosts);
            }
        }
        Known::ContentLength | Known::TransferEncoding if kind == Kind::EmptyResponse => {
            let is_none = known == Known::ContentLength && one_length(value) == Ok(0);
            found.announces_content |= !is_none;
        }
        Known::ContentLength => {
            // A response may repeat its length (RFC 9110 §8.6); a request that does is refused.
            let length = match kind {
                Kind::Request => content_length(value)?,
                Kind::Response | Kind::EmptyResponse => one_length(value)?,
            };
            let is_same = |before| kind != Kind::Request && before == length;
            if !found.content_length.replace(length).is_none_or(is_same) {
                return Err(Refusal::SeveralContentLengths);
            }
        }
        Known::TransferEncoding => {
            if version == Version::Http10 {
                return Err(Refusal::TransferEncodingInHttp10);
            }
            if found.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::UnknownTransferEncoding);
            }
            found.is_chunked = true;
        }
        Known::Connection => read_connection(&mut found.connection, value)?,
        Known::Upgrade => found.upgrade = Some(found.upgrade.map_or(value, |_| b"")),
        Known::Expect => found.expect = Some(found.expect.map_or(value, |_| b"")),
        Known::Forwarded
        | Known::ForwardedFor
        | Known::ForwardedHost
        | Known::ForwardedProto
        | Known::RealIp => found.has_forwarded = true,
        Known::Via => found.has_via = true,
        Known::KeepAlive => found.idle_timeout = idle_timeout(value).or(found.idle_timeout),
        // What of a Proxy-Connection reads alike has no meaning, and does no harm.
        Known::HopByHop => found.accepts_trailers |= accepts_trailers(value),
        Known::ClientCertificate | Known::Other => {}
    }
    Ok(())
}

/// True for a TE with `trailers` (RFC 9110 §10.1.4).
fn accepts_trailers(value: &[u8]) -> bool {
    list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

fn read_connection(connection: &mut Connection, value: &[u8]) -> Result<(), Refusal> {
    for option in list(value) {
        let is = |known: &[u8]| option.eq_ignore_ascii_case(known);
        if is(b"close") {
            connection.close = true;
        } else if is(b"keep-alive") {
            connection.keep_alive = true;
        } else if is(b"upgrade") {
            connection.upgrade = true;
        } else if is(b"host") || is(b"content-length") || is(b"transfer-encoding") {
            return Err(Refusal::EssentialFieldInConnection);
        } else if !option.is_empty() {
            connection.names_others = true;
        }
    }
    Ok(())
}

fn drop_named_by_connection(fields: &[Field<'_>], found: &mut Found<'_>) -> Result<(), Refusal> {
    for option in named_by_connection(fields, found.connection) {
        for (at, field) in fields.iter().enumerate() {
            if field.name.as_bytes().eq_ignore_ascii_case(option) {
                found.dropped.add(at);
            }
        }
    }
    Ok(())
}

/// All names in Connection, if any is not `close`, `keep-alive` or `upgrade`.
pub fn named_by_connection<'h>(
    fields: &'h [Field<'_>],
    connection: Connection,
) -> impl Iterator<Item = &'h [u8]> {
    let fields = if connection.names_others { fields } else { &[] };
    let connections = fields.iter().filter(|field| Known::of(field.name) == Known::Connection);
    connections.flat_map(|field| list(field.value)).filter(|option| !option.is_empty())
}

/// The members of a comma-separated list, without white space around them.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// The `timeout` parameter of Keep-Alive, seconds (RFC 2068 §19.7.1). It is a hint, so a malformed
/// one is ignored.
fn idle_timeout(value: &[u8]) -> Option<Duration> {
    list(value).find_map(|parameter| {
        let (name, number) = parameter.split_at(parameter.iter().position(|byte| *byte == b'=')?);
        let is_timeout = name.trim_ascii().eq_ignore_ascii_case(b"timeout");
        let number = content_length(number[1..].trim_ascii()).ok()?;
        is_timeout.then_some(Duration::from_secs(number))
    })
}

/// 1*DIGIT below 2^63 (RFC 9110 §8.6).
pub fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || value.len() > 19 {
        return Err(Refusal::MalformedContentLength);
    }
    let number = value.iter().try_fold(0u64, |number, digit| {
        let value = digit.wrapping_sub(b'0');
        (value < 10).then(|| number * 10 + u64::from(value))
    });
    number.filter(|number| *number <= i64::MAX as u64).ok_or(Refusal::MalformedContentLength)
}

/// A length, or a list of lengths that are all the same (RFC 9110 §8.6, RFC 9112 §6.3, item 5).
pub fn one_length(value: &[u8]) -> Result<u64, Refusal> {
    content_length(value).or_else(|refusal| {
        let mut lengths = list(value).map(content_length);
        let first = lengths.next().unwrap_or(Err(refusal))?;
        lengths.try_fold(first, |first, length| match length? {
            length if length == first => Ok(first),
            _ => Err(Refusal::SeveralContentLengths),
        })
    })
}

impl Found<'_> {
    /// The length of the body of a request with these fields.
    pub fn request_body(&self) -> BodyLength {
        match (self.is_chunked, self.content_length) {
            (true, _) => BodyLength::Chunked,
            (false, None | Some(0)) => BodyLength::None,
            (false, Some(bytes)) => BodyLength::Sized(bytes),
        }
    }

    /// True if the connection persists after the message (RFC 9112 §9.3).
    pub fn keep_alive(&self, version: Version) -> bool {
        match version {
            Version::Http11 | Version::Http2 => !self.connection.close,
            Version::Http10 => self.connection.keep_alive && !self.connection.close,
        }
    }
}
