//! `[runtime]` and `[timeouts]`.

use crate::config::addresses::{check_backend_address, parse_address};
use crate::config::model::{Runtime, Timeouts};
use crate::config::raw::{At, Section};
use crate::config::values::{
    BUFFERS_PER_SHARD_RANGE, MAX_CONNECTIONS_RANGE, RING_ENTRIES_RANGE, check_power_of_two,
    parse_buffer_size, parse_shards, parse_span, parse_state_file, parse_timeout,
};
use std::net::{IpAddr, SocketAddr};

/// The kernel caps it at net.core.somaxconn, which has 16 bits in some versions.
const BACKLOG_MAX: u32 = 65_535;
/// The default port of DNS servers (RFC 1035, 4.2).
const DNS_PORT: u16 = 53;

pub(super) fn runtime(mut section: Section<'_>) -> Runtime {
    let mut runtime = Runtime::default();
    section.parse_text_or_number_into("shards", &mut runtime.shards, parse_shards);
    section.size_into("buffer_size", &mut runtime.buffer_size, parse_buffer_size);
    if let Some(count) = section.count("buffers_per_shard", BUFFERS_PER_SHARD_RANGE) {
        section.report_error(count.span, check_power_of_two(count.value as u64));
        runtime.buffers_per_shard = count.value;
    }
    if let Some(count) = section.count("ring_entries", RING_ENTRIES_RANGE) {
        section.report_error(count.span, check_power_of_two(count.value.into()));
        runtime.ring_entries = count.value;
    }
    section.count_into("max_connections", &mut runtime.max_connections, MAX_CONNECTIONS_RANGE);
    section.count_into(
        "max_connections_per_client",
        &mut runtime.max_connections_per_client,
        0..=*MAX_CONNECTIONS_RANGE.end(),
    );
    section.count_into("backlog", &mut runtime.backlog, 1..=BACKLOG_MAX);
    section.parse_into("state_file", &mut runtime.state_file, parse_state_file);
    if let Some(servers) = section.texts("dns_servers") {
        let parsed = |text: At<&str>| section.report_error(text.span, parse_dns_server(text.value));
        runtime.dns_servers = servers.into_iter().filter_map(parsed).collect();
    }
    section.choice_into("log_format", &mut runtime.log_format);
    section.finish();
    runtime
}

/// `IP` or `IP:PORT`.
fn parse_dns_server(text: &str) -> Result<SocketAddr, String> {
    match text.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => {
            let server = SocketAddr::new(ip, DNS_PORT);
            check_backend_address(&server).map(|()| server)
        }
        Err(_) => parse_address(text),
    }
}

pub(super) fn timeouts(mut section: Section<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    for (key, target) in [
        ("connect", &mut timeouts.connect),
        ("request_head", &mut timeouts.request_head),
        ("idle", &mut timeouts.idle),
        ("between_bytes", &mut timeouts.between_bytes),
        ("tunnel", &mut timeouts.tunnel),
        ("drain", &mut timeouts.drain),
    ] {
        section.duration_into(key, target, parse_timeout);
    }
    section.duration_into("lame_duck", &mut timeouts.lame_duck, parse_span);
    section.duration_into("linger", &mut timeouts.linger, parse_span);
    section.finish();
    timeouts
}
