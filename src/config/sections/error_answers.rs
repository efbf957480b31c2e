//! `[[error_answer]]`: the content of Ringway's own answers. Its keys depend on each other: they
//! are read and printed by hand.

use crate::config::keys::kinds::{count, number, shown, text};
use crate::config::printing::{PrintedKey, PrintedSection};
use crate::config::raw::Section;
use crate::config::{ERROR_ANSWER_BYTES_MAX, ERROR_ANSWER_STATUSES};
use std::path::PathBuf;

/// Content-Type where the user gives none.
const CONTENT_TYPE_DEFAULT: &str = "text/html";

/// `[[error_answer]]`: the content of Ringway's own answer with a status.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorAnswer {
    /// One of [`crate::config::ERROR_ANSWER_STATUSES`].
    pub status: u16,
    /// The Content-Type field.
    pub content_type: String,
    /// The content, at most [`crate::config::ERROR_ANSWER_BYTES_MAX`] bytes.
    pub body: Body,
}

/// The origin of the content of an [`ErrorAnswer`].
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// From the configuration itself.
    Text(String),
    /// From a file, read when the configuration was.
    File {
        /// As written: absolute, or relative to the configuration file.
        path: PathBuf,
        /// Its content.
        bytes: Vec<u8>,
    },
}

impl Body {
    /// The content.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::File { bytes, .. } => bytes,
        }
    }
}

impl ErrorAnswer {
    pub(in crate::config) fn print(&self, index: usize) -> PrintedSection {
        let body = match &self.body {
            Body::Text(body) => PrintedKey::new("body", shown(body)),
            Body::File { path, .. } => PrintedKey::new("file", shown(path.display())),
        };
        let status = PrintedKey::new("status", number(self.status));
        let content_type = PrintedKey::new("content_type", shown(&self.content_type));
        PrintedSection::element("error_answer", index, vec![status, content_type, body])
    }
}

/// Reads every answer.
pub(in crate::config) fn error_answers(sections: Vec<Section<'_>>) -> Vec<ErrorAnswer> {
    let mut answers: Vec<ErrorAnswer> = Vec::new();
    for mut section in sections {
        let status = status(&mut section, &answers);
        let content_type = text(parse_content_type).read(&mut section, "content_type");
        let content_type = content_type.unwrap_or_else(|| CONTENT_TYPE_DEFAULT.to_owned());
        let body = body(&mut section);
        if let (Some(status), Some(body)) = (status, body) {
            answers.push(ErrorAnswer { status, content_type, body });
        }
        section.finish();
    }
    answers
}

fn status(section: &mut Section<'_>, earlier: &[ErrorAnswer]) -> Option<u16> {
    section.require("status");
    let status = count(100..=599).read(section, "status")?;
    let (report, span) = (section.report(), section.value_span("status"));
    if !ERROR_ANSWER_STATUSES.contains(&status) {
        let known: Vec<String> = ERROR_ANSWER_STATUSES.iter().map(u16::to_string).collect();
        let message = format!("Ringway itself never answers with {status}");
        report.add_with_help(span, message, format!("it does with {}", known.join(", ")));
        return None;
    }
    if earlier.iter().any(|answer| answer.status == status) {
        report.add(span, format!("duplicate answer for {status}: remove one"));
        return None;
    }
    Some(status)
}

fn parse_content_type(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if printable && text.contains('/') && text.trim() == text {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is not a media type: write it like \"text/html\"", text.escape_debug()))
}

fn body(section: &mut Section<'_>) -> Option<Body> {
    let report = section.report();
    let (body, span) = match (section.text("body"), section.text("file")) {
        (Some(text), None) => (Body::Text(text.value.to_owned()), text.span),
        (None, Some(file)) => {
            let path = PathBuf::from(file.value);
            let bytes = report.checked(file.span.clone(), section.load(&path))?;
            (Body::File { path, bytes }, file.span)
        }
        (Some(_), Some(file)) => {
            report.add(file.span, "both `body` and `file`: remove one");
            return None;
        }
        (None, None) => {
            if !section.has("body") && !section.has("file") {
                report.add(section.span.clone(), "`body` or `file` is missing here");
            }
            return None;
        }
    };
    let length = body.bytes().len();
    if length > ERROR_ANSWER_BYTES_MAX {
        let message = format!(
            "the content has {length} bytes: at most {ERROR_ANSWER_BYTES_MAX}, so that it \
             is sent with its head in one piece"
        );
        report.add(span, message);
        return None;
    }
    Some(body)
}
