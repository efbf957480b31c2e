//! JSON in place of TOML: the same tables, each value with its place in the text, so that later
//! steps read either. Does not: define any key.

use super::super::diagnostics::Report;
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// The tables of a JSON text; none if it is invalid, which is reported.
pub(in crate::config) fn read_json<'t>(
    report: &Report<'_>,
    text: &'t str,
) -> Option<Spanned<DeTable<'t>>> {
    // A complete parse first: from here on the text is valid JSON of bounded depth.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        report.add_json_error("not JSON", &error);
        return None;
    }
    let mut reader = Reader { text, at: 0, report, has_gap: false };
    let value = reader.value()?;
    if reader.has_gap {
        return None; // the places of later elements would be wrong
    }
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Some(Spanned::new(span, table)),
        other => {
            let found = other.type_str();
            report.add(span, format!("a configuration must be an object, not {found}"));
            None
        }
    }
}

/// A reader of valid JSON.
struct Reader<'r, 't> {
    text: &'t str,
    at: usize,
    report: &'r Report<'r>,
    /// A list lacks an element that is no value.
    has_gap: bool,
}

impl<'t> Reader<'_, 't> {
    /// The next value; none if it is null or out of range, which is reported.
    fn value(&mut self) -> Option<Spanned<DeValue<'t>>> {
        self.skip_space();
        let start = self.at;
        let value = match self.peek() {
            b'{' => Some(DeValue::Table(self.table())),
            b'[' => Some(DeValue::Array(self.array())),
            b'"' => Some(DeValue::String(self.string())),
            _ => self.word(),
        };
        value.map(|value| Spanned::new(start..self.at, value))
    }

    fn table(&mut self) -> DeTable<'t> {
        let mut table = DeTable::new();
        self.at += 1;
        while self.goes_on(b'}') {
            let start = self.at;
            let name = self.string();
            let key = Spanned::new(start..self.at, name);
            self.skip_space();
            self.at += 1; // the colon
            if table.contains_key(&**key.get_ref()) {
                let message = format!("duplicate key `{}`", key.get_ref().escape_debug());
                self.report.add(key.span(), message);
            }
            if let Some(value) = self.value() {
                table.insert(key, value);
            }
        }
        table
    }

    fn array(&mut self) -> DeArray<'t> {
        let mut array = DeArray::new();
        self.at += 1;
        while self.goes_on(b']') {
            match self.value() {
                Some(value) => array.push(value),
                None => self.has_gap = true,
            }
        }
        array
    }

    /// Goes to the next element; false behind the end.
    fn goes_on(&mut self, end: u8) -> bool {
        self.skip_space();
        if self.peek() == b',' {
            self.at += 1;
            self.skip_space();
        }
        let is_end = self.peek() == end;
        self.at += usize::from(is_end);
        !is_end
    }

    fn string(&mut self) -> Cow<'t, str> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        while bytes[self.at] != b'"' {
            self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        let quoted = &self.text[start..self.at];
        match quoted.contains('\\') {
            true => serde_json::from_str(quoted).map(Cow::Owned).unwrap_or_default(),
            false => Cow::Borrowed(&quoted[1..quoted.len() - 1]),
        }
    }

    /// A number, a truth value or null.
    fn word(&mut self) -> Option<DeValue<'t>> {
        let start = self.at;
        let rest = &self.text[start..];
        let is_end = |character: char| character.is_ascii_whitespace() || ",]}".contains(character);
        self.at += rest.find(is_end).unwrap_or(rest.len());
        let word = &self.text[start..self.at];
        match word {
            "null" => {
                let message =
                    "null is no value: leave it out; a key that is left out has its default";
                self.report.add(start..self.at, message);
                None
            }
            // Truth values and numbers are written as in TOML.
            word => match DeValue::parse(word) {
                Ok(value) => Some(value.into_inner()),
                Err(error) => {
                    self.report.add(start..self.at, error.message());
                    None
                }
            },
        }
    }

    fn skip_space(&mut self) {
        while self.peek().is_ascii_whitespace() {
            self.at += 1;
        }
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }
}
