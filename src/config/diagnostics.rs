//! What is wrong with a configuration, all of it at once: where, what, and how to mend it. Does
//! not: decide what is wrong.

use serde::Serialize;
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// Every problem of one text, in the order of their places. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The name that the text was given.
    pub file_name: String,
    /// The problems.
    pub problems: Vec<Problem>,
}

/// Something that keeps a text from being a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// A sentence.
    pub message: String,
    /// How to mend it, if the message does not say it.
    pub help: Option<String>,
    /// The line, as far as it can be shown.
    #[serde(skip)]
    source: String,
    /// Characters of the line that are meant, at least one.
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
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl Problem {
    fn show(&self, file_name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, message, source, width, .. } = self;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{file_name}:{line}:{column}: {message}")?;
        writeln!(f, "  {number} | {source}")?;
        writeln!(f, "  {margin} | {}{}", " ".repeat(column - 1), "^".repeat(*width))?;
        match &self.help {
            Some(help) => writeln!(f, "  {margin} = {help}"),
            None => Ok(()),
        }
    }
}

/// Where problems are gathered while a text is read.
pub(super) struct Report<'a> {
    text: &'a str,
    problems: RefCell<Vec<(usize, Problem)>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, problems: RefCell::default() }
    }

    /// Adds a problem whose message says how to mend it.
    pub(super) fn add(&self, span: Range<usize>, message: impl Into<String>) {
        self.push(span, message.into(), None);
    }

    /// Adds a problem and how to mend it.
    pub(super) fn add_with_help(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(span, message.into(), Some(help.into()));
    }

    /// Adds what a reader of JSON says, behind what it was to be.
    pub(super) fn add_json_error(&self, expected: &str, error: &serde_json::Error) {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        let message = message.strip_suffix(&place).unwrap_or(&message);
        let before = self.text.split_inclusive('\n').take(line.saturating_sub(1));
        // Columns are from 1 and in bytes.
        let start = before.map(str::len).sum::<usize>() + column.saturating_sub(1);
        self.add(start..start + 1, format!("{expected}: {message}"));
    }

    fn push(&self, span: Range<usize>, message: String, help: Option<String>) {
        let start = self.boundary(span.start);
        let (line, before) = self.line_and_text_before(start);
        let line_start = start - before.len();
        let whole = self.text[line_start..].split('\n').next().unwrap_or_default();
        let end = self.boundary(span.end).clamp(start, line_start + whole.len());
        let width = self.text[start..end].chars().count().max(1);
        let source = whole.trim_end().chars().map(shown).collect();
        let column = before.chars().count() + 1;
        let problem = Problem { line, column, message, help, source, width };
        self.problems.borrow_mut().push((start, problem));
    }

    /// The line, from 1, that a place is on.
    pub(super) fn line_of(&self, span: &Range<usize>) -> usize {
        self.line_and_text_before(self.boundary(span.start)).0
    }

    /// The nearest place not after `at` where a character begins.
    fn boundary(&self, at: usize) -> usize {
        (0..=at.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }

    fn line_and_text_before(&self, start: usize) -> (usize, &'a str) {
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, &before[line_start..])
    }

    /// The problems, if there are any.
    pub(super) fn finish(self, file_name: &str) -> Result<(), Diagnostics> {
        let mut problems = self.problems.into_inner();
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by_key(|(start, _)| *start);
        let problems = problems.into_iter().map(|(_, problem)| problem).collect();
        Err(Diagnostics { file_name: file_name.to_owned(), problems })
    }
}

/// Takes what could move the caret or steer a terminal out of a line.
fn shown(character: char) -> char {
    match character {
        '\t' => ' ',
        other if other.is_control() => '\u{fffd}',
        other => other,
    }
}
