//! From text to a checked configuration.

use super::diagnostics::{Diagnostic, Diagnostics, did_you_mean};
use super::reader::{Placed, Reader, Text};
use super::{
    AccessLog, Backend, Config, ErrorAnswer, HalfClose, Http, Listener, Pool, ReadFile, Route,
    Runtime, Shards, Steering, Timeouts, defaults,
};
use crate::access_log::{Destination, Format};
use crate::balance::Algorithm;
use crate::http1::UnderscoreNames;
use crate::limits;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use toml::de::DeTable;

/// Longest configured body of a local answer: head and body must fit one buffer.
const ERROR_BODY_BYTES_MAX: usize = 8 * 1024;
/// Statuses that are answered without a backend.
const ERROR_STATUSES: [u16; 13] = [400, 404, 408, 413, 414, 417, 421, 431, 501, 502, 503, 504, 505];

/// Reads a configuration. `file` is its name for messages.
///
/// # Errors
/// Everything that is wrong, with line, column and how to mend it.
pub fn parse(text: &str, file: &str, read_file: ReadFile<'_>) -> Result<Config, Diagnostics> {
    let diagnostics = |list| Diagnostics { file: file.to_owned(), list };
    let document = DeTable::parse(text).map_err(|error| {
        let message = error.message().to_owned();
        diagnostics(vec![Diagnostic::new(text, error.span(), message)])
    })?;
    let notes = Text { text, found: RefCell::new(Vec::new()) };
    let root = Reader::new(&notes, Some(document.get_ref()), 0..0, "");
    let config = read_all(root, read_file);
    let mut found = notes.found.into_inner();
    if found.is_empty() {
        return Ok(config);
    }
    found.sort_by_key(|(start, _)| *start);
    Err(diagnostics(found.into_iter().map(|(_, diagnostic)| diagnostic).collect()))
}

fn read_all(mut root: Reader<'_, '_>, read_file: ReadFile<'_>) -> Config {
    let runtime = runtime(root.table("runtime"));
    let timeouts = timeouts(root.table("timeouts"));
    let http = http(root.table("http"), runtime.buffer_size);
    let answers = root.tables("error_answer");
    let error_answers = answers.into_iter().filter_map(|t| error_answer(t, read_file)).collect();
    let access_log = access_log(root.table("access_log"));
    let listeners = listeners(root.tables("listener"));
    let pools = pools(root.table("pool"));
    let routes = routes(root.tables("route"), &listeners, &pools);
    check_reach(&root, &listeners, &pools, &routes);
    root.finish();
    Config {
        runtime,
        timeouts,
        http,
        error_answers,
        access_log,
        listeners: listeners.into_iter().map(|placed| placed.value).collect(),
        routes,
        pools: pools.into_iter().map(|placed| placed.value).collect(),
    }
}

fn runtime(mut table: Reader<'_, '_>) -> Runtime {
    let default = Runtime::default();
    let power_of_two = |table: &Reader<'_, '_>, key: &str, number: u64| {
        if !number.is_power_of_two() {
            let (below, above) = (number.next_power_of_two() / 2, number.next_power_of_two());
            let message = format!("`{key}` must be a power of two: {below} or {above}");
            table.error(table.span.clone(), message);
        }
        number
    };
    let (least, most) = (limits::BUFFER_BYTES_MIN as u64, limits::BUFFER_BYTES_MAX as u64);
    let buffer_size = table.size("buffer_size", least, most).map(|size| size as usize);
    let (least, most) =
        (limits::BUFFERS_PER_SHARD_MIN as u64, limits::BUFFERS_PER_SHARD_MAX as u64);
    let buffers = table.integer("buffers_per_shard", least, most);
    let buffers = buffers.map(|n| power_of_two(&table, "buffers_per_shard", n) as usize);
    let (least, most) = (u64::from(limits::RING_ENTRIES_MIN), u64::from(limits::RING_ENTRIES_MAX));
    let entries = table.integer("ring_entries", least, most);
    let entries = entries.map(|n| power_of_two(&table, "ring_entries", n) as u32);
    let runtime = Runtime {
        shards: shards(&mut table).unwrap_or(default.shards),
        buffer_size: buffer_size.unwrap_or(default.buffer_size),
        buffers_per_shard: buffers.unwrap_or(default.buffers_per_shard),
        ring_entries: entries.unwrap_or(default.ring_entries),
        max_connections: table
            .integer("max_connections", 1, 10_000_000)
            .map_or(default.max_connections, |n| n as u32),
        max_connections_per_client: table
            .integer("max_connections_per_client", 0, 10_000_000)
            .map_or(default.max_connections_per_client, |n| n as u32),
        backlog: table.integer("backlog", 1, 65_535).map_or(default.backlog, |n| n as u32),
    };
    table.finish();
    runtime
}

fn shards(table: &mut Reader<'_, '_>) -> Option<Shards> {
    table.string_or_integer("shards").and_then(|placed| {
        let shards = placed.value.parse::<Shards>();
        shards.map_err(|message| table.error(placed.span, message)).ok()
    })
}

impl std::str::FromStr for Shards {
    type Err = String;

    /// Reads `auto`, a number of shards, or a list of cores such as `0-3,8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is not `auto`, a number of shards, or a list of cores like \"0-3,8\"")
        };
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let shards = match text.parse::<usize>() {
            Ok(count) => Self::Count(count),
            Err(_) => Self::Cores(core_list(text).ok_or_else(wrong)?),
        };
        let count = match &shards {
            Self::Count(count) => *count,
            Self::Cores(cores) => cores.len(),
            Self::Auto => 1,
        };
        match count {
            1..=limits::SHARDS_MAX => Ok(shards),
            _ => Err(format!("there can be 1 to {} shards, not {count}", limits::SHARDS_MAX)),
        }
    }
}

fn core_list(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?;
        if range.is_empty() || *range.end() > 4096 || range.clone().any(|core| cores.contains(&core)) {
            return None;
        }
        cores.extend(range);
    }
    Some(cores)
}

fn timeouts(mut table: Reader<'_, '_>) -> Timeouts {
    let default = defaults::timeouts();
    let timeouts = Timeouts {
        connect: table.duration("connect", default.connect),
        request_head: table.duration("request_head", default.request_head),
        idle: table.duration("idle", default.idle),
        between_bytes: table.duration("between_bytes", default.between_bytes),
        tunnel: table.duration("tunnel", default.tunnel),
        drain: table.duration("drain", default.drain),
    };
    table.finish();
    timeouts
}

fn http(mut table: Reader<'_, '_>, buffer_size: usize) -> Http {
    let default = Http::default();
    let names = [
        ("drop", UnderscoreNames::Drop),
        ("reject", UnderscoreNames::Reject),
        ("allow", UnderscoreNames::Allow),
    ];
    let networks = table.strings("trusted_proxies").map(|list| {
        let network = |placed: Placed<String>| {
            let network = placed.value.parse();
            network.map_err(|message: String| table.error(placed.span, message)).ok()
        };
        list.into_iter().filter_map(network).collect()
    });
    let protocols = table.strings("upgrade_protocols");
    let protocols = protocols.map(|list| list.into_iter().map(|placed| placed.value).collect());
    let head_max = limits::HEAD_BYTES_MAX.min(buffer_size) as u64;
    let via = |text: &str| match text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b)) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` cannot stand in Via: use letters, digits and - . _ :")),
    };
    let http = Http {
        underscore_names: table.word("underscore_names", &names).unwrap_or(default.underscore_names),
        via: table.read("via", via).unwrap_or(default.via),
        trusted_proxies: networks.unwrap_or(default.trusted_proxies),
        upgrade_protocols: protocols.unwrap_or(default.upgrade_protocols),
        allow_connect: table.boolean("allow_connect").unwrap_or(default.allow_connect),
        half_close: table
            .word("half_close", &[("allow", HalfClose::Allow), ("abort", HalfClose::Abort)])
            .unwrap_or(default.half_close),
        head_bytes_max: table
            .size("head_bytes_max", 1024, head_max)
            .map_or(default.head_bytes_max, |size| size as usize),
        request_body_max: table.size("request_body_max", 0, i64::MAX as u64).filter(|n| *n > 0),
    };
    table.finish();
    http
}

fn error_answer(mut table: Reader<'_, '_>, read_file: ReadFile<'_>) -> Option<ErrorAnswer> {
    let span = table.span.clone();
    let status = table.integer("status", 400, 599).map(|status| status as u16);
    let content_type = table.string("content_type").map_or("text/html".to_owned(), |p| p.value);
    let body = table.string("body").map(|placed| placed.value.into_bytes());
    let file = table.string("file");
    if status.is_none_or(|status| !ERROR_STATUSES.contains(&status)) {
        let all: Vec<String> = ERROR_STATUSES.iter().map(u16::to_string).collect();
        let message = format!("an error_answer needs a `status`, one of {}", all.join(", "));
        table.error(span.clone(), message);
    }
    let body = match (body, file) {
        (Some(body), None) => Some(body),
        (None, Some(file)) => match read_file(&PathBuf::from(&file.value)) {
            Ok(body) => Some(body),
            Err(error) => {
                table.error(file.span, format!("cannot read `{}`: {error}", file.value));
                None
            }
        },
        _ => {
            table.error(span.clone(), "an error_answer needs either `body` or `file`");
            None
        }
    };
    if body.as_ref().is_some_and(|body| body.len() > ERROR_BODY_BYTES_MAX) {
        table.error(span.clone(), "the body of an error_answer may have 8KiB at most");
    }
    if content_type.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) || content_type.len() > 128 {
        table.error(span, "`content_type` is a short line of printable ASCII");
    }
    table.finish();
    let (status, body) = (status?, body?);
    Some(ErrorAnswer { status, content_type: content_type.into(), body: body.into() })
}

fn access_log(mut table: Reader<'_, '_>) -> Option<AccessLog> {
    let exists = table.exists();
    let span = table.span.clone();
    let path = table.string("path");
    let format = table.word("format", &[("json", Format::Json), ("common", Format::Common)]);
    let queue = table.integer("queue", 16, 1 << 20).map(|n| n as usize);
    if exists && path.is_none() {
        table.error(span, "`access_log` needs a `path`: \"stdout\" or a file");
    }
    table.finish();
    let destination = match path?.value {
        path if path == "stdout" => Destination::Stdout,
        path => Destination::File(path.into()),
    };
    let queue = queue.unwrap_or(defaults::ACCESS_LOG_QUEUE);
    Some(AccessLog { destination, format: format.unwrap_or_default(), queue })
}

fn listeners(tables: Vec<Reader<'_, '_>>) -> Vec<Placed<Listener>> {
    let mut listeners: Vec<Placed<Listener>> = Vec::new();
    for mut table in tables {
        let span = table.span.clone();
        let name = table.string("name");
        let address = table.parsed::<SocketAddr>("address", "IP:PORT, as in 0.0.0.0:8080 or [::]:8080");
        let words = [("hash", Steering::Hash), ("cpu", Steering::Cpu)];
        let steering = table.word("steering", &words).unwrap_or_default();
        let protocol = table.read("protocol", protocol);
        let has_address = table.has("address");
        let Some(name) = name else {
            table.error(span, "a listener needs a `name`");
            table.finish();
            continue;
        };
        if !has_address {
            table.error(span.clone(), format!("listener \"{}\" needs an `address`", name.value));
        }
        if protocol.is_none() && !table.has("protocol") {
            let message = "a listener needs a `protocol`: protocol = \"http\"";
            table.error(span.clone(), message);
        }
        if listeners.iter().any(|other| other.value.name == name.value) {
            table.error(name.span, format!("there are two listeners called \"{}\"", name.value));
        } else if let Some(address) = address {
            let twin = listeners.iter().find(|l| l.value.address == address && address.port() != 0);
            if let Some(twin) = twin {
                let message = format!("listener \"{}\" has this address already", twin.value.name);
                table.error(span.clone(), message);
            }
            let value = Listener { name: name.value, address, steering };
            listeners.push(Placed { value, span });
        }
        table.finish();
    }
    listeners
}

fn protocol(text: &str) -> Result<(), String> {
    match text {
        "http" => Ok(()),
        "https" | "tcp" | "tls-passthrough" | "udp" => {
            Err(format!("protocol \"{text}\" is not in this version yet: it has \"http\""))
        }
        _ => Err(format!("there is no protocol \"{text}\": write \"http\"")),
    }
}

fn pools(table: Reader<'_, '_>) -> Vec<Placed<Pool>> {
    let mut pools = Vec::new();
    let mut backend_count = 0;
    for (name, mut table) in table.named_tables() {
        let algorithms = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
        let algorithm = table.word("algorithm", &algorithms).unwrap_or_default();
        let idle = table.integer("idle_connections", 0, 1_000_000);
        let backends = backends(table.tables("backend"));
        backend_count += backends.len();
        if backends.is_empty() && !table.has("backend") {
            let message = format!(
                "pool \"{0}\" has no backend: add [[pool.{0}.backend]] with an `address`",
                name.value
            );
            table.error(name.span.clone(), message);
        }
        if backend_count > limits::BACKENDS_MAX {
            table.error(name.span.clone(), format!("more than {} backends", limits::BACKENDS_MAX));
        }
        table.finish();
        let idle_connections = idle.map_or(defaults::IDLE_CONNECTIONS, |n| n as u32);
        let value = Pool { name: name.value, algorithm, idle_connections, backends };
        pools.push(Placed { value, span: name.span });
    }
    pools
}

fn backends(tables: Vec<Reader<'_, '_>>) -> Vec<Backend> {
    let mut backends: Vec<Backend> = Vec::new();
    for mut table in tables {
        let span = table.span.clone();
        let address = table.read("address", Backend::parse_address);
        let weight = table.integer("weight", 1, u64::from(limits::WEIGHT_MAX));
        if !table.has("address") {
            table.error(span.clone(), "a backend needs an `address`: IP:PORT");
        }
        if let Some(address) = address {
            if backends.iter().any(|other| other.address == address) {
                table.error(span, format!("backend {address} is in this pool already"));
            }
            backends.push(Backend { address, weight: weight.map_or(1, |weight| weight as u32) });
        }
        table.finish();
    }
    backends
}

impl Backend {
    /// Reads the address of a backend.
    ///
    /// # Errors
    /// A sentence that says what to write.
    pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
        let address: SocketAddr = text.parse().map_err(|_| match text.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() && !name.contains(':') => format!(
                "`{name}` is not an IP address: names are not resolved in this version, write \
                 IP:PORT"
            ),
            _ => format!("`{text}` is not IP:PORT, as in 10.0.0.11:8080 or [2001:db8::1]:8080"),
        })?;
        if address.port() == 0 {
            return Err(format!("`{text}`: a backend's port cannot be 0"));
        }
        Ok(address)
    }
}

fn routes(
    tables: Vec<Reader<'_, '_>>,
    listeners: &[Placed<Listener>],
    pools: &[Placed<Pool>],
) -> Vec<Route> {
    let mut routes: Vec<(Route, Range<usize>)> = Vec::new();
    for mut table in tables {
        let span = table.span.clone();
        let listener = table.string("listener");
        let host = table.read("host", host_pattern);
        let path = table.read("path", path_prefix).unwrap_or_else(|| "/".to_owned());
        let pool = table.string("pool");
        let known_listeners = listeners.iter().map(|listener| listener.value.name.as_str());
        check_name(&table, "listener", listener.as_ref(), known_listeners);
        check_name(&table, "pool", pool.as_ref(), pools.iter().map(|pool| pool.value.name.as_str()));
        let Some(pool) = pool else {
            table.error(span, "a route needs a `pool`");
            table.finish();
            continue;
        };
        let listener = listener.map(|placed| placed.value);
        let route = Route { listener, host, path, pool: pool.value };
        let is_same = |other: &Route| {
            (&other.listener, &other.host) == (&route.listener, &route.host)
                && other.path.trim_end_matches('/') == route.path.trim_end_matches('/')
        };
        if routes.iter().any(|(other, _)| is_same(other)) {
            let message = "unreachable: there is a route with this listener, host and path already";
            table.error(span.clone(), message);
        }
        routes.push((route, span));
        table.finish();
    }
    routes.into_iter().map(|(route, _)| route).collect()
}

fn check_name<'a>(
    table: &Reader<'_, '_>,
    what: &str,
    name: Option<&Placed<String>>,
    known: impl Iterator<Item = &'a str> + Clone,
) {
    let Some(name) = name else { return };
    if known.clone().any(|other| other == name.value) {
        return;
    }
    let mend = match did_you_mean(&name.value, known.clone()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
    };
    table.error(name.span.clone(), format!("there is no {what} \"{}\": {mend}", name.value));
}

fn host_pattern(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || b"-._[:]".contains(&b);
    let has_port = !name.starts_with('[') && name.contains(':');
    if name.is_empty() || name.len() > 253 || has_port || !name.bytes().all(is_name_byte) {
        return Err(format!(
            "`{text}` is not a host: write www.example.com, or *.example.com for all names below, \
             without port"
        ));
    }
    Ok(text.to_ascii_lowercase())
}

fn path_prefix(text: &str) -> Result<String, String> {
    let is_fine = text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#*".contains(&byte));
    match is_fine {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not a path: write a prefix such as /api, without * or ?")),
    }
}

/// Nothing may be there in vain: listeners need routes, pools need to be reached.
fn check_reach(
    root: &Reader<'_, '_>,
    listeners: &[Placed<Listener>],
    pools: &[Placed<Pool>],
    routes: &[Route],
) {
    if listeners.is_empty() && !root.has("listener") {
        root.error(0..0, "nothing to listen on: add a [[listener]]");
    }
    for listener in listeners {
        let name = &listener.value.name;
        let has_route = routes.iter().any(|r| r.listener.as_ref().is_none_or(|l| l == name));
        if !has_route {
            let message = format!("listener \"{name}\" has no route: add [[route]] with a `pool`");
            root.error(listener.span.clone(), message);
        }
    }
    for pool in pools {
        let name = &pool.value.name;
        if !routes.iter().any(|route| route.pool == *name) {
            let message = format!("pool \"{name}\" is unreachable: no route leads to it");
            root.error(pool.span.clone(), message);
        }
    }
}
