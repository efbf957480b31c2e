//! What is wrong with a configuration: where, what, and how to mend it.

use std::fmt;
use std::ops::Range;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Line of the file, from 1; 0 if it is about the file as a whole.
    pub line: usize,
    /// Column in the line, in characters from 1.
    pub column: usize,
    /// What is wrong and how to mend it.
    pub message: String,
    /// The line itself.
    pub excerpt: String,
}

/// Everything that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The file's name.
    pub file: String,
    /// At least one, in the order of the file.
    pub list: Vec<Diagnostic>,
}

impl Diagnostic {
    /// A diagnostic of a range of bytes of the text; none for the text as a whole.
    pub(super) fn new(text: &str, span: Option<Range<usize>>, message: String) -> Self {
        let Some(span) = span else {
            return Self { line: 0, column: 0, message, excerpt: String::new() };
        };
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let excerpt = text[line_start..].lines().next().unwrap_or_default().to_owned();
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self { line, column, message, excerpt }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.list {
            let Diagnostic { line, column, message, excerpt } = diagnostic;
            if *line == 0 {
                writeln!(f, "{}: error: {message}", self.file)?;
                continue;
            }
            writeln!(f, "{}:{line}:{column}: error: {message}", self.file)?;
            writeln!(f, "  {line:>4} | {excerpt}")?;
            writeln!(f, "       | {:>column$}", "^")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// `name`'s nearest neighbour among `known`, if it is near enough to be meant.
pub(super) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let scored = known.into_iter().map(|other| (strsim::damerau_levenshtein(name, other), other));
    let nearest = scored.min_by_key(|(distance, _)| *distance)?;
    (nearest.0 <= 1 + name.len() / 4).then_some(nearest.1)
}
