//! The problems of a configuration, all at once: place, problem and remedy. Their number and length
//! are bounded for any text. Does not: find the problems.

use super::TextFormat;
use serde::Serialize;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Problems of one text that are reported: the others follow after these are mended.
const PROBLEMS_MAX: usize = 100;

/// Characters of a line that are shown, and how many of them are before the place that is meant,
/// if there are more on either side.
const SOURCE_CHARACTERS_MAX: usize = 160;
const SOURCE_CHARACTERS_BEFORE: usize = 60;

/// Characters of a message, which may quote the text.
const MESSAGE_CHARACTERS_MAX: usize = 500;

/// The mark of omitted text.
const CUT: char = '…';

/// The problems of one text, in the order of their places. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The name that the text was given.
    pub file_name: String,
    /// The first 100 of them.
    pub problems: Vec<Problem>,
    /// How many there are beyond these.
    pub more: usize,
}

/// A problem that makes a text invalid as a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// A sentence.
    pub message: String,
    /// The remedy, if the message does not have it.
    pub help: Option<String>,
    /// The line, or the part of it with the problem, as far as it can be shown.
    #[serde(skip)]
    source: String,
    /// Characters of `source` before the problem.
    #[serde(skip)]
    indent: usize,
    /// Characters of `source` with the problem, at least one.
    #[serde(skip)]
    width: usize,
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            problem.show(&self.file_name, f)?;
        }
        match self.more {
            0 => Ok(()),
            1 => writeln!(f, "\n{CUT} and 1 more problem"),
            more => writeln!(f, "\n{CUT} and {more} more problems"),
        }
    }
}

impl std::error::Error for Diagnostics {}

impl Problem {
    fn show(&self, file_name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, message, source, indent, width, .. } = self;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{file_name}:{line}:{column}: {message}")?;
        writeln!(f, "  {number} | {source}")?;
        writeln!(f, "  {margin} | {}{}", " ".repeat(*indent), "^".repeat(*width))?;
        match &self.help {
            Some(help) => writeln!(f, "  {margin} = {help}"),
            None => Ok(()),
        }
    }
}

/// A problem before its line and column are computed.
struct Found {
    end: usize,
    message: String,
    help: Option<String>,
}

/// The problems gathered while a text is read.
pub(super) struct Report<'a> {
    text: &'a str,
    /// The format of the text, which determines the syntax of remedies.
    format: TextFormat,
    /// By the place and the order of their addition; those that come first in the text.
    found: RefCell<BTreeMap<(usize, usize), Found>>,
    /// Their number, with those that are not kept.
    count: Cell<usize>,
    /// The beginning of each line, computed at first use.
    lines: OnceCell<Vec<usize>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(text: &'a str, format: TextFormat) -> Self {
        let (found, count, lines) = (RefCell::default(), Cell::default(), OnceCell::new());
        Self { text, format, found, count, lines }
    }

    pub(super) fn format(&self) -> TextFormat {
        self.format
    }

    /// The syntax of a table of an array with these keys.
    pub(super) fn table(&self, path: &[&str], keys: &[(&str, &str)]) -> String {
        let between = if self.format == TextFormat::Toml { " = " } else { ": " };
        let quote = if self.format == TextFormat::Toml { "" } else { "\"" };
        let keys: Vec<String> = keys
            .iter()
            .map(|(key, value)| format!("{quote}{key}{quote}{between}\"{value}\""))
            .collect();
        match self.format {
            TextFormat::Toml => format!("[[{}]] with {}", path.join("."), keys.join(" and ")),
            TextFormat::Json => {
                let list = format!("[{{{}}}]", keys.join(", "));
                path.iter().rev().enumerate().fold(list, |inner, (depth, step)| {
                    let entry = format!("\"{step}\": {inner}");
                    if depth + 1 < path.len() { format!("{{{entry}}}") } else { entry }
                })
            }
        }
    }

    /// Adds a problem whose message has the remedy.
    pub(super) fn add(&self, span: Range<usize>, message: impl Into<String>) {
        self.add_lazily(span, || (message.into(), None));
    }

    /// Adds an error as a problem, or passes the value on.
    pub(super) fn checked<T>(&self, span: Range<usize>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(span, message)).ok()
    }

    /// Adds a problem and its remedy.
    pub(super) fn add_with_help(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add_lazily(span, || (message.into(), Some(help.into())));
    }

    /// Adds an error of the JSON parser, after the expected kind of value.
    pub(super) fn add_json_error(&self, expected: &str, error: &serde_json::Error) {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        let message = message.strip_suffix(&place).unwrap_or(&message);
        let line_start = self.lines().get(line.saturating_sub(1)).copied().unwrap_or(0);
        // Columns are from 1 and in bytes.
        let start = line_start + column.saturating_sub(1);
        self.add(start..start + 1, format!("{expected}: {message}"));
    }

    /// Adds a problem whose message and help take time to compute: this is done only if it is one
    /// of those that are reported.
    pub(super) fn add_lazily(
        &self,
        span: Range<usize>,
        texts: impl FnOnce() -> (String, Option<String>),
    ) {
        let count = self.count.get();
        self.count.set(count + 1);
        let key = (self.boundary(span.start), count);
        let is_told = count < PROBLEMS_MAX
            || self.found.borrow().last_key_value().is_some_and(|(last, _)| key < *last);
        if !is_told {
            return;
        }
        let (message, help) = texts();
        let (message, help) = (clipped(message), help.map(clipped));
        let mut found = self.found.borrow_mut();
        found.insert(key, Found { end: span.end, message, help });
        if found.len() > PROBLEMS_MAX {
            found.pop_last();
        }
    }

    /// The line, from 1, that a place is on.
    pub(super) fn line_of(&self, span: &Range<usize>) -> usize {
        self.lines().partition_point(|start| *start <= span.start)
    }

    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let newlines = memchr::memchr_iter(b'\n', self.text.as_bytes());
            std::iter::once(0).chain(newlines.map(|newline| newline + 1)).collect()
        })
    }

    /// The nearest place not after `at` where a character begins.
    fn boundary(&self, at: usize) -> usize {
        (0..=at.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }

    /// The problems, if there are any.
    pub(super) fn finish(self, file_name: &str) -> Result<(), Diagnostics> {
        let found = self.found.take();
        if found.is_empty() {
            return Ok(());
        }
        let more = self.count.get() - found.len();
        let problems = found.into_iter().map(|((start, _), found)| self.placed(start, found));
        let problems = problems.collect();
        Err(Diagnostics { file_name: file_name.to_owned(), problems, more })
    }

    fn placed(&self, start: usize, found: Found) -> Problem {
        let Found { end, message, help } = found;
        let line = self.line_of(&(start..end));
        let line_start = self.lines()[line - 1];
        let line_end = self.lines().get(line).map_or(self.text.len(), |next| next - 1);
        let (before, rest) = self.text[line_start..line_end].split_at(start - line_start);
        let rest = rest.trim_end();
        let meant = self.boundary(end).clamp(start, start + rest.len()) - start;

        let column = before.chars().count() + 1;
        let length = column - 1 + rest.chars().take(SOURCE_CHARACTERS_MAX).count();
        let first = before.char_indices().rev().nth(SOURCE_CHARACTERS_BEFORE - 1);
        let first = first.map_or(0, |(at, _)| at);
        let first = if length > SOURCE_CHARACTERS_MAX { first } else { 0 };
        let mut source = String::new();
        source.extend((first > 0).then_some(CUT));
        source.extend(before[first..].chars().map(shown));
        let indent = source.chars().count();
        let room = SOURCE_CHARACTERS_MAX - indent;
        source.extend(rest.chars().take(room).map(shown));
        source.extend(rest.chars().nth(room).map(|_| CUT));
        let width = rest[..meant].chars().take(room).count().max(1);
        Problem { line, column, message, help, source, indent, width }
    }
}

/// The beginning of a text of whatever length.
fn clipped(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MESSAGE_CHARACTERS_MAX) {
        text.truncate(end);
        text.push(CUT);
    }
    text
}

/// Removes characters that could move the caret or control a terminal from a line.
fn shown(character: char) -> char {
    match character {
        '\t' => ' ',
        other if other.is_control() => '\u{fffd}',
        other => other,
    }
}
