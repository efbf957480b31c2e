//! What is printed parses to the same configuration.

use super::parse;
use crate::base::Prng;
use crate::config::*;
use crate::health::{EjectionRules, ProbeRules, SlowStart};
use crate::http2::FloodLimits;
use crate::route::HostPattern;
use crate::tls::{Authorities, Policy, Suite};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

fn random_duration(prng: &mut Prng) -> Duration {
    Duration::from_millis(1 + u64::from(prng.below(7 * 86_400_000)))
}

fn random_choice<C: Choice>(prng: &mut Prng) -> C {
    C::WORDS[prng.below(C::WORDS.len() as u32) as usize].1
}

fn random_text(prng: &mut Prng) -> String {
    (0..prng.below(6))
        .map(|_| ['a', '"', '\'', '\\', '\n', '#', 'ü'][prng.below(7) as usize])
        .collect()
}

/// None for many machines: of those the first bit is set.
fn random_address(prng: &mut Prng, unique: u16) -> SocketAddr {
    let ip = match prng.below(2) {
        0 => Ipv4Addr::from_bits(prng.next_u64() as u32 & 0x7fff_ffff).into(),
        _ => Ipv6Addr::from_bits(prng.next_u64().into()).into(),
    };
    SocketAddr::new(ip, unique + 1)
}

fn random_runtime(prng: &mut Prng) -> Runtime {
    let mut cores: Vec<usize> = (0..12).filter(|_| prng.one_in(2)).collect();
    cores.push(12 + prng.below(9) as usize);
    Runtime {
        shards: match prng.below(3) {
            0 => ShardsChoice::Auto,
            1 => ShardsChoice::Count(1 + prng.below(256) as usize),
            _ => ShardsChoice::Cores(cores),
        },
        buffer_size: 16_384 + prng.below(1_000_000) as usize,
        buffers_per_shard: 16 << prng.below(12),
        ring_entries: 64 << prng.below(10),
        max_connections: 1 + prng.below(10_000_000) as usize,
        max_connections_per_client: prng.below(10_000_000) as usize,
        backlog: 1 + prng.below(65_535),
        state_file: match prng.below(3) {
            0 => StateFile::Given,
            1 => StateFile::None,
            _ => StateFile::At(random_path(prng)),
        },
        dns_servers: (0..prng.below(3)).map(|n| random_address(prng, n as u16)).collect(),
        log_format: random_choice(prng),
    }
}

fn random_path(prng: &mut Prng) -> PathBuf {
    PathBuf::from(format!("file{}", random_text(prng)))
}

fn random_timeouts(prng: &mut Prng) -> Timeouts {
    Timeouts {
        connect: random_duration(prng),
        request_head: random_duration(prng),
        idle: random_duration(prng),
        between_bytes: random_duration(prng),
        tunnel: random_duration(prng),
        half_closed: random_duration(prng),
        drain: random_duration(prng),
        lame_duck: Duration::from_millis(prng.below(3).into()),
        linger: random_duration(prng),
    }
}

fn random_admin(prng: &mut Prng) -> Admin {
    Admin {
        socket: prng.one_in(2).then(|| random_path(prng)),
        allow_uids: (0..prng.below(3)).map(|_| prng.below(u32::MAX)).collect(),
        // No listener has so high a port.
        listen: prng.one_in(2).then(|| random_address(prng, 9_000)),
    }
}

fn random_http(prng: &mut Prng) -> Http {
    Http {
        underscore_names: random_choice(prng),
        via: ["", "edge-1"][prng.below(2) as usize].into(),
        trusted_proxies: ["10.0.0.0/8", "::/0", "192.0.2.1"][prng.below(4) as usize..]
            .iter()
            .map(|network| network.parse().unwrap())
            .collect(),
        upgrade_protocols: vec!["websocket".into(); prng.below(3) as usize],
        connect: random_choice(prng),
        half_close: random_choice(prng),
        head_bytes_max: 1024 + prng.below(15 * 1024) as usize,
        request_body_max: prng.next_u64() >> prng.below(64),
    }
}

fn random_http2(prng: &mut Prng) -> Http2 {
    Http2 {
        max_concurrent_streams: 1 + prng.below(1_000),
        stream_window: 65_536 + prng.below(1 << 20),
        connection_window: 65_536 + prng.below(1 << 20),
        max_age: Duration::from_millis(prng.below(100_000).into()),
        floods: FloodLimits { resets: 20 + prng.below(1_000), ..FloodLimits::default() },
    }
}

fn random_config(prng: &mut Prng) -> Config {
    let (listeners, pools) = (1 + prng.below(4) as u16, 1 + prng.below(4) as u16);
    let mut config = Config {
        runtime: random_runtime(prng),
        timeouts: random_timeouts(prng),
        admin: random_admin(prng),
        http: random_http(prng),
        http2: random_http2(prng),
        error_answers: vec![
            ErrorAnswer {
                status: 503,
                content_type: "text/html; charset=\"utf-8\"".into(),
                body: Body::Text(random_text(prng)),
            },
            ErrorAnswer {
                status: 502,
                content_type: "text/plain".into(),
                body: Body::File {
                    path: PathBuf::from(random_text(prng)),
                    bytes: b"<h1>sorry</h1>".to_vec(),
                },
            },
        ],
        access_log: prng.one_in(2).then(|| AccessLog {
            path: LogPath::File(PathBuf::from(format!("log{}", random_text(prng)))),
            format: random_choice(prng),
            queue: 1 + prng.below(1 << 20) as usize,
        }),
        ..Config::default()
    };
    for number in 0..listeners {
        let listener = random_listener(prng, number, &config.http);
        add_routes(prng, &mut config, number, listener.protocol, pools);
        if listener.protocol == Protocol::Https {
            config.certificates.push(random_certificate(prng, number));
        }
        config.listeners.push(listener);
    }
    if prng.one_in(2) {
        config.routes.push(Route { listener: None, ..random_route(prng, 9, 0) });
    }
    config.pools = (0..pools).map(|number| random_pool(prng, number)).collect();
    config
}

/// The first one is of HTTP, and leads to every pool.
fn random_listener(prng: &mut Prng, number: u16, http: &Http) -> Listener {
    let protocol = if number == 0 { Protocol::Http } else { random_choice(prng) };
    let is_https = protocol == Protocol::Https;
    let is_tls = is_https || protocol == Protocol::TlsPassthrough;
    let is_udp = protocol == Protocol::Udp;
    let redirects = protocol == Protocol::Http && number > 0 && prng.one_in(2);
    let has_proxies = !is_udp && !http.trusted_proxies.is_empty();
    Listener {
        name: format!("l_{number}"),
        address: random_address(prng, number),
        protocol,
        redirect_to_https: redirects.then(|| [80, 443][prng.below(2) as usize]),
        hsts: if is_https { random_hsts(prng) } else { None },
        no_sni: if is_tls { random_choice(prng) } else { NoSni::default() },
        unknown_sni: if is_https { random_choice(prng) } else { UnknownSni::default() },
        tls: if is_https { random_policy(prng) } else { Policy::default() },
        not_tls: NotTls::default(),
        http2: !(is_https || protocol == Protocol::Http) || prng.one_in(2),
        clients: if is_https { random_clients(prng) } else { ClientCertificates::default() },
        proxy_protocol: if has_proxies { random_choice(prng) } else { ProxyHeader::None },
        max_connections: if is_udp { 0 } else { prng.below(3) as usize },
        keepalive: if is_udp { Listener::default().keepalive } else { random_keepalive(prng) },
        mptcp: !is_udp && prng.one_in(2),
        steering: if is_udp { Steering::Hash } else { random_choice(prng) },
        flows: if is_udp { random_flows(prng) } else { FlowRules::default() },
    }
}

fn random_hsts(prng: &mut Prng) -> Option<Hsts> {
    let texts = ["", "1d", "400d; includeSubDomains; preload"];
    Hsts::parse(texts[prng.below(3) as usize]).unwrap()
}

fn random_clients(prng: &mut Prng) -> ClientCertificates {
    let mode = random_choice(prng);
    if mode == ClientCertificate::None {
        return ClientCertificates::default();
    }
    let ca = vec![PathBuf::from("cert.pem"); 1 + prng.below(2) as usize];
    let loaded = load_trust(&ca, &[], &super::load).expect("they are well");
    ClientCertificates { mode, ca, crl: Vec::new(), loaded: Some(loaded.into()) }
}

fn random_policy(prng: &mut Prng) -> Policy {
    let first_of_tls12 = 3 + prng.below(6) as usize;
    let suites = Suite::all().enumerate();
    let suites = suites.filter(|(at, _)| *at < 3 || *at >= first_of_tls12);
    let suites = suites.map(|(_, suite)| suite).collect();
    Policy { min_version: random_choice(prng), suites }
}

fn random_certificate(prng: &mut Prng, listener: u16) -> Certificate {
    let chain = PathBuf::from(format!("{}.pem", random_text(prng)));
    let loaded = Certificate::load(chain, "key.pem".into(), &super::load).unwrap();
    let names = ["a.b", "*.c.d"][prng.below(3) as usize..].iter().map(ToString::to_string);
    Certificate {
        listener: Some(ListenerIndex(listener.into())),
        names: names.collect(),
        is_default: prng.one_in(2),
        ..loaded
    }
}

fn random_keepalive(prng: &mut Prng) -> Duration {
    Duration::from_secs(prng.below(10).into())
}

fn random_flows(prng: &mut Prng) -> FlowRules {
    FlowRules {
        idle: Duration::from_millis(1 + u64::from(prng.below(100_000))),
        max_flows: 1 + prng.below(1000),
        max_flows_per_client: prng.below(1000),
        requests: prng.below(3),
        responses: prng.one_in(2).then(|| prng.below(3)),
    }
}

fn random_route(prng: &mut Prng, listener: u16, pool: u16) -> Route {
    Route {
        listener: Some(ListenerIndex(listener.into())),
        host: match prng.below(3) {
            0 => HostPattern::Any,
            1 => HostPattern::Exact("a.b".into()),
            _ => HostPattern::Below("a.b".into()),
        },
        path: format!("/{listener}-{pool}"),
        alpn: Vec::new(),
        pool: PoolIndex(pool.into()),
    }
}

fn add_routes(prng: &mut Prng, config: &mut Config, listener: u16, of: Protocol, pools: u16) {
    // All connections of TCP go to one pool, and all flows of UDP.
    let has_one = [Protocol::Tcp, Protocol::Udp].contains(&of);
    for pool in 0..if has_one { 1 } else { pools } {
        let route = random_route(prng, listener, pool);
        let (host, path) = (HostPattern::Any, "/".to_owned());
        config.routes.push(match of {
            Protocol::Http | Protocol::Https => route,
            Protocol::Tcp | Protocol::Udp => Route { host, path, ..route },
            Protocol::TlsPassthrough => {
                let alpn = (0..=prng.below(2)).map(|name| format!("p{pool}/{name}")).collect();
                Route { path, alpn, ..route }
            }
        });
    }
}

fn random_pool(prng: &mut Prng, number: u16) -> Pool {
    let backend =
        |number| Backend { address: random_address(prng, number), weight: prng.below(1001) };
    let mut backends: Vec<Backend> = (0..3).map(backend).collect();
    backends[0].weight += u32::from(backends[0].weight == 0);
    let names = (0..prng.below(3)).map(|number| random_name(prng, number)).collect();
    let sources =
        [PoolSource::Any, PoolSource::Client, PoolSource::Address(backends[0].address.ip())];
    let source = sources[prng.below(3) as usize];
    backends.retain(|backend| !source.excludes(backend.address));
    let says_more = prng.one_in(2);
    let tls = prng.one_in(2).then(|| random_tls(prng));
    let probe = |probe: Probe| Probe {
        source: source.address(),
        pool_tls: tls.clone().filter(|_| probe.port.is_none()),
        ..probe
    };
    let health = probe(random_probe(prng));
    let readiness = prng.one_in(2).then(|| probe(random_probe(prng)));
    Pool {
        algorithm: random_choice(prng),
        max_connections_per_backend: prng.below(3) as usize,
        http: match &tls {
            Some(tls) if tls.alpn.iter().any(|name| name == "h2") => BackendHttp::Auto,
            Some(_) => BackendHttp::Http1,
            None => BackendHttp::Http2,
        },
        max_streams: 1 + prng.below(1_000) as usize,
        idle_connections: prng.below(65_536) as usize,
        slow_start: SlowStart {
            window: Duration::from_millis(prng.below(100_000).into()),
            aggression: 0.1 + f64::from(prng.below(9_901)) / 1000.0,
        },
        no_healthy: random_choice(prng),
        drain_timeout: random_duration(prng),
        required: prng.one_in(2),
        min_ready: 1 + prng.below(backends.len() as u32) as usize,
        proxy_protocol: if says_more { ProxyProtocol::V2 } else { ProxyProtocol::None },
        proxy_tlvs: if says_more { vec![random_choice(prng)] } else { Vec::new() },
        source,
        tls,
        keepalive: random_keepalive(prng),
        health,
        readiness,
        ejection: random_ejection(prng),
        names,
        backends_file: prng.one_in(2).then(|| random_path(prng)),
        ..Pool::new(format!("Pool-{number}"), backends)
    }
}

fn random_tls(prng: &mut Prng) -> PoolTls {
    let has_ca = prng.one_in(2);
    let ca = if has_ca { vec![random_path(prng).with_extension("pem")] } else { Vec::new() };
    let authorities = has_ca.then(|| Authorities::read(super::CERTIFICATE.0.as_bytes()).unwrap());
    PoolTls {
        sni: prng.one_in(2).then(|| "a.b".to_owned()),
        verify: prng.one_in(2),
        ca,
        alpn: ["h2", "http/1.1"][prng.below(3) as usize..]
            .iter()
            .map(ToString::to_string)
            .collect(),
        policy: random_policy(prng),
        authorities,
        ..PoolTls::default()
    }
}

fn random_name(prng: &mut Prng, number: u32) -> BackendName {
    let lookup = match prng.below(2) {
        0 => Lookup::Address { name: format!("a-{number}.b"), port: 1 + prng.below(65_535) as u16 },
        _ => Lookup::Service { name: format!("_http._tcp.{number}.c.") },
    };
    BackendName { lookup, weight: prng.below(1001) }
}

fn random_interval(prng: &mut Prng) -> Duration {
    random_duration(prng).max(Duration::from_millis(10))
}

fn random_ejection(prng: &mut Prng) -> EjectionRules {
    let (base, longest) = (random_interval(prng), random_interval(prng));
    EjectionRules {
        consecutive_failures: prng.below(1001),
        success_rate_min_percent: prng.below(101),
        window: random_interval(prng),
        exchanges_min: 1 + prng.below(1_000_000),
        base: base.min(longest),
        longest: base.max(longest),
        share_max_percent: prng.below(101),
    }
}

fn random_probe(prng: &mut Prng) -> Probe {
    let tls = prng.one_in(2).then(|| TlsProbe {
        sni: prng.one_in(2).then(|| ["a.b", "10.0.0.1"][prng.below(2) as usize].to_owned()),
        verify: prng.one_in(2),
        ca_file: prng.one_in(2).then(|| random_path(prng).with_extension("pem")),
    });
    let proxy_protocol = random_choice(prng);
    let kind = match prng.below(6) {
        0 => ProbeKind::None,
        1 => ProbeKind::Connect,
        2 => ProbeKind::Exchange {
            send: random_text(prng).into_bytes(),
            expect: format!("{}\0\u{7f}\r", random_text(prng)).into_bytes(),
        },
        3 if proxy_protocol != ProxyProtocol::V1 => ProbeKind::Datagram {
            send: vec![prng.below(256) as u8; prng.below(3) as usize],
            expect: random_text(prng).into_bytes(),
        },
        4 => ProbeKind::Http(random_http_probe(prng, tls)),
        _ => ProbeKind::Grpc { service: ["", "a b\"c.D"][prng.below(2) as usize].into(), tls },
    };
    Probe {
        kind,
        pool_tls: None,
        rules: ProbeRules {
            interval: random_interval(prng),
            timeout: random_duration(prng),
            rise: 1 + prng.below(100),
            fall: 1 + prng.below(100),
            jitter_percent: prng.below(51),
            fast_interval: random_interval(prng),
            down_interval: random_interval(prng),
        },
        port: prng.one_in(2).then(|| 1 + prng.below(65_535) as u16),
        source: None,
        proxy_protocol,
    }
}

fn random_http_probe(prng: &mut Prng, tls: Option<TlsProbe>) -> HttpProbe {
    let headers = [("X-\u{7e}a", "b \\ \"c\""), ("a.b", ""), ("accept", "*/*")];
    let status = |prng: &mut Prng| {
        let first = 100 + prng.below(500) as u16;
        first..=first + prng.below(u32::from(600 - first)) as u16
    };
    HttpProbe {
        path: ["/", "/a%20b?c=d&e"][prng.below(2) as usize].into(),
        method: ["GET", "HEAD", "x-y"][prng.below(3) as usize].into(),
        host: prng.one_in(2).then(|| "[::1]:80".into()),
        headers: headers[prng.below(4) as usize..]
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        status: (0..=prng.below(3)).map(|_| status(prng)).collect(),
        body: prng.one_in(2).then(|| format!("ok{}", random_text(prng))),
        tls,
    }
}

#[test]
fn what_is_printed_parses_to_the_same_configuration() {
    let mut prng = Prng::new(0x70_11);
    for _ in 0..500 {
        let config = random_config(&mut prng);
        let text = config.to_toml();
        let parsed = parse(&text).map_err(|error| error.to_string()).unwrap();
        assert_eq!(parsed, config, "{text}");
        let text = format!("{:#}", config.to_json());
        let parsed = Config::parse_as(TextFormat::Json, &text, "test.json", &super::load);
        let parsed = parsed.map(|(config, _)| config);
        assert_eq!(parsed.map_err(|error| error.to_string()).unwrap(), config, "{text}");
    }
}
