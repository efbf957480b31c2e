//! Columns of a table by their importance: whole as long as there is room, else left out.

use ratatui::layout::Constraint;
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Cell, Row, Table};

/// Cells between two columns.
const GAP: usize = 2;
/// Least cells of a column that takes the rest.
const REST_MIN: usize = 12;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// The lowest is the last to be left out.
    pub(super) rank: u8,
    pub(super) kind: Kind,
}

/// The content of a column, which determines its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As wide as its widest cell.
    Text,
    /// The same, and flush right.
    Number,
    /// The rest of the width.
    Rest,
}

/// The table of these rows, a cell for each column, in this width of the terminal, cells.
pub(super) fn table(
    columns: &[Column],
    rows: Vec<(Vec<String>, Vec<Style>)>,
    width: u16,
) -> Table<'static> {
    let widest = |at: usize| {
        let cells = rows.iter().map(|(cells, _)| cells[at].chars().count());
        cells.max().unwrap_or(0).max(columns[at].name.len())
    };
    let widths: Vec<usize> = (0..columns.len()).map(widest).collect();
    let shown = fitting(columns, &widths, width.into());
    let cell = |at: usize, text: &str| match columns[at].kind {
        Kind::Number => format!("{text:>width$}", width = widths[at]),
        Kind::Text | Kind::Rest => text.to_owned(),
    };
    let constraint = |at: &usize| match columns[*at].kind {
        Kind::Rest => Constraint::Fill(1),
        Kind::Text | Kind::Number => Constraint::Length(widths[*at] as u16),
    };
    let heading = shown.iter().map(|at| cell(*at, columns[*at].name));
    let heading = Row::new(heading).style(Style::new().add_modifier(Modifier::REVERSED));
    let row = |(cells, styles): &(Vec<String>, Vec<Style>)| {
        let styled = |at: &usize| Cell::from(cell(*at, &cells[*at])).style(styles[*at]);
        Row::new(shown.iter().map(styled).collect::<Vec<_>>())
    };
    let rows: Vec<Row<'static>> = rows.iter().map(row).collect();
    Table::new(rows, shown.iter().map(constraint)).header(heading).column_spacing(GAP as u16)
}

/// The columns that there is room for, in their order; the most important one in any case.
fn fitting(columns: &[Column], widths: &[usize], width: usize) -> Vec<usize> {
    let mut by_rank: Vec<usize> = (0..columns.len()).collect();
    by_rank.sort_by_key(|at| columns[*at].rank);
    let (mut shown, mut used) = (Vec::new(), 0);
    for at in by_rank {
        let wanted = match columns[at].kind {
            Kind::Rest => widths[at].min(REST_MIN),
            Kind::Text | Kind::Number => widths[at],
        };
        let gap = if shown.is_empty() { 0 } else { GAP };
        if shown.is_empty() || used + gap + wanted <= width {
            used += gap + wanted;
            shown.push(at);
        }
    }
    shown.sort_unstable();
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_is_left_out_first_and_nothing_is_cut() {
        let column = |name, rank, kind| Column { name, rank, kind };
        let columns = [
            column("POOL", 2, Kind::Text),
            column("BACKEND", 0, Kind::Text),
            column("STATE", 1, Kind::Text),
            column("WHY", 3, Kind::Rest),
        ];
        let widths = [10, 20, 8, 60];
        assert_eq!(fitting(&columns, &widths, 56), [0, 1, 2, 3]);
        assert_eq!(fitting(&columns, &widths, 55), [0, 1, 2]);
        assert_eq!(fitting(&columns, &widths, 41), [1, 2]);
        assert_eq!(fitting(&columns, &widths, 29), [1]);
        assert_eq!(fitting(&columns, &widths, 5), [1], "one is always there");
    }
}
