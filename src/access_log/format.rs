//! A record as a line of text.

use super::Record;
use crate::base::calendar::Civil;
use serde::Serialize;
use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// The Common Log Format of NCSA httpd, times in UTC.
    Common,
}

#[derive(Serialize)]
struct Line<'a> {
    time_ms: u64,
    client: std::net::IpAddr,
    method: std::borrow::Cow<'a, str>,
    host: std::borrow::Cow<'a, str>,
    target: std::borrow::Cow<'a, str>,
    version: Option<&'a str>,
    status: u16,
    request_bytes: u64,
    response_bytes: u64,
    duration_us: u64,
    pool: Option<&'a str>,
    backend: Option<std::net::SocketAddr>,
    retries: u32,
    failure: Option<&'a str>,
}

impl Format {
    /// Writes a record with its line end.
    pub fn write(self, record: &Record, time_ms: u64, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Json => write_json(record, time_ms, out),
            Self::Common => write_common(record, time_ms, out),
        }
    }
}

fn write_json(record: &Record, time_ms: u64, out: &mut impl Write) -> io::Result<()> {
    let line = Line {
        time_ms,
        client: record.client.to_canonical(),
        method: String::from_utf8_lossy(&record.method),
        host: String::from_utf8_lossy(&record.host),
        target: String::from_utf8_lossy(&record.target),
        version: record.version,
        status: record.status,
        request_bytes: record.request_bytes,
        response_bytes: record.response_bytes,
        duration_us: record.duration_us,
        pool: record.pool.as_deref(),
        backend: record.backend,
        retries: record.retries,
        failure: record.failure,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn write_common(record: &Record, time_ms: u64, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{} - - [{}] \"", record.client.to_canonical(), clf_time(time_ms))?;
    if let Some(version) = record.version {
        write_escaped(&record.method, out)?;
        out.write_all(b" ")?;
        write_escaped(&record.target, out)?;
        write!(out, " {version}")?;
    } else {
        out.write_all(b"-")?;
    }
    writeln!(out, "\" {} {}", record.status, record.response_bytes)
}

/// What a client sent must not be able to end the quotes or the line.
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
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
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
            client: [192, 0, 2, 7].into(),
            method: Box::from(&b"GET"[..]),
            host: Box::from(&b"a.example"[..]),
            target: Box::from(&b"/x\"y\nz"[..]),
            version: Some("HTTP/1.0"),
            status: 200,
            request_bytes: 0,
            response_bytes: 12,
            duration_us: 345,
            pool: Some("web".into()),
            backend: None,
            retries: 0,
            failure: None,
        }
    }

    fn line(format: Format) -> String {
        let mut out = Vec::new();
        format.write(&record(), 971_186_136_000, &mut out).expect("a Vec takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn json_is_one_valid_object_a_line() {
        let line = line(Format::Json);
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).expect("valid");
        assert_eq!(value["target"], "/x\"y\nz");
        assert_eq!((&value["pool"], &value["version"]), (&"web".into(), &"HTTP/1.0".into()));
        assert_eq!(value["duration_us"], 345);
    }

    #[test]
    fn common_log_format_cannot_be_broken_by_a_client() {
        let expected = "192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] \
                        \"GET /x\\\"y\\x0az HTTP/1.0\" 200 12\n";
        assert_eq!(line(Format::Common), expected);
    }
}
