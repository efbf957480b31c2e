//! `ringway config dump`

use super::Failure;
use super::arguments::{Config, ConfigAction, Source};
use super::load::load;
use std::io::Write;
use std::process::ExitCode;

/// Flags that stand for a key of the configuration, and their environment variables.
const FLAGS: [(&str, &str); 6] = [
    ("runtime.shards", "RINGWAY_SHARDS"),
    ("runtime.buffer_size", "RINGWAY_BUFFER_SIZE"),
    ("runtime.buffers_per_shard", "RINGWAY_BUFFERS_PER_SHARD"),
    ("runtime.ring_entries", "RINGWAY_RING_ENTRIES"),
    ("runtime.max_connections", "RINGWAY_MAX_CONNECTIONS"),
    ("access_log.path", "RINGWAY_ACCESS_LOG"),
];

/// Prints the configuration that would be in force.
pub(crate) fn dump(arguments: &Config, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let ConfigAction::Dump = arguments.action;
    let text = load(&arguments.source)?.to_toml();
    if !arguments.json {
        write!(out, "{text}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let table: toml::Table = text.parse()?;
    let value = serde_json::to_value(&table)?;
    let origins = origins(&arguments.source, &table)?;
    writeln!(out, "{:#}", serde_json::json!({ "config": value, "origin": origins }))?;
    Ok(ExitCode::SUCCESS)
}

/// Where each value comes from: flag, environment, file or default.
fn origins(
    source: &Source,
    effective: &toml::Table,
) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    let file: toml::Table = match &source.config {
        Some(file) => std::fs::read_to_string(file)?.parse()?,
        None => toml::Table::new(),
    };
    let mut origins = serde_json::Map::new();
    for (section, value) in effective {
        let keys: Vec<&str> = match value.as_table() {
            Some(table) if section != "pool" => table.keys().map(String::as_str).collect(),
            _ => vec![""],
        };
        for key in keys {
            let path = if key.is_empty() { section.clone() } else { format!("{section}.{key}") };
            let origin = origin(source, &file, &path, section, key);
            origins.insert(path, origin.into());
        }
    }
    Ok(origins)
}

fn origin(source: &Source, file: &toml::Table, path: &str, section: &str, key: &str) -> &'static str {
    let given = [
        source.shards.is_some(),
        source.buffer_size.is_some(),
        source.buffers_per_shard.is_some(),
        source.ring_entries.is_some(),
        source.max_connections.is_some(),
        source.access_log.is_some(),
    ];
    let flag = FLAGS.iter().zip(given).find(|((name, _), given)| *given && *name == path);
    if let Some(((_, variable), _)) = flag {
        // clap fills in the environment only where there is no flag.
        let flag = format!("--{}", variable.trim_start_matches("RINGWAY_").to_lowercase());
        let flag = flag.replace('_', "-");
        let is_flag = std::env::args().any(|a| a == flag || a.starts_with(&format!("{flag}=")));
        return if is_flag { "flag" } else { "environment" };
    }
    let in_file = match (file.get(section), key) {
        (Some(_), "") => true,
        (Some(table), key) => table.get(key).is_some(),
        (None, _) => false,
    };
    match section {
        _ if in_file => "file",
        "listener" | "route" | "pool" if source.config.is_none() => "flag",
        _ => "default",
    }
}
