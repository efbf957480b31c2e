//! Writes a run to files: the raw rows as JSON, or a folder with everything about it.

use crate::arguments::Arguments;
use crate::measurement::Measurement;
use crate::provenance::Provenance;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Counts up when the meaning of a field changes.
const FORMAT: u32 = 1;

/// An error if a result could not be written later, when the work is done.
pub fn check_destinations(arguments: &Arguments) -> Result<()> {
    if let Some(folder) = &arguments.record {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    if let Some(file) = &arguments.json {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            bail!("there is no folder for {}", file.display());
        }
    }
    Ok(())
}

/// Everything measured, as one JSON object.
pub fn to_json(
    provenance: &Provenance,
    arguments: &Arguments,
    measurements: &[Measurement],
) -> Value {
    let facts = provenance.facts.iter().map(|(what, value)| (what.clone(), json!(value)));
    json!({
        "format": FORMAT,
        "date": provenance.date,
        "machine": provenance.machine,
        "command": provenance.command,
        "facts": facts.collect::<Map<_, _>>(),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "proxy_core": arguments.proxy_core,
        "load_core": arguments.load_core,
        "measurements": measurements.iter().map(Measurement::to_json).collect::<Vec<_>>(),
    })
}

/// Writes one JSON object to a file.
pub fn write_json(path: &Path, value: &Value) -> Result<()> {
    write(path, &format!("{value:#}\n"))
}

/// Makes `<date>-<machine>` in `folder` with README.md, raw.json and summary.txt, and returns it.
pub fn write_folder(
    folder: &Path,
    provenance: &Provenance,
    raw: &Value,
    summary: &str,
) -> Result<PathBuf> {
    let made = create_new(folder, &format!("{}-{}", provenance.date, provenance.machine))?;
    write(&made.join("README.md"), &readme(provenance))?;
    write_json(&made.join("raw.json"), raw)?;
    write(&made.join("summary.txt"), summary)?;
    Ok(made)
}

/// A second run of one day gets a number; nothing is ever overwritten.
fn create_new(folder: &Path, name: &str) -> Result<PathBuf> {
    let mut path = folder.join(name);
    let mut number = 1;
    while path.exists() {
        number += 1;
        path = folder.join(format!("{name}-{number}"));
    }
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

fn readme(provenance: &Provenance) -> String {
    let Provenance { date, machine, command, facts } = provenance;
    let mut text = format!("# Comparison of {date} on {machine}\n\n    {command}\n\n");
    for (what, value) in facts {
        text.push_str(&format!("- {what}: {value}\n"));
    }
    text.push_str(
        "\n`summary.txt` has the tables, `raw.json` every measurement. What is measured, how to \
         read\nit and its limits: README.md of `benches/compare`.\n",
    );
    text
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::TemporaryFolder;

    fn provenance() -> Provenance {
        Provenance {
            date: "2026-01-31".to_owned(),
            machine: "edge-7".to_owned(),
            command: "cargo run".to_owned(),
            facts: vec![("kernel".to_owned(), "6.1".to_owned())],
        }
    }

    #[test]
    fn the_readme_says_where_and_how() {
        let text = readme(&provenance());
        assert!(text.starts_with("# Comparison of 2026-01-31 on edge-7\n\n    cargo run\n"));
        assert!(text.contains("- kernel: 6.1\n"));
    }

    #[test]
    fn a_second_run_of_a_day_has_a_folder_of_its_own() {
        let folder = TemporaryFolder::create().unwrap();
        let folder = folder.create_inside("runs").unwrap();
        let write = || write_folder(&folder, &provenance(), &json!({}), "").unwrap();
        assert!(write().ends_with("2026-01-31-edge-7"));
        assert!(write().ends_with("2026-01-31-edge-7-2"));
    }
}
