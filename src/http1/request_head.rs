//! Reading the head of a request.

use super::fields::{self, FieldStorage, Found, Kind};
use super::target::{self, Target};
use super::{BodyLength, Refusal, Rules, UnderscoreNames, Verdict, Version};
use httparse::{Header, ParserConfig, Request, Status};

const METHOD_BYTES_MAX: usize = 32;

/// A method (RFC 9110 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method<'b>(pub &'b [u8]);

impl Method<'_> {
    /// HEAD: its response has no body.
    pub fn is_head(self) -> bool {
        self.0 == b"HEAD"
    }

    /// CONNECT: it asks for a tunnel.
    pub fn is_connect(self) -> bool {
        self.0 == b"CONNECT"
    }

    /// True if the same request may be sent twice (RFC 9110 §9.2.2).
    pub fn is_idempotent(self) -> bool {
        matches!(self.0, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
    }
}

/// The head of a request, as understood.
#[derive(Debug)]
pub struct RequestHead<'b, 's> {
    /// Its bytes, the empty line included.
    pub length: usize,
    /// Its method.
    pub method: Method<'b>,
    /// The target as it is forwarded: origin-form, `*`, or the authority of CONNECT.
    pub target: &'b [u8],
    /// The path of the target, without query.
    pub path: &'b [u8],
    /// The authority: of Host, or of the target, which agree. Empty for an HTTP/1.0 request
    /// without either.
    pub host: &'b [u8],
    /// Its version.
    pub version: Version,
    /// How long its body is.
    pub body: BodyLength,
    /// The client wants to keep its connection.
    pub keep_alive: bool,
    /// The client waits for 100 (Continue) before it sends the body.
    pub expects_continue: bool,
    /// The protocol that the client wants to change to.
    pub upgrade: Option<&'b [u8]>,
    pub(super) fields: &'s [Header<'b>],
    pub(super) dropped: u128,
    pub(super) connection: fields::Connection,
    pub(super) has_forwarded: bool,
    pub(super) has_via: bool,
}

impl<'b, 's> RequestHead<'b, 's> {
    /// Reads a head at the start of `bytes`.
    pub fn parse(
        bytes: &'b [u8],
        storage: &'s mut FieldStorage<'b>,
        rules: &Rules,
    ) -> Verdict<Self> {
        match Self::read(bytes, storage, rules) {
            Ok(Some(head)) => Verdict::Complete(head),
            Ok(None) => Verdict::Incomplete,
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    fn read(
        bytes: &'b [u8],
        storage: &'s mut FieldStorage<'b>,
        rules: &Rules,
    ) -> Result<Option<Self>, Refusal> {
        check_start(bytes, rules)?;
        let mut request = Request::new(&mut []);
        let parsed = ParserConfig::default().parse_request_with_uninit_headers(
            &mut request,
            bytes,
            &mut storage.0,
        );
        let length = match parsed {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) if bytes.len() >= rules.head_bytes_max => {
                return Err(Refusal::HeadTooLarge);
            }
            Ok(Status::Partial) => return Ok(None),
            Err(httparse::Error::Version) => return refuse_version(bytes),
            Err(error) => return Err(fields::refusal_of(error)),
        };
        if length > rules.head_bytes_max {
            return Err(Refusal::HeadTooLarge);
        }
        fields::check_line_ends(&bytes[..length])?;
        let start = StartLine::of(&request, bytes, rules)?;
        Self::judge(start, request.headers, rules).map(|mut whole| {
            whole.length = length;
            Some(whole)
        })
    }

    fn judge(
        start: StartLine<'b>,
        fields: &'s [Header<'b>],
        rules: &Rules,
    ) -> Result<Self, Refusal> {
        if fields.len() > rules.fields_max {
            return Err(Refusal::TooManyFields);
        }
        let StartLine { method, target, version } = start;
        let mut found = fields::read(fields, version, Kind::Request)?;
        drop_underscores(fields, &mut found, rules)?;
        let host = host_of(&found, &target, version)?;
        let expects_continue = match found.expect {
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => {
                version == Version::Http11
            }
            Some(_) => return Err(Refusal::UnknownExpectation),
            None => false,
        };
        let body = found.request_body();
        let asks_upgrade =
            found.connection.upgrade && version == Version::Http11 && body == BodyLength::None;
        Ok(Self {
            length: 0,
            method,
            target: target.forwarded,
            path: target.path,
            host,
            version,
            body,
            keep_alive: found.keep_alive(version),
            expects_continue,
            upgrade: found.upgrade.filter(|value| asks_upgrade && !value.is_empty()),
            fields,
            dropped: found.dropped,
            connection: found.connection,
            has_forwarded: found.has_forwarded,
            has_via: found.has_via,
        })
    }

    /// What Connection names, if that is more than `close`, `keep-alive` and `upgrade`.
    pub fn named_by_connection(&self) -> impl Iterator<Item = &[u8]> {
        fields::named_by_connection(self.fields, self.connection)
    }

    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        let mut fields = self.fields.iter();
        fields.find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }
}

/// Bytes of the line ends at the start of `bytes`. Some clients send them behind a body, or before
/// a request: a server ignores them (RFC 9112 §2.2). CR alone is none, whatever follows it.
pub fn leading_line_ends(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += match &bytes[at..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return at,
        };
    }
}

struct StartLine<'b> {
    method: Method<'b>,
    target: Target<'b>,
    version: Version,
}

impl<'b> StartLine<'b> {
    fn of(request: &Request<'_, 'b>, head: &[u8], rules: &Rules) -> Result<Self, Refusal> {
        let (Some(method), Some(path), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(Refusal::MalformedStartLine);
        };
        let (method, path) = (method.as_bytes(), path.as_bytes());
        // METHOD SP target SP HTTP/1.x CRLF, and not a byte more: httparse takes more blanks.
        let length = method.len() + path.len() + b"  HTTP/1.1\r\n".len();
        if head.get(length - 2..length) != Some(b"\r\n") || head[method.len() + 1] == b' ' {
            return Err(Refusal::MalformedStartLine);
        }
        if method.len() > METHOD_BYTES_MAX {
            return Err(Refusal::MalformedMethod);
        }
        if path.len() > rules.target_bytes_max {
            return Err(Refusal::TargetTooLong);
        }
        let method = Method(method);
        if method.is_connect() && !rules.allow_connect {
            return Err(Refusal::ConnectNotAllowed);
        }
        let target = target::read(path, method.is_connect(), method.0 == b"OPTIONS")?;
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        Ok(Self { method, target, version })
    }
}

/// Refuses what can never become a request line, however much follows: a client that speaks
/// another protocol should not have to run into a timeout.
fn check_start(head: &[u8], rules: &Rules) -> Result<(), Refusal> {
    let method = head.iter().take(METHOD_BYTES_MAX + 1).position(|byte| *byte == b' ');
    let seen = &head[..method.unwrap_or(head.len().min(METHOD_BYTES_MAX + 1))];
    let is_begun_empty_line = seen == b"\r";
    if !is_begun_empty_line && !seen.iter().all(|byte| fields::is_token_byte(*byte)) {
        return Err(Refusal::MalformedStartLine);
    }
    if method == Some(0) {
        return Err(Refusal::MalformedStartLine);
    }
    if seen.len() > METHOD_BYTES_MAX {
        return Err(Refusal::MalformedMethod);
    }
    let line_max = METHOD_BYTES_MAX + rules.target_bytes_max + b"  HTTP/1.1\r\n".len();
    if head.len() > line_max && memchr::memchr(b'\n', &head[..line_max]).is_none() {
        return Err(Refusal::TargetTooLong);
    }
    Ok(())
}

/// For a version that httparse did not take: none while it may still be that of another protocol,
/// which is told apart from what is no version at all (RFC 9112 §2.3, RFC 9110 §15.6.6).
fn refuse_version<T>(head: &[u8]) -> Result<Option<T>, Refusal> {
    const FORM: &[u8] = b"HTTP/#.#\r";
    let version = head.splitn(3, |byte| *byte == b' ').nth(2).unwrap_or_default();
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'#' => byte.is_ascii_digit(),
        _ => byte == form,
    };
    if !version.iter().zip(FORM).all(fits) {
        return Err(Refusal::MalformedStartLine);
    }
    if version.len() < FORM.len() { Ok(None) } else { Err(Refusal::UnsupportedVersion) }
}

fn drop_underscores(
    fields: &[Header<'_>],
    found: &mut Found<'_>,
    rules: &Rules,
) -> Result<(), Refusal> {
    if rules.underscore_names == UnderscoreNames::Allow {
        return Ok(());
    }
    for (at, field) in fields.iter().enumerate() {
        if field.name.as_bytes().contains(&b'_') {
            if rules.underscore_names == UnderscoreNames::Reject {
                return Err(Refusal::UnderscoreInName);
            }
            found.dropped |= 1 << at;
        }
    }
    Ok(())
}

/// The host that the request is for (RFC 9112 §3.2). Host and the target must agree.
fn host_of<'b>(
    found: &Found<'b>,
    target: &Target<'b>,
    version: Version,
) -> Result<&'b [u8], Refusal> {
    match (found.host, target.authority) {
        (Some(host), _) if !target::is_host(host) => Err(Refusal::MalformedHost),
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
            Err(Refusal::HostDisagreesWithTarget)
        }
        (Some(host), _) => Ok(host),
        (None, _) if version == Version::Http11 => Err(Refusal::MissingHost),
        (None, Some(authority)) => Ok(authority),
        (None, None) => Ok(b""),
    }
}
