//! The log of the process: its destination and the format of its lines.

use super::LogLevel;
use ringway::base::calendar::rfc3339;
use ringway::config::ProcessLogFormat;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Begins to log, to standard error. A thread of its own writes the log, and ends when the returned
/// guard is dropped; lines beyond its queue are dropped, not waited for.
pub(super) fn start(level: LogLevel, format: ProcessLogFormat) -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(io::stderr());
    let is_coloured = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
    let style = Style { format, is_journal: is_journal(), is_coloured };
    let log = tracing_subscriber::fmt().with_max_level(filter(level)).event_format(style);
    log.with_writer(writer).init();
    guard
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Whether standard error goes to the journal of systemd (systemd.exec(5), $JOURNAL_STREAM).
fn is_journal() -> bool {
    let Ok(journal) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|stderr| journal == format!("{}:{}", stderr.dev(), stderr.ino()))
}

/// The format of lines.
#[derive(Clone, Copy)]
struct Style {
    format: ProcessLogFormat,
    /// The journal notes the time itself, and takes the priority from the beginning of a line
    /// (sd-daemon(3)).
    is_journal: bool,
    is_coloured: bool,
}

impl Style {
    /// The lines of an event, with their ends.
    fn lines(self, level: Level, time_ms: u64, target: &str, fields: &Fields) -> String {
        let priority = match self.is_journal {
            true => priority(level),
            false => "",
        };
        if self.format == ProcessLogFormat::Json {
            return format!("{priority}{}\n", json(level, time_ms, fields));
        }
        let begins = match (self.is_journal, self.is_coloured) {
            (true, _) => String::new(),
            (false, false) => format!("{} {level:<5} ", rfc3339(time_ms)),
            (false, true) => {
                let (time, colour) = (rfc3339(time_ms), colour(level));
                format!("\x1b[2m{time}\x1b[0m \x1b[{colour}m{level:<5}\x1b[0m ")
            }
        };
        let mut lines = String::new();
        for (at, line) in fields.text(target).lines().enumerate() {
            // Only what begins an event begins at the margin.
            let begins = if at == 0 { &*begins } else { "    " };
            let line = format!("{priority}{begins}{}", printable(line));
            let _ = writeln!(lines, "{}", line.trim_end());
        }
        lines
    }
}

/// As syslog(3) has them.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "1;31",
        Level::WARN => "33",
        Level::INFO => "32",
        _ => "2",
    }
}

/// One object, without the end of the line.
fn json(level: Level, time_ms: u64, fields: &Fields) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let level = level.as_str().to_lowercase();
    let time = rfc3339(time_ms);
    let message = quoted(&fields.message);
    let mut line = format!("{{\"time\":\"{time}\",\"level\":\"{level}\",\"message\":{message}");
    for (name, value) in &fields.others {
        let _ = write!(line, ",{}:{}", quoted(name), quoted(value));
    }
    if let Some(event) = fields.event.as_deref().and_then(|event| event.strip_prefix('{')) {
        line.push(',');
        line.push_str(event); // with the brace that ends both
        return line;
    }
    line.push('}');
    line
}

/// What others have said cannot move the cursor or forge a line.
fn printable(line: &str) -> String {
    let mut printable = String::with_capacity(line.len());
    for character in line.chars() {
        match character.is_control() && character != '\t' {
            true => printable.extend(character.escape_default()),
            false => printable.push(character),
        }
    }
    printable
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    /// An event of the coordinator in JSON, of which the message is the sentence.
    event: Option<String>,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    /// All of it for people. Of other crates it says which.
    fn text(&self, target: &str) -> String {
        let mut text = match target.starts_with(env!("CARGO_CRATE_NAME")) {
            true => self.message.clone(),
            false => format!("{target}: {}", self.message),
        };
        for (name, value) in &self.others {
            let _ = write!(text, " {name}={value}");
        }
        text
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            "event" => self.event = Some(value.to_owned()),
            name => self.others.push((name, value.to_owned())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S, N> FormatEvent<S, N> for Style
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let metadata = event.metadata();
        writer.write_str(&self.lines(*metadata.level(), time_ms, metadata.target(), &fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(format: ProcessLogFormat, is_journal: bool, is_coloured: bool) -> String {
        let fields = Fields {
            message: "refused: a.toml:1:1\n  1 | \u{1b}x".to_owned(),
            event: Some("{\"event\":\"reload_refused\"}".to_owned()),
            others: vec![("age", "3s".to_owned())],
        };
        let style = Style { format, is_journal, is_coloured };
        style.lines(Level::ERROR, 1_796_039_999_999, "ringway::coordinator", &fields)
    }

    #[test]
    fn lines_suit_who_reads_them() {
        let text = ProcessLogFormat::Text;
        assert_eq!(
            lines(text, false, false),
            "2026-11-30T11:59:59.999Z ERROR refused: a.toml:1:1\n      1 | \\u{1b}x age=3s\n"
        );
        assert_eq!(
            lines(text, true, false),
            "<3>refused: a.toml:1:1\n<3>      1 | \\u{1b}x age=3s\n"
        );
        assert!(lines(text, false, true).contains("\u{1b}[1;31mERROR\u{1b}[0m refused"));
        let line = lines(ProcessLogFormat::Json, false, true);
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).expect("one object");
        assert_eq!(value["time"], "2026-11-30T11:59:59.999Z");
        assert_eq!((&value["level"], &value["age"]), (&"error".into(), &"3s".into()));
        assert_eq!(value["event"], "reload_refused");
    }
}
