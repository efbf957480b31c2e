//! One `[[route]]`. Keys that are left out match everything: they are read and printed by hand.
//! Which keys a route may have depends on the protocol of its listener.

use super::listeners::Protocols;
use super::names::Names;
use crate::config::choices::Protocol;
use crate::config::keys::kinds::{shown, text, texts};
use crate::config::model::{Config, ListenerIndex, PoolIndex};
use crate::config::printing::{PrintedKey, PrintedSection};
use crate::config::raw::Section;
use crate::route::{HostPattern, check_path_prefix};
use std::net::IpAddr;
use toml::Value;

/// Bytes of the longest name of a protocol in TLS (RFC 7301, 3.1).
const ALPN_BYTES_MAX: usize = 255;

/// `[[route]]`: requests to this host and path, or connections to this server name, go to a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The only listener it counts on; none: all of them that it fits.
    pub listener: Option<ListenerIndex>,
    /// Hosts that match; with TLS, server names.
    pub host: HostPattern,
    /// The prefix of paths that match, on segment borders: `/`, or without a `/` at its end. `/` on
    /// a listener without paths.
    pub path: String,
    /// Only clients of TLS that offer one of these protocols match; empty: all do.
    pub alpn: Vec<String>,
    /// The pool of the requests.
    pub pool: PoolIndex,
}

impl Route {
    /// Whether a route for all listeners counts on those of this protocol: one with a host or path
    /// is for HTTP.
    pub fn fits(&self, protocol: Protocol) -> bool {
        protocol.reads_requests() || (self.host == HostPattern::Any && self.path == "/")
    }

    /// What tells routes of one host apart: the path, or the protocols of TLS as `alpn=h2`.
    pub fn below_host(&self) -> String {
        match &self.alpn[..] {
            [] => self.path.clone(),
            names => format!("alpn={}", names.join(",")),
        }
    }

    pub(in crate::config) fn print(&self, config: &Config, index: usize) -> PrintedSection {
        let mut values = Vec::new();
        let listener = self.listener.map(|listener| &config.listeners[listener.0]);
        if let Some(listener) = listener {
            values.push(PrintedKey::new("listener", shown(&listener.name)));
        }
        if self.host != HostPattern::Any {
            values.push(PrintedKey::new("host", shown(&self.host)));
        }
        if listener.is_none_or(|listener| listener.protocol.reads_requests()) {
            values.push(PrintedKey::new("path", shown(&self.path)));
        }
        if !self.alpn.is_empty() {
            let names = self.alpn.iter().map(shown).collect();
            values.push(PrintedKey::new("alpn", Value::Array(names)));
        }
        values.push(PrintedKey::new("pool", shown(&config.pool(self.pool).name)));
        PrintedSection::element("route", index, values)
    }
}

/// Reads a route; none if it is invalid, which was reported.
pub(super) fn route<'d>(
    mut section: Section<'d>,
    listeners: &mut Names<'d>,
    protocols: &Protocols,
    pools: &mut Names<'d>,
) -> Option<Route> {
    let report = section.report();
    let listener = match section.text("listener") {
        Some(name) => listeners.resolve(report, &name).map(|index| Some(ListenerIndex(index))),
        None => (!section.has("listener")).then_some(None),
    };
    let host = text(str::parse).read_or(&mut section, "host", HostPattern::Any);
    let path = text(parse_prefix).read_or(&mut section, "path", "/".to_owned());
    let alpn = texts(parse_alpn).read_or(&mut section, "alpn", Vec::new());
    let pool = section.required_text("pool").and_then(|name| pools.resolve(report, &name));
    let is_fitting = listener.is_some_and(|listener| {
        let protocol = listener.map(|ListenerIndex(index)| protocols.get(index).copied().flatten());
        match protocol {
            // That of the listener is invalid.
            Some(None) => true,
            Some(Some(protocol)) => check_keys(&section, protocol),
            None => {
                check_no_alpn(&section, "a listener: add `listener`, or remove `alpn`")
                    & check_named(&section)
            }
        }
    });
    section.finish();
    let (listener, host, path, alpn) = (listener?, host?, path?, alpn?);
    is_fitting.then_some(Route { listener, host, path, alpn, pool: PoolIndex(pool?) })
}

/// Whether the listener of the route can tell by what the route has; reports what it cannot.
fn check_keys(section: &Section<'_>, protocol: Protocol) -> bool {
    let unread = |key: &'static str, help: &str| {
        if section.has(key) {
            let message = format!("`{key}` is not known on a listener of protocol `{protocol}`");
            section.report().add_with_help(section.key_span(key), message, help);
        }
        !section.has(key)
    };
    match protocol {
        Protocol::Http | Protocol::Https => {
            check_no_alpn(section, "protocol `tls-passthrough`: remove `alpn`")
                & check_named(section)
        }
        Protocol::Tcp | Protocol::Udp => {
            let what = if protocol == Protocol::Udp { "flows" } else { "connections" };
            let help =
                |key: &str| format!("remove `{key}`: all {what} of this listener go to one pool");
            // Each one is reported.
            let [host, path, alpn] = ["host", "path", "alpn"].map(|key| unread(key, &help(key)));
            host && path && alpn
        }
        Protocol::TlsPassthrough => {
            let help = "remove `path`: what is in the TLS is not read; `host` is its server name";
            unread("path", help) & check_server_name(section)
        }
    }
}

fn check_no_alpn(section: &Section<'_>, needed: &str) -> bool {
    let has_alpn = section.has("alpn");
    if has_alpn {
        let message = format!("`alpn` needs {needed}");
        section.report().add(section.key_span("alpn"), message);
    }
    !has_alpn
}

/// Reports a route for clients that name no server where no server is named.
fn check_named(section: &Section<'_>) -> bool {
    let is_unnamed = section.peek_text("host").is_some_and(str::is_empty);
    if is_unnamed {
        let message = "`host = \"\"` is for clients that name no server, on a listener of \
                       `tls-passthrough`";
        let help = "leave `host` out to match any host";
        section.report().add_with_help(section.value_span("host"), message, help);
    }
    !is_unnamed
}

fn check_server_name(section: &Section<'_>) -> bool {
    let host = section.peek_text("host").unwrap_or_default();
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if is_address {
        let message = "a server name of TLS is never an address (RFC 6066, 3)";
        let help = "write a name; a route with `host = \"\"` takes clients that name no server";
        section.report().add_with_help(section.value_span("host"), message, help);
    }
    !is_address
}

fn parse_prefix(text: &str) -> Result<String, String> {
    check_path_prefix(text).map(|()| text.to_owned())
}

/// A protocol of TLS (RFC 7301).
pub(super) fn parse_alpn(text: &str) -> Result<String, String> {
    let fits = (1..=ALPN_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.ends_with('/');
    if fits {
        return Ok(text.to_owned());
    }
    let shown = text.escape_debug();
    Err(format!("`{shown}` is not a protocol of TLS: write it like \"h2\" or \"http/1.1\""))
}
