//! `ringway which`: the backend that a key goes to, in the running process or by a file.

use super::client::Client;
use super::{Access, answer, escaped};
use crate::cli::Failed;
use crate::cli::load::read_config;
use clap::Args;
use ringway::base::BackendSlot;
use ringway::config::units::closest;
use ringway::config::{Config, Pool};
use ringway::snapshot::{self, Hashing};
use ringway::sys::file;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

pub(super) const EXAMPLES: &str = "\
Examples:
  ringway which --pool app --key 192.0.2.7
  ringway which --pool app --key /cart --config /etc/ringway/ringway.toml";

/// A key of a pool.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Keyed {
    /// The pool.
    #[arg(long, value_name = "POOL")]
    pool: String,
    /// The key, of the kind in `hash_key`.
    ///
    /// An address of a client (with its port for client-port), a host, a path, or the value of a
    /// field, cookie or parameter.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// By this configuration file, without asking the process.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Asks the process, or looks into a file.
pub(super) fn execute(access: &Access, keyed: &Keyed, out: &mut dyn Write) -> Result<(), Failed> {
    let Keyed { pool, key, config } = keyed;
    let Some(config) = config else {
        let query = format!("/which?pool={}&key={}", escaped(pool), escaped(key));
        return answer(access, Client::new(&access.admin)?.get(&query)?, out, show);
    };
    let (config, _) = read_config(config, file::read)?;
    let found = of_file(&config, pool, key).map_err(|error| Failed::Error(error.into()))?;
    match access.json {
        true => writeln!(out, "{found:#}")?,
        false => show(&found, out)?,
    }
    Ok(())
}

fn of_file(config: &Config, name: &str, key: &str) -> Result<Value, String> {
    let pool = config.pools.iter().find(|pool| pool.name == name).ok_or_else(|| {
        let close = closest(name, config.pools.iter().map(|pool| pool.name.as_str()));
        let hint = close.map(|close| format!(": did you mean `{close}`?")).unwrap_or_default();
        format!("there is no pool `{name}`{hint}")
    })?;
    if !pool.names.is_empty() || pool.backends_file.is_some() {
        return Err(format!(
            "backends of pool `{name}` come from names or another file: ask the process, without \
             --config"
        ));
    }
    let (hashing, backends) = table(pool).ok_or_else(|| {
        format!("pool `{name}` has algorithm = \"{}\", not \"hash\"", pool.algorithm)
    })?;
    let places = hashing.places_of(hashing.text_key(key)?, &backends);
    let [owner, backend] = places.map_or([None, None], |places| places.map(Some));
    Ok(json!({
        "pool": name,
        "hash_key": hashing.key.to_string(),
        "key": key,
        "owner": owner,
        "backend": backend,
        "hash_table": hashing.digest(),
    }))
}

/// The table of a pool, and its backends, all of them healthy.
fn table(pool: &Pool) -> Option<(Arc<Hashing>, Vec<snapshot::Backend>)> {
    let backends = pool.backends.iter().enumerate().map(|(at, backend)| snapshot::Backend {
        slot: BackendSlot(at as u32),
        address: backend.address,
        weight: backend.weight,
    });
    let backends: Vec<snapshot::Backend> = backends.collect();
    let all = backends.iter().map(|backend| (backend.slot, backend.address, backend.weight));
    let hashing = snapshot::build_hashing(pool, all, None)?;
    let fit = backends.into_iter().filter(|backend| backend.weight > 0).collect();
    Some((hashing, fit))
}

fn show(found: &Value, out: &mut dyn Write) -> io::Result<()> {
    let text = |key: &str| found[key].as_str().unwrap_or("none").to_owned();
    let (owner, backend) = (text("owner"), text("backend"));
    writeln!(out, "key      {} {}", text("hash_key"), text("key"))?;
    writeln!(out, "backend  {backend}")?;
    if owner != backend {
        let why = found["owner_is"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
        writeln!(out, "  it belongs to {owner}, which does not take it now{why}")?;
    }
    writeln!(out, "table    {}", text("hash_table"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway::config::TextFormat;

    const TEXT: &str = "
[[listener]]
name = \"web\"
address = \"127.0.0.1:0\"
[pool.app]
algorithm = \"hash\"
hash_key = \"path\"
[[pool.app.backend]]
address = \"10.0.0.1:80\"
[[pool.app.backend]]
address = \"10.0.0.2:80\"
";

    fn config(text: &str) -> Config {
        let parsed = Config::parse_as(TextFormat::Toml, text, "test", &|_| {
            Err(io::ErrorKind::NotFound.into())
        });
        parsed.map(|(config, _)| config).expect("it is well")
    }

    #[test]
    fn a_file_says_where_a_key_goes_whatever_the_order_of_its_backends() {
        let turned = TEXT.replace("0.1:80", "0.3:80").replace("0.2:80", "0.1:80");
        let turned = turned.replace("0.3:80", "0.2:80");
        let (one, other) = (config(TEXT), config(&turned));
        let found = |number: u32| {
            let key = format!("/{number}");
            let found = of_file(&one, "app", &key).expect("a key");
            assert_eq!(Ok(&found), of_file(&other, "app", &key).as_ref(), "{key}");
            found["backend"].clone()
        };
        let all: Vec<Value> = (0..50).map(found).collect();
        assert!(all.contains(&json!("10.0.0.1:80")) && all.contains(&json!("10.0.0.2:80")));
    }

    #[test]
    fn what_has_no_answer_says_why() {
        for (text, pool, part) in [
            (TEXT.to_owned(), "ap", "did you mean `app`?"),
            (TEXT.replace("\"hash\"", "\"random\""), "app", "algorithm = \"random\""),
            (TEXT.replace("10.0.0.2:80", "app.test:80"), "app", "ask the process"),
            (TEXT.replace("\"path\"", "\"client\""), "app", "address of a client"),
        ] {
            let error = of_file(&config(&text), pool, "/").expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }
}
