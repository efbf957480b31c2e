//! Plain text tables: columns aligned, numbers with three digits that count. Knows no proxy.

/// A header and rows of as many cells.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows yet.
    pub fn new(header: Vec<String>) -> Table {
        Table { rows: vec![header] }
    }

    /// Adds a row at the end.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The text: the first column to the left, numbers to the right, no space at the ends.
    pub fn render(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    line.push_str(&format!("{cell:<width$}"));
                } else {
                    line.push_str(&format!("  {cell:>width$}"));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

/// What stands where there is no number.
pub const MISSING: &str = "-";

/// A number with about three digits that count.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => MISSING.to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let cells = |row: [&str; 3]| row.map(str::to_owned).to_vec();
        let mut table = Table::new(cells(["proxy", "µs", "ratio"]));
        table.push(cells(["ringway", "7.21", "1.00"]));
        table.push(cells(["nginx", "12.3", "-"]));
        assert_eq!(
            table.render(),
            "proxy      µs  ratio\n\
             ringway  7.21   1.00\n\
             nginx    12.3      -\n"
        );
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        let texts = [1234.6, 12.34, 1.234, 0.0].map(|value| number(Some(value)));
        assert_eq!(texts, ["1235", "12.3", "1.23", "0.00"]);
        assert_eq!(number(None), MISSING);
    }
}
