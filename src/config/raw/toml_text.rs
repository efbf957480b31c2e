//! The tables of a TOML text. Errors of an invalid text are bounded, in time and in memory: they
//! are gathered only around the first one. Does not: define any key.

use super::super::diagnostics::Report;
use super::super::foreign;
use toml::Spanned;
use toml::de::DeTable;

/// Bytes after the first error in which further errors are searched.
const LOOKED_AT: usize = 64 * 1024;

/// The tables of a text; none if it is no TOML, which is reported.
pub(in crate::config) fn read_toml<'t>(
    report: &Report<'_>,
    text: &'t str,
) -> Option<Spanned<DeTable<'t>>> {
    let error = match DeTable::parse(text) {
        Ok(table) => return Some(table),
        Err(error) => error,
    };
    let first = error.span().unwrap_or(0..0);
    if let Some(found) = foreign::guess(text, first.start) {
        report.add_with_help(found.span, found.message, found.help);
        return None;
    }
    let end = end_of_line(text, first.end.saturating_add(LOOKED_AT));
    let is_cut = end < text.len();
    let (_, errors) = DeTable::parse_recoverable(&text[..end]);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        // A bracket that is not closed before the cut may be closed after it.
        if span == first || !is_cut || span.end < end {
            report.add(span, error.message());
        }
    }
    if is_cut {
        report.add(end..end, "from here on nothing was read: mend what is above first");
    }
    None
}

/// The end of the line at a place; the place itself if the line is long.
fn end_of_line(text: &str, at: usize) -> usize {
    let at = (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let rest = text.as_bytes()[at..].iter().take(LOOKED_AT);
    rest.into_iter().position(|byte| *byte == b'\n').map_or(at, |length| at + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TextFormat;

    #[test]
    fn of_a_long_text_that_is_wrong_throughout_only_a_part_is_looked_at() {
        let good = "a = 1 # ".to_owned() + &"x".repeat(100_000) + "\n";
        for wrong in ["a b\n", "a=\n", "]", "[[[", "a = \"\n"] {
            let text = good.clone() + &wrong.repeat(1 << 20);
            let report = Report::new(&text, TextFormat::Toml);
            assert!(read_toml(&report, &text).is_none());
            let found = report.finish("test.toml").expect_err("it is wrong");
            assert_eq!(found.problems[0].line, 2, "{wrong}");
            let all = found.problems.len() + found.more;
            assert!(all <= 2 * LOOKED_AT, "{wrong}: {all} of {}", text.len() / wrong.len());
        }
    }

    #[test]
    fn what_is_open_where_the_text_is_cut_is_no_error() {
        let open = format!("b = [\n{}\n]\n", "1,\n".repeat(LOOKED_AT));
        let text = format!("a b\n{open}");
        let report = Report::new(&text, TextFormat::Toml);
        assert!(read_toml(&report, &text).is_none());
        let found = report.finish("test.toml").expect_err("the first line is wrong").problems;
        let [first, cut] = &found[..] else { panic!("{found:?}") };
        assert_eq!(first.line, 1);
        assert!(cut.message.starts_with("from here on nothing was read"), "{cut:?}");
    }
}
