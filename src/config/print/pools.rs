//! `[pool.NAME]` with its probes, ejection and backends. A probe has the keys that go with its
//! protocol, no others.

use super::{PrintedSection, count, duration, number, optional_path, text};
use crate::config::backend::Lookup;
use crate::config::model::Pool;
use crate::config::probing::{HttpProbe, Probe, ProbeKind, TlsProbe};
use crate::health::EjectionRules;
use std::ops::RangeInclusive;
use toml::{Table, Value};

type Values = Vec<(&'static str, Value)>;

pub(super) fn sections(pool: &Pool) -> Vec<PrintedSection> {
    let path = format!("pool.{}", pool.name);
    let mut sections = vec![
        PrintedSection::table(&path, pool_values(pool)),
        PrintedSection::table(format!("{path}.health"), probe_values(&pool.health)),
    ];
    sections.extend(pool.readiness.as_ref().map(|readiness| {
        PrintedSection::table(format!("{path}.readiness"), probe_values(readiness))
    }));
    let ejection = ejection_values(&pool.ejection);
    sections.push(PrintedSection::table(format!("{path}.ejection"), ejection));
    let addresses = pool.backends.iter().map(|backend| {
        vec![("address", text(backend.address)), ("weight", number(backend.weight))]
    });
    let names = pool.names.iter().map(|name| {
        let key = match name.lookup {
            Lookup::Address { .. } => "address",
            Lookup::Service { .. } => "srv",
        };
        vec![(key, text(&name.lookup)), ("weight", number(name.weight))]
    });
    let array = format!("{path}.backend");
    let backends = addresses.chain(names).enumerate();
    sections.extend(backends.map(|(index, values)| PrintedSection::element(&array, index, values)));
    sections
}

fn pool_values(pool: &Pool) -> Values {
    vec![
        ("algorithm", text(pool.algorithm)),
        ("idle_connections", count(pool.idle_connections)),
        ("retry_budget_percent", number(pool.retry_budget_percent)),
        ("slow_start", duration(pool.slow_start.window)),
        ("slow_start_aggression", Value::Float(pool.slow_start.aggression)),
        ("no_healthy", text(pool.no_healthy)),
        ("drain_timeout", duration(pool.drain_timeout)),
        ("required", Value::Boolean(pool.required)),
        ("min_ready", count(pool.min_ready)),
        ("backends_file", optional_path(pool.backends_file.as_ref())),
    ]
}

fn probe_values(probe: &Probe) -> Values {
    let mut values = vec![("protocol", text(probe.kind.protocol()))];
    values.extend(kind_values(&probe.kind));
    let rules = &probe.rules;
    values.extend([
        ("port", number(probe.port.unwrap_or(0).into())),
        ("proxy_protocol", text(probe.proxy_protocol)),
        ("interval", duration(rules.interval)),
        ("timeout", duration(rules.timeout)),
        ("rise", number(rules.rise)),
        ("fall", number(rules.fall)),
        ("jitter_percent", number(rules.jitter_percent)),
        ("fast_interval", duration(rules.fast_interval)),
        ("down_interval", duration(rules.down_interval)),
    ]);
    values
}

fn kind_values(kind: &ProbeKind) -> Values {
    match kind {
        ProbeKind::None | ProbeKind::Connect => Vec::new(),
        ProbeKind::Exchange { send, expect } => {
            let shown = |bytes| text(String::from_utf8_lossy(bytes));
            vec![("send", shown(send)), ("expect", shown(expect))]
        }
        ProbeKind::Http(http) => http_values(http),
        ProbeKind::Grpc { service, tls } => {
            let mut values = vec![("service", text(service))];
            values.extend(tls.iter().flat_map(tls_values));
            values
        }
    }
}

fn http_values(http: &HttpProbe) -> Values {
    let header = |(name, value): &(String, String)| (name.clone(), text(value));
    let headers: Table = http.headers.iter().map(header).collect();
    let mut values = vec![
        ("path", text(&http.path)),
        ("method", text(&http.method)),
        ("host", text(http.host.as_deref().unwrap_or_default())),
        ("headers", Value::Table(headers)),
        ("status", Value::Array(http.status.iter().map(status).collect())),
        ("body", text(http.body.as_deref().unwrap_or_default())),
    ];
    values.extend(http.tls.iter().flat_map(tls_values));
    values
}

fn status(range: &RangeInclusive<u16>) -> Value {
    match (range.start(), range.end()) {
        (first, last) if first == last => text(first),
        (first, last) => text(format!("{first}-{last}")),
    }
}

fn tls_values(tls: &TlsProbe) -> Values {
    vec![
        ("sni", text(tls.sni.as_deref().unwrap_or_default())),
        ("verify", Value::Boolean(tls.verify)),
        ("ca_file", optional_path(tls.ca_file.as_ref())),
    ]
}

fn ejection_values(rules: &EjectionRules) -> Values {
    vec![
        ("consecutive_failures", number(rules.consecutive_failures)),
        ("success_rate_min_percent", number(rules.success_rate_min_percent)),
        ("window", duration(rules.window)),
        ("exchanges_min", number(rules.exchanges_min)),
        ("base", duration(rules.base)),
        ("longest", duration(rules.longest)),
        ("share_max_percent", number(rules.share_max_percent)),
    ]
}
