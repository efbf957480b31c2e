//! A record as a line of text.

use super::{Record, Tls};
use crate::base::calendar::{Civil, MONTHS, rfc3339};
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, UNIX_EPOCH};

/// The format of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// The Common Log Format of NCSA httpd, times in UTC.
    Common,
    /// The same with Referer and User-Agent, as Apache's httpd and nginx have it.
    Combined,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    time_ms: u64,
    client: IpAddr,
    client_port: u16,
    protocol: &'a str,
    listener: Option<&'a str>,
    method: Cow<'a, str>,
    host: Cow<'a, str>,
    target: Cow<'a, str>,
    version: Option<&'a str>,
    referer: Option<Cow<'a, str>>,
    user_agent: Option<Cow<'a, str>>,
    status: u16,
    request_bytes: u64,
    response_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_datagrams: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_datagrams: Option<u64>,
    duration_us: u64,
    unique_id: Option<Cow<'a, str>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<u32>,
    pool: Option<&'a str>,
    backend: Option<SocketAddr>,
    retries: u32,
    failure: Option<&'a str>,
    refusal: Option<&'a str>,
}

#[derive(Serialize)]
struct TlsLine<'a> {
    tls_version: Option<&'a str>,
    tls_cipher: Option<&'a str>,
    tls_server_name: Option<&'a str>,
    tls_resumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate: Option<&'a str>,
}

impl<'a> TlsLine<'a> {
    fn of(tls: &'a Tls) -> Self {
        Self {
            tls_version: tls.version,
            tls_cipher: tls.cipher,
            tls_server_name: tls.server_name.as_deref(),
            tls_resumed: tls.is_resumed,
            client_certificate: tls.client_certificate.as_deref(),
        }
    }
}

impl Format {
    /// Writes a record with its line end.
    pub fn write(self, record: &Record, time_ms: u64, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Json => write_json(record, time_ms, out),
            Self::Common => {
                write_common(record, time_ms, out)?;
                out.write_all(b"\n")
            }
            Self::Combined => write_combined(record, time_ms, out),
        }
    }
}

fn write_json(record: &Record, time_ms: u64, out: &mut impl Write) -> io::Result<()> {
    let line = Line {
        time: rfc3339(time_ms),
        time_ms,
        client: record.client.ip().to_canonical(),
        client_port: record.client.port(),
        protocol: record.protocol,
        listener: record.listener.as_deref(),
        method: String::from_utf8_lossy(&record.method),
        host: String::from_utf8_lossy(&record.host),
        target: String::from_utf8_lossy(&record.target),
        version: record.version,
        referer: record.referer.as_deref().map(String::from_utf8_lossy),
        user_agent: record.user_agent.as_deref().map(String::from_utf8_lossy),
        status: record.status,
        request_bytes: record.request_bytes,
        response_bytes: record.response_bytes,
        request_datagrams: record.datagrams.map(|[from_client, _]| from_client),
        response_datagrams: record.datagrams.map(|[_, to_client]| to_client),
        duration_us: record.duration_us,
        unique_id: record.unique_id.as_deref().map(String::from_utf8_lossy),
        tls: record.tls.as_ref().map(TlsLine::of),
        stream: record.stream,
        pool: record.pool.as_deref(),
        backend: record.backend,
        retries: record.retries,
        failure: record.failure,
        refusal: record.refusal,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn write_common(record: &Record, time_ms: u64, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{} - - [{}] \"", record.client.ip().to_canonical(), clf_time(time_ms))?;
    if record.method.is_empty() {
        out.write_all(b"-")?;
    } else {
        write_escaped(&record.method, out)?;
        out.write_all(b" ")?;
        write_escaped(&record.target, out)?;
    }
    if let Some(version) = record.version {
        write!(out, " {version}")?;
    }
    write!(out, "\" {} {}", record.status, record.response_bytes)
}

fn write_combined(record: &Record, time_ms: u64, out: &mut impl Write) -> io::Result<()> {
    write_common(record, time_ms, out)?;
    for value in [&record.referer, &record.user_agent] {
        out.write_all(b" \"")?;
        write_escaped(value.as_deref().unwrap_or(b"-"), out)?;
        out.write_all(b"\"")?;
    }
    out.write_all(b"\n")
}

/// Writes text of a client, which must not be able to end the quotes or the line.
fn write_escaped(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    for byte in bytes {
        match byte {
            b'"' | b'\\' => write!(out, "\\{}", char::from(*byte))?,
            b' '..=b'~' => out.write_all(&[*byte])?,
            _ => write!(out, "\\x{byte:02x}")?,
        }
    }
    Ok(())
}

/// `10/Oct/2000:13:55:36 +0000`
fn clf_time(time_ms: u64) -> String {
    let Civil { year, month, day, hour, minute, second } = Civil::at(time_ms / 1_000);
    let month = MONTHS[month as usize - 1];
    format!("{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000")
}

/// The wall clock, milliseconds since 1970.
pub(super) fn wall_clock_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            client: ([192, 0, 2, 7], 1234).into(),
            protocol: "http",
            listener: Some("public".into()),
            method: Box::from(&b"GET"[..]),
            host: Box::from(&b"a.example"[..]),
            target: Box::from(&b"/x\"y\nz"[..]),
            version: Some("HTTP/1.0"),
            referer: None,
            user_agent: Some(Box::from(&b"a \"b\""[..])),
            status: 200,
            request_bytes: 0,
            response_bytes: 12,
            datagrams: None,
            duration_us: 345,
            unique_id: None,
            tls: None,
            stream: None,
            pool: Some("web".into()),
            backend: None,
            retries: 0,
            failure: None,
            refusal: None,
        }
    }

    /// A connection of TLS.
    fn connection() -> Record {
        let nothing: Box<[u8]> = Box::default();
        Record {
            protocol: "tls-passthrough",
            method: nothing.clone(),
            target: nothing,
            version: None,
            user_agent: None,
            status: 0,
            failure: Some("tunnel_ended"),
            ..record()
        }
    }

    fn line(format: Format) -> String {
        line_of(format, &record())
    }

    fn line_of(format: Format, record: &Record) -> String {
        let mut out = Vec::new();
        format.write(record, 971_186_136_000, &mut out).expect("a Vec takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn json_is_one_valid_object_a_line() {
        let line = line(Format::Json);
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).expect("valid");
        assert_eq!(value["target"], "/x\"y\nz");
        assert_eq!(value["listener"], "public");
        assert_eq!((&value["pool"], &value["version"]), (&"web".into(), &"HTTP/1.0".into()));
        assert_eq!(value["duration_us"], 345);
        assert_eq!(value["time"], "2000-10-10T13:55:36.000Z");
        assert_eq!((&value["client"], &value["client_port"]), (&"192.0.2.7".into(), &1234.into()));
        assert_eq!((&value["user_agent"], value["referer"].is_null()), (&"a \"b\"".into(), true));
    }

    #[test]
    fn a_connection_has_its_protocol_and_no_request() {
        let value: serde_json::Value =
            serde_json::from_str(&line_of(Format::Json, &connection())).expect("valid");
        let got = ["protocol", "host", "method", "target", "failure"].map(|key| &value[key]);
        assert_eq!(got, ["tls-passthrough", "a.example", "", "", "tunnel_ended"]);
        assert_eq!(value["status"], 0);
        let expected = "192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] \"-\" 0 12\n";
        assert_eq!(line_of(Format::Common, &connection()), expected);
        let expected = format!("{} \"-\" \"-\"\n", expected.trim_end());
        assert_eq!(line_of(Format::Combined, &connection()), expected);
    }

    #[test]
    fn a_request_by_tls_has_what_was_negotiated() {
        let tls = Tls {
            version: Some("1.3"),
            cipher: Some("TLS_AES_128_GCM_SHA256"),
            server_name: Some("a.example".into()),
            is_resumed: true,
            client_certificate: None,
        };
        let secure = Record { tls: Some(tls), stream: Some(3), ..record() };
        let value: serde_json::Value =
            serde_json::from_str(&line_of(Format::Json, &secure)).expect("valid");
        let keys = ["tls_version", "tls_cipher", "tls_server_name"].map(|key| &value[key]);
        assert_eq!(keys, ["1.3", "TLS_AES_128_GCM_SHA256", "a.example"]);
        assert_eq!((&value["tls_resumed"], &value["stream"]), (&true.into(), &3.into()));
        assert!(value["client_certificate"].is_null());
        assert!(!line(Format::Json).contains("tls") && !line(Format::Json).contains("stream"));
    }

    #[test]
    fn a_flow_has_its_datagrams_too() {
        let flow = Record { protocol: "udp", datagrams: Some([3, 2]), ..connection() };
        let value: serde_json::Value =
            serde_json::from_str(&line_of(Format::Json, &flow)).expect("valid");
        assert_eq!([&value["request_datagrams"], &value["response_datagrams"]], [3, 2]);
        assert!(!line_of(Format::Json, &connection()).contains("datagrams"));
    }

    #[test]
    fn common_log_format_cannot_be_broken_by_a_client() {
        let expected = "192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] \
                        \"GET /x\\\"y\\x0az HTTP/1.0\" 200 12\n";
        assert_eq!(line(Format::Common), expected);
        let expected = format!("{} \"-\" \"a \\\"b\\\"\"\n", expected.trim_end());
        assert_eq!(line(Format::Combined), expected);
    }
}
