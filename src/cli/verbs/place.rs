//! The backends that an order names. Does not: give the order.

use super::client::Client;
use crate::cli::Failed;
use clap::Args;
use ringway::config::BackendEntry;
use ringway::config::units::closest;
use ringway::config::values::parse_service_name;
use ringway::config::values::{parse_address, parse_backend_entry, parse_host_name};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// A backend of a pool.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Place {
    /// The pool; that of `ringway run --backend …` is called default.
    pub(super) pool: String,
    /// IP:PORT, or a name as in the configuration, NAME:PORT: every address that it stands for.
    #[arg(value_parser = parse_target)]
    pub(super) address: Target,
}

/// A backend of a pool, or of all pools.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Places {
    /// The pool; that of `ringway run --backend …` is called default.
    #[arg(required_unless_present = "all")]
    pool: Option<String>,
    /// IP:PORT, or a name as in the configuration, NAME:PORT: every address that it stands for.
    #[arg(value_parser = parse_target, required_unless_present = "all")]
    address: Option<Target>,
    /// In all pools, in place of POOL and ADDRESS. Without a port: every port of this host.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_everywhere,
          conflicts_with_all = ["pool", "address"])]
    all: Option<Target>,
}

/// The form in which an operator names backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Target {
    /// One.
    Address(SocketAddr),
    /// The backends of a name, as written in the configuration.
    Name(String),
    /// All backends of a machine.
    Host(IpAddr),
    /// The backends of a name, on every port.
    HostName(String),
}

/// A backend that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pool: String,
    pub(super) address: String,
}

fn parse_target(text: &str) -> Result<Target, String> {
    if text.starts_with('_')
        && let Ok(name) = parse_service_name(text)
    {
        return Ok(Target::Name(name));
    }
    if text.contains('*') {
        return parse_address(text).map(Target::Address); // which says what it is instead
    }
    Ok(match parse_backend_entry(text)? {
        BackendEntry::Address(backend) => Target::Address(backend.address),
        BackendEntry::Name(name) => Target::Name(name.lookup.to_string()),
    })
}

fn parse_everywhere(text: &str) -> Result<Target, String> {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(Target::Host(ip));
    }
    match text.contains(':') || text.starts_with('_') {
        true => parse_target(text),
        false => parse_host_name(text).map(Target::HostName),
    }
}

impl Target {
    fn is(&self, backend: &Value) -> bool {
        let address = backend["address"].as_str().unwrap_or_default();
        let name = backend["source"].as_str().and_then(|source| source.strip_prefix("dns:"));
        match self {
            Self::Address(wanted) => wanted.to_string() == address,
            Self::Name(wanted) => name == Some(wanted),
            Self::Host(wanted) => address.parse().is_ok_and(|a: SocketAddr| a.ip() == *wanted),
            Self::HostName(wanted) => {
                name.and_then(|name| name.rsplit_once(':')).is_some_and(|(host, _)| host == wanted)
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Host(ip) => ip.to_string(),
            Self::Name(name) | Self::HostName(name) => name.clone(),
        }
    }
}

impl From<Place> for Places {
    fn from(place: Place) -> Self {
        Self { pool: Some(place.pool), address: Some(place.address), all: None }
    }
}

impl Places {
    /// True if there may be several.
    pub(super) fn may_be_many(&self) -> bool {
        !matches!((&self.address, &self.all), (Some(Target::Address(_)), None))
    }

    /// The named backends. One that is given by its address is not looked up: the process reports
    /// if it does not exist.
    pub(super) fn find(&self, client: &Client) -> Result<Vec<Found>, Failed> {
        if let (Some(pool), Some(Target::Address(address))) = (&self.pool, &self.address) {
            return Ok(vec![Found { pool: pool.clone(), address: address.to_string() }]);
        }
        let pools = client.get("/pools")?.checked()?.filtered(self.pool.as_deref())?.value;
        let Some(target) = self.address.as_ref().or(self.all.as_ref()) else {
            return Ok(Vec::new());
        };
        let found = backends(&pools).filter(|(_, backend)| target.is(backend));
        let found: Vec<Found> = found
            .map(|(pool, backend)| Found {
                pool: pool.to_owned(),
                address: backend["address"].as_str().unwrap_or_default().to_owned(),
            })
            .collect();
        if found.is_empty() {
            return Err(Failed::Error(self.absence(target, &pools).into()));
        }
        Ok(found)
    }

    fn absence(&self, target: &Target, pools: &Value) -> String {
        let text = target.text();
        let known = backends(pools).flat_map(|(_, backend)| {
            let name = backend["source"].as_str().and_then(|source| source.strip_prefix("dns:"));
            [name, backend["address"].as_str()]
        });
        let known: Vec<&str> = known.flatten().collect();
        let place = match &self.pool {
            Some(pool) => format!("pool `{pool}`"),
            None => "any pool".to_owned(),
        };
        match closest(&text, known.into_iter()) {
            Some(close) => {
                format!("there is no backend `{text}` in {place}: did you mean `{close}`?")
            }
            None => {
                format!("there is no backend `{text}` in {place}; `ringway backend list` shows all")
            }
        }
    }
}

/// Each backend, with the name of its pool.
fn backends(pools: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let pools = pools.as_array().into_iter().flatten();
    pools.flat_map(|pool| {
        let name = pool["name"].as_str().unwrap_or_default();
        let backends = pool["backends"].as_array().into_iter().flatten();
        backends.map(move |backend| (name, backend))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn backends_are_called_as_in_the_configuration() {
        let of = |address: &str, source: &str| json!({ "address": address, "source": source });
        let plain = of("10.0.0.1:80", "config");
        let named = of("10.0.0.2:80", "dns:app.local:80");
        let service = of("10.0.0.3:81", "dns:_http._tcp.app.local");
        for (text, is_everywhere, hits) in [
            ("10.0.0.1:80", false, [true, false, false]),
            ("app.local:80", false, [false, true, false]),
            ("APP.local:80", false, [false, true, false]),
            ("app.local:81", false, [false, false, false]),
            ("_http._tcp.app.local", false, [false, false, true]),
            ("10.0.0.1", true, [true, false, false]),
            ("app.local", true, [false, true, false]),
            ("app.local:80", true, [false, true, false]),
        ] {
            let parse = if is_everywhere { parse_everywhere } else { parse_target };
            let target = parse(text).expect(text);
            assert_eq!(
                [&plain, &named, &service].map(|backend| target.is(backend)),
                hits,
                "{text}"
            );
        }
        for (text, part) in [
            ("somewhere", "has no port: write \"somewhere:8080\""),
            ("10.0.0.1", "has no port: write \"10.0.0.1:8080\""),
            ("10.0.0.1:x", "is not a port"),
            ("10.0.0.1:80*2", "10.0.0.1"),
        ] {
            let error = parse_target(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
