//! The configuration in force, as a file that says the same.

use super::units::{format_duration, format_size};
use super::{Config, HalfClose, Shards, Steering};
use crate::access_log::{Destination, Format};
use crate::http1::UnderscoreNames;
use std::fmt::{self, Write};

impl Config {
    /// TOML with every key written out; reading it gives the same configuration.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        write_all(self, &mut out).expect("a String takes all");
        out
    }
}

fn write_all(config: &Config, out: &mut String) -> fmt::Result {
    write_runtime(config, out)?;
    write_timeouts(config, out)?;
    write_http(config, out)?;
    for answer in &config.error_answers {
        writeln!(out, "\n[[error_answer]]\nstatus = {}", answer.status)?;
        writeln!(out, "content_type = {}", quoted(&answer.content_type))?;
        writeln!(out, "body = {}", quoted(&String::from_utf8_lossy(&answer.body)))?;
    }
    if let Some(log) = &config.access_log {
        let path = match &log.destination {
            Destination::Stdout => "stdout".to_owned(),
            Destination::File(path) => path.display().to_string(),
        };
        let format = match log.format {
            Format::Json => "json",
            Format::Common => "common",
        };
        writeln!(out, "\n[access_log]\npath = {}", quoted(&path))?;
        writeln!(out, "format = \"{format}\"\nqueue = {}", log.queue)?;
    }
    write_routing(config, out)
}

fn write_runtime(config: &Config, out: &mut String) -> fmt::Result {
    let runtime = &config.runtime;
    writeln!(out, "[runtime]\nshards = {}", quoted(&runtime.shards.to_string()))?;
    writeln!(out, "buffer_size = \"{}\"", format_size(runtime.buffer_size as u64))?;
    writeln!(out, "buffers_per_shard = {}", runtime.buffers_per_shard)?;
    writeln!(out, "ring_entries = {}", runtime.ring_entries)?;
    writeln!(out, "max_connections = {}", runtime.max_connections)?;
    writeln!(out, "max_connections_per_client = {}", runtime.max_connections_per_client)?;
    writeln!(out, "backlog = {}", runtime.backlog)
}

fn write_timeouts(config: &Config, out: &mut String) -> fmt::Result {
    let timeouts = &config.timeouts;
    writeln!(out, "\n[timeouts]")?;
    for (key, value) in [
        ("connect", timeouts.connect),
        ("request_head", timeouts.request_head),
        ("idle", timeouts.idle),
        ("between_bytes", timeouts.between_bytes),
        ("tunnel", timeouts.tunnel),
        ("drain", timeouts.drain),
    ] {
        writeln!(out, "{key} = \"{}\"", format_duration(value))?;
    }
    Ok(())
}

fn write_http(config: &Config, out: &mut String) -> fmt::Result {
    let http = &config.http;
    let names = match http.underscore_names {
        UnderscoreNames::Drop => "drop",
        UnderscoreNames::Reject => "reject",
        UnderscoreNames::Allow => "allow",
    };
    let half_close = match http.half_close {
        HalfClose::Allow => "allow",
        HalfClose::Abort => "abort",
    };
    let proxies: Vec<String> = http.trusted_proxies.iter().map(|n| quoted(&n.to_string())).collect();
    let protocols: Vec<String> = http.upgrade_protocols.iter().map(|name| quoted(name)).collect();
    writeln!(out, "\n[http]\nunderscore_names = \"{names}\"")?;
    writeln!(out, "via = {}", quoted(&http.via))?;
    writeln!(out, "trusted_proxies = [{}]", proxies.join(", "))?;
    writeln!(out, "upgrade_protocols = [{}]", protocols.join(", "))?;
    writeln!(out, "allow_connect = {}", http.allow_connect)?;
    writeln!(out, "half_close = \"{half_close}\"")?;
    writeln!(out, "head_bytes_max = \"{}\"", format_size(http.head_bytes_max as u64))?;
    let body_max = http.request_body_max.unwrap_or(0);
    writeln!(out, "request_body_max = \"{}\"", format_size(body_max))
}

fn write_routing(config: &Config, out: &mut String) -> fmt::Result {
    for listener in &config.listeners {
        let steering = match listener.steering {
            Steering::Hash => "hash",
            Steering::Cpu => "cpu",
        };
        writeln!(out, "\n[[listener]]\nname = {}", quoted(&listener.name))?;
        writeln!(out, "address = \"{}\"\nprotocol = \"http\"", listener.address)?;
        writeln!(out, "steering = \"{steering}\"")?;
    }
    for route in &config.routes {
        writeln!(out, "\n[[route]]")?;
        for (key, value) in [("listener", &route.listener), ("host", &route.host)] {
            if let Some(value) = value {
                writeln!(out, "{key} = {}", quoted(value))?;
            }
        }
        writeln!(out, "path = {}\npool = {}", quoted(&route.path), quoted(&route.pool))?;
    }
    for pool in &config.pools {
        let name = quoted(&pool.name);
        writeln!(out, "\n[pool.{name}]\nalgorithm = \"{}\"", pool.algorithm)?;
        writeln!(out, "idle_connections = {}", pool.idle_connections)?;
        for backend in &pool.backends {
            writeln!(out, "\n[[pool.{name}.backend]]\naddress = \"{}\"", backend.address)?;
            writeln!(out, "weight = {}", backend.weight)?;
        }
    }
    Ok(())
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Cores(cores) => {
                // A list of one core must not read as a number of shards.
                let list: Vec<String> = cores.iter().map(|core| format!("{core}-{core}")).collect();
                f.write_str(&list.join(","))
            }
        }
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
