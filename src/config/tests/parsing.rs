//! What is read, and what follows where nothing is written.

use super::{GOOD, parse};
use crate::balance::Algorithm;
use crate::config::*;
use crate::head::UnderscoreNames;
use crate::route::HostPattern;
use std::net::SocketAddr;
use std::time::Duration;

#[test]
fn the_smallest_configuration_routes_everything_to_its_pool() {
    let config = parse(GOOD).unwrap();
    let expected = Config::quick(
        &["0.0.0.0:80".parse().unwrap()],
        &[Backend { address: "10.0.0.1:80".parse().unwrap(), weight: 1 }],
        Algorithm::P2c,
    );
    let mut expected = expected.unwrap();
    expected.listeners[0].name = "web".to_owned();
    expected.pools[0].name = "app".to_owned();
    assert_eq!(config, expected);
}

const EVERY_KEY: &str = r#"
    runtime = { shards = "0-2,8", buffer_size = "64KiB", state_file = "a/state" }
    [timeouts]
    connect = "250ms"
    tunnel = "1m30s"
    lame_duck = "0s"
    linger = "1m"
    [admin]
    socket = ""
    allow_uids = [0, 0x3e8, 4294967294]
    listen = "[::1]:9900"
    [http]
    underscore_names = "reject"
    via = "edge"
    trusted_proxies = ["10.0.0.0/8", "::1"]
    upgrade_protocols = ["WebSocket", "h2c"]
    connect = "forward"
    half_close = "abort"
    head_bytes_max = "8KiB"
    request_body_max = "10MiB"
    [[error_answer]]
    status = 503
    content_type = "text/plain"
    body = "later"
    [[error_answer]]
    status = 404
    file = "errors/404.html"
    [access_log]
    path = "/var/log/ringway.log"
    format = "common"
    queue = 16
    [[listener]]
    name = "one"
    address = "[::1]:80"
    steering = "cpu"
    [[listener]]
    name = "two"
    address = "127.0.0.1:81"
    protocol = "http"
    [[route]]
    host = "*.Example.com"
    path = "/a"
    pool = "z"
    [[route]]
    listener = "two"
    pool = "a"
    [pool.z]
    algorithm = "round-robin"
    idle_connections = 0
    [[pool.z.backend]]
    address = "10.0.0.1:80"
    weight = 0
    [[pool.z.backend]]
    address = "10.0.0.2:80"
    weight = 1000
    [[pool.a.backend]]
    address = "10.0.0.1:80"
"#;

#[test]
fn every_value_is_read() {
    let config = parse(EVERY_KEY).map_err(|error| error.to_string()).unwrap();
    assert_eq!(config.runtime.shards, ShardsChoice::Cores(vec![0, 1, 2, 8]));
    assert_eq!(config.runtime.buffer_size, 65_536);
    assert_eq!(config.runtime.ring_entries, Runtime::default().ring_entries);
    assert_eq!(config.timeouts.connect, Duration::from_millis(250));
    assert_eq!(config.runtime.state_file, StateFile::At("a/state".into()));
    assert_eq!(config.timeouts.lame_duck, Duration::ZERO);
    assert_eq!(config.timeouts.linger, Duration::from_secs(60));
    let listen = Some("[::1]:9900".parse().unwrap());
    let allow_uids = vec![0, 1000, u32::MAX - 1];
    assert_eq!(config.admin, Admin { socket: None, allow_uids, listen });
    assert_eq!(config.timeouts.tunnel, Duration::from_secs(90));
    let http = Http {
        underscore_names: UnderscoreNames::Reject,
        via: "edge".into(),
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
        upgrade_protocols: vec!["websocket".into(), "h2c".into()],
        connect: Connect::Forward,
        half_close: HalfClose::Abort,
        head_bytes_max: 8192,
        request_body_max: 10 << 20,
    };
    assert_eq!(config.http, http);
    assert_eq!(config.error_answers[0].body, Body::Text("later".into()));
    assert_eq!(config.error_answers[1].body.bytes(), b"<h1>sorry</h1>");
    let log = config.access_log.as_ref().unwrap();
    assert_eq!((log.format, log.queue), (LogFormat::Common, 16));
    assert_eq!(config.listeners[0].steering, Steering::Cpu);
    assert_eq!(config.routes[0].host, HostPattern::Below("example.com".into()));
    assert_eq!(config.pool(config.routes[0].pool).name, "z");
    let on_two: Vec<&Route> = config.routes_of(ListenerIndex(1)).collect();
    assert_eq!(on_two, [&config.routes[1], &config.routes[0]]);
    assert_eq!(config.routes_of(ListenerIndex(0)).count(), 1);
    assert_eq!(config.backend_count(), 3);
    assert_eq!(parse(&config.to_toml()).unwrap(), config);
}

#[test]
fn quick_refuses_what_a_file_could_not_say() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let (front, back) = (address("0.0.0.0:80"), address("10.0.0.1:80"));
    let backend = |weight| Backend { address: back, weight };
    for (listen, backends, part) in [
        (vec![], vec![backend(1)], "no listener"),
        (vec![front], vec![], "no backend"),
        (vec![front, front], vec![backend(1)], "duplicate listener 0.0.0.0:80"),
        (vec![front], vec![backend(1), backend(2)], "duplicate backend 10.0.0.1:80"),
        (vec![front], vec![backend(0)], "weight 0"),
    ] {
        let error = Config::quick(&listen, &backends, Algorithm::P2c).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let name = |text| values::parse_backend_entry(text).unwrap();
    let names = [name("a.b:80*0"), name("10.0.0.1:80*0"), name("c:1*5")];
    let quick = |entries: &[BackendEntry]| {
        Config::quick_of_entries(&[front], entries, Algorithm::P2c, Protocol::Http)
    };
    let config = quick(&names).unwrap();
    let lookups: Vec<String> =
        config.pools[0].names.iter().map(|name| name.lookup.to_string()).collect();
    assert_eq!((config.pools[0].backends.len(), lookups), (1, vec!["a.b:80".into(), "c:1".into()]));
    assert_eq!(parse(&config.to_toml()), Ok(config));
    let twice = quick(&[name("A:1"), name("a:1")]);
    assert!(twice.unwrap_err().contains("duplicate backend a:1"));
    let config = Config::quick(&[front, address("[::1]:81")], &[backend(2)], Algorithm::Random);
    let config = config.unwrap();
    assert_eq!(config.listeners[1].name, "listener-2");
    assert_eq!(config.pools[0].name, "default");
    assert_eq!(parse(&config.to_toml()), Ok(config));
}
