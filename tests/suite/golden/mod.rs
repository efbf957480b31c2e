//! Tables of numbers that nobody can check by heart, committed as text: a change shows as a
//! difference, and whoever makes it says why. `RINGWAY_GOLDEN=write` writes them anew.

mod balance;
mod hash;

use std::path::Path;

/// Compares a table with the committed one, or writes it.
fn compare(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/golden").join(name);
    if std::env::var("RINGWAY_GOLDEN").is_ok_and(|what| what == "write") {
        std::fs::write(&path, table).expect("the table can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the table is there");
    let lines = golden.lines().zip(table.lines()).filter(|(golden, now)| golden != now);
    let changed: Vec<String> =
        lines.map(|(golden, now)| format!("- {golden}\n+ {now}")).take(40).collect();
    assert!(
        golden == table,
        "{name} has changed; if that is meant, RINGWAY_GOLDEN=write writes it anew:\n{}",
        changed.join("\n")
    );
}
