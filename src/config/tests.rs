use super::*;
use crate::balance::Algorithm;
use crate::base::Prng;
use crate::http1::UnderscoreNames;
use crate::route::HostPattern;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn load(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("missing.html") => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        Some("long.html") => Ok(vec![b'x'; ERROR_ANSWER_BYTES_MAX + 1]),
        _ => Ok(b"<h1>sorry</h1>".to_vec()),
    }
}

fn parse(text: &str) -> Result<Config, Diagnostics> {
    Config::parse(text, "test.toml", &load)
}

const GOOD: &str = "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:80\"\n\
                    [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n";

/// Lines before what a test adds to [`GOOD`].
const GOOD_LINES: usize = 5;

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

#[test]
fn every_value_is_read() {
    let text = r#"
        runtime = { shards = "0-2,8", buffer_size = "64KiB", buffers_per_shard = 64 }
        [timeouts]
        connect = "250ms"
        tunnel = "1m30s"
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
    let config = parse(text).map_err(|error| error.to_string()).unwrap();
    assert_eq!(config.runtime.shards, ShardsChoice::Cores(vec![0, 1, 2, 8]));
    assert_eq!(config.runtime.buffer_size, 65_536);
    assert_eq!(config.runtime.ring_entries, Runtime::default().ring_entries);
    assert_eq!(config.timeouts.connect, Duration::from_millis(250));
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
fn a_problem_is_shown_with_its_place_and_its_remedy() {
    let text = "[runtime]\n\tbufer_size = \"16KiB\"\nshards = \"all\"\n".to_owned() + GOOD;
    let error = parse(&text).unwrap_err();
    let expected = "\
test.toml:2:2: unknown key `bufer_size` in [runtime]
  2 |  bufer_size = \"16KiB\"
    |  ^^^^^^^^^^
    = did you mean `buffer_size`?

test.toml:3:10: `all` does not say which shards: write \"auto\", a number, or cores as \"0-3,8\"
  3 | shards = \"all\"
    |          ^^^^^
";
    assert_eq!(error.to_string(), expected);
}

/// Asserts that adding `text` to a good configuration gives exactly these problems: line (counted
/// within `text`), column, part of what is said.
fn assert_problems(text: &str, expected: &[(usize, usize, &str)]) {
    let error = parse(&format!("{GOOD}{text}")).expect_err(text);
    let found: Vec<String> = error
        .problems
        .iter()
        .map(|problem| {
            let line = problem.line as isize - GOOD_LINES as isize;
            let help = problem.help.as_deref().unwrap_or_default();
            format!("{line}:{}: {} {help}", problem.column, problem.message)
        })
        .collect();
    let as_expected = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, (line, column, part))| {
            found.starts_with(&format!("{line}:{column}: ")) && found.contains(part)
        });
    assert!(as_expected, "{text}\nfound {found:#?}\nexpected {expected:#?}");
}

#[test]
fn wrong_values_are_reported_where_they_are() {
    for (text, column, part) in [
        ("[runtime]\nshards = 0", 10, "from 1 to 256"),
        ("[runtime]\nshards = 257", 10, "out of range"),
        ("[runtime]\nshards = -1", 10, "which shards"),
        ("[runtime]\nshards = true", 10, "boolean"),
        ("[runtime]\nshards = \"3-1\"", 10, "not a range of cores"),
        ("[runtime]\nshards = \"1,0-3\"", 10, "core 1 twice"),
        ("[runtime]\nshards = \"0-9999999999\"", 10, "not a range of cores"),
        ("[runtime]\nshards = \"0-300\"", 10, "at most 256"),
        ("[runtime]\nbuffer_size = 16384", 15, "\"16384B\" or \"16384KiB\""),
        ("[runtime]\nbuffer_size = \"16k\"", 15, "did you mean \"16KiB\"?"),
        ("[runtime]\nbuffer_size = \"1KiB\"", 15, "from 16KiB to 1MiB"),
        ("[runtime]\nbuffers_per_shard = 1000", 21, "did you mean 512 or 1024?"),
        ("[runtime]\nbuffers_per_shard = 8", 21, "from 16 to 32768"),
        ("[runtime]\nbuffers_per_shard = \"64\"", 21, "write 64 without quotes"),
        ("[runtime]\nring_entries = 5000", 16, "4096 or 8192"),
        ("[runtime]\nring_entries = 1.5", 16, "is a number"),
        ("[runtime]\nmax_connections = 0", 19, "from 1 to"),
        ("[runtime]\nmax_connections = -5", 19, "from 1 to"),
        ("[runtime]\nmax_connections = 99999999999999999999", 19, "from 1 to"),
        ("[runtime]\nbacklog = 65536", 11, "from 1 to 65535"),
        ("[runtime]\nBacklog = 5", 1, "did you mean `backlog`?"),
        ("[runtime]\nzebra = 5", 1, "known here: `shards`, `buffer_size`"),
        ("[timeouts]\nidle = 60", 8, "\"60s\" or \"60ms\""),
        ("[timeouts]\nidle = \"60\"", 8, "\"60s\" or \"60ms\""),
        ("[timeouts]\nidle = \"0s\"", 8, "write a long one"),
        ("[timeouts]\nidle = \"8d\"", 8, "from 1ms to 7d"),
        ("[timeouts]\nidle = [\"1s\"]", 8, "is text, but this is of type array"),
        ("[http]\nunderscore_names = \"dropp\"", 20, "did you mean `drop`?"),
        ("[http]\nunderscore_names = \"xyz\"", 20, "`drop`, `reject` or `allow`"),
        ("[http]\nvia = \"a b\"", 7, "Via field"),
        ("[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"10.0.0.1/8\"]", 34, "`10.0.0.0/8`?"),
        ("[http]\ntrusted_proxies = \"::1\"", 19, "is a list"),
        ("[http]\nupgrade_protocols = [5]", 22, "write \"5\""),
        ("[http]\nupgrade_protocols = [\"a b\"]", 22, "not a protocol"),
        ("[http]\nhead_bytes_max = \"32KiB\"", 18, "from 1KiB to 16KiB"),
        ("[access_log]\npath = \"\"", 8, "write \"stdout\" or a file"),
        ("[access_log]\npath = 5", 8, "is text: write \"5\""),
    ] {
        assert_problems(text, &[(2, column, part)]);
    }
}

#[test]
fn wrong_tables_are_reported_where_they_are() {
    for (text, line, column, part) in [
        ("[runtimes]\n", 1, 2, "did you mean `runtime`?"),
        ("[access_log]\nformat = \"json\"", 1, 1, "`path` is missing"),
        ("[listeners]\n", 1, 2, "did you mean `listener`?"),
        ("[[runtime]]\n", 1, 1, "`runtime` is a table"),
        ("[error_answer]\nstatus = 503", 1, 1, "write [[error_answer]]"),
        ("[[error_answer]]\nbody = \"\"", 1, 1, "`status` is missing"),
        ("[[error_answer]]\nstatus = 503", 1, 1, "`body` or `file` is missing"),
        ("[[error_answer]]\nstatus = 500\nbody = \"\"", 2, 10, "it does with 400, 404"),
        ("[[error_answer]]\nstatus = 503\nbody = \"\"\nfile = \"x\"", 4, 8, "take one out"),
        ("[[error_answer]]\nstatus = 503\nfile = \"missing.html\"", 3, 8, "no such file"),
        ("[[error_answer]]\nstatus = 503\nfile = \"long.html\"", 3, 8, "at most 8192"),
        (
            "[[error_answer]]\nstatus = 503\nbody = \"\"\ncontent_type = \"a\\r\\nb/c\"",
            4,
            16,
            "media",
        ),
        ("[[listener]]\naddress = \"0.0.0.0:81\"", 1, 1, "`name` is missing"),
        ("[[listener]]\nname = \"b\"", 1, 1, "`address` is missing"),
        ("[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:81\"", 2, 8, "already, on line 2"),
        ("[[listener]]\nname = \"b\"\naddress = \"0.0.0.0:80\"", 3, 11, "already, on line 3"),
        ("[[listener]]\nname = \"a b\"\naddress = \"0.0.0.0:81\"", 2, 8, "is not a name"),
        ("[[listener]]\nname = \"b\"\naddress = \"0.0.0.0\"", 3, 11, "write \"0.0.0.0:8080\""),
        ("[[listener]]\nname = \"b\"\naddress = \"::1\"", 3, 11, "write \"[::1]:8080\""),
        ("[[listener]]\nname = \"b\"\naddress = \":81\"", 3, 11, "write \"0.0.0.0:81\""),
        ("[[listener]]\nname = \"b\"\naddress = \"81\"", 3, 11, "write \"0.0.0.0:81\""),
        ("[[pool.app.backend]]\naddress = \"1.2.3.4:0\"", 2, 11, "port 0"),
        ("[[listener]]\nname = \"b\"\naddress = \"1.2.3.4:99999\"", 3, 11, "`99999` is not a port"),
        ("[[pool.app.backend]]\naddress = \"10.0.0.1:80\"", 2, 11, "already, on line 5"),
        ("[[pool.app.backend]]\naddress = \"app.local:80\"", 2, 11, "host names are not supported"),
        ("[[pool.app.backend]]\naddress = \"localhost\"", 2, 11, "host names are not supported"),
        ("[[pool.app.backend]]\naddress = \"http://1.2.3.4:5\"", 2, 11, "write IP:PORT"),
        (
            "[[pool.app.backend]]\nadress = \"1.2.3.4:5\"\naddress = \"1.2.3.4:5\"",
            2,
            1,
            "`address`?",
        ),
        ("[[pool.app.backend]]\naddress = \"1.2.3.4:5\"\nweight = 1001", 3, 10, "from 0 to 1000"),
        (
            "[pool.\"a b\"]\nbackend = [{ address = \"1.2.3.4:5\" }]\n[[route]]\npool = \"a b\"\n\
          [[route]]\npath = \"/x\"\npool = \"app\"",
            1,
            7,
            "is not a name",
        ),
        ("[[route]]\npool = \"ap\"", 2, 8, "did you mean `app`?"),
        ("[[route]]\npool = \"zzz\"", 2, 8, "it can be `app`"),
        ("[[route]]\nlistener = \"wep\"\npool = \"app\"", 2, 12, "did you mean `web`?"),
        ("[[route]]\npath = \"/\"", 1, 1, "`pool` is missing"),
        ("[[route]]\npath = \"x\"\npool = \"app\"", 2, 8, "did you mean \"/x\"?"),
        ("[[route]]\nhost = \"a.*\"\npool = \"app\"", 2, 8, "whole first label"),
        ("[[route]]\nhost = 5\npool = \"app\"", 2, 8, "is text"),
        (
            "[[route]]\npool = \"app\"\n[[route]]\nhost = \"b\"\npool = \"app\"\n[[route]]\n\
          path = \"/\"\npool = \"app\"",
            6,
            1,
            "already, on line 6",
        ),
        (
            "[[route]]\npool = \"app\"\n[[route]]\nlistener = \"web\"\npool = \"app\"",
            1,
            1,
            "unreachable: every listener",
        ),
        (
            "[pool.b]\nbackend = [{ address = \"1.2.3.4:5\" }]\n[[route]]\npool = \"app\"",
            1,
            7,
            "pool `b` is unreachable",
        ),
        (
            "[pool.b]\n[[route]]\npool = \"b\"\n[[route]]\npath = \"/x\"\npool = \"app\"",
            1,
            7,
            "pool `b` has no backend",
        ),
        (
            "[pool.b]\nbackend = [{ address = \"1.2.3.4:5\", weight = 0 }]\n[[route]]\npool = \"b\"\n\
          [[route]]\npath = \"/x\"\npool = \"app\"",
            1,
            7,
            "weight 0",
        ),
        ("a = \n", 1, 5, "string values must be quoted"),
        ("[runtime]\nbacklog = 5\nbacklog = 6", 3, 1, "duplicate key"),
    ] {
        assert_problems(text, &[(line, column, part)]);
    }
}

#[test]
fn protocols_of_later_versions_are_named_as_such() {
    for protocol in ["https", "tcp", "tls-passthrough", "udp"] {
        let text = format!(
            "[[listener]]\nname = \"b\"\naddress = \"0.0.0.0:81\"\nprotocol = \"{protocol}\""
        );
        assert_problems(&text, &[(4, 12, "is not in this version yet")]);
    }
}

#[test]
fn all_problems_are_reported_at_once_in_order() {
    assert_problems(
        "[timeouts]\nidle = 5\nidel = \"5s\"\n[[route]]\npool = \"app\"\nhost = \"*\"\n\
         [runtime]\nshards = \"\"\n[pool.c]\n",
        &[
            (2, 8, "no unit"),
            (3, 1, "did you mean `idle`?"),
            (6, 8, "leave `host` out"),
            (8, 10, "which shards"),
            (9, 7, "pool `c` has no backend"),
        ],
    );
}

#[test]
fn several_pools_need_routes() {
    let error = parse(&format!("{GOOD}[[pool.b.backend]]\naddress = \"1.2.3.4:5\"\n")).unwrap_err();
    let found: Vec<(usize, &str)> =
        error.problems.iter().map(|problem| (problem.line, problem.message.as_str())).collect();
    // That no route leads to the pools follows from it.
    assert_eq!(found, [(1, "listener `web` has no route, and there are several pools")]);
}

#[test]
fn an_empty_text_says_what_is_needed() {
    let error = parse("").unwrap_err().to_string();
    assert!(
        error.contains("there is no listener") && error.contains("there is no pool"),
        "{error}"
    );
}

#[test]
fn no_cut_or_changed_text_makes_it_panic() {
    let reference = include_str!("../../config/ringway.toml");
    let mut prng = Prng::new(5);
    for end in 0..reference.len() {
        if reference.is_char_boundary(end) {
            let _ = parse(&reference[..end]).map_err(|error| error.to_string());
        }
    }
    for _ in 0..500 {
        let mut bytes = reference.as_bytes().to_vec();
        for _ in 0..=prng.below(4) {
            let at = prng.below(bytes.len() as u32) as usize;
            bytes[at] = prng.below(256) as u8;
        }
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse(&text).map_err(|error| error.to_string());
    }
}

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

fn random_address(prng: &mut Prng, unique: u16) -> SocketAddr {
    let ip = match prng.below(2) {
        0 => Ipv4Addr::from_bits(prng.next_u64() as u32).into(),
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
        ..Runtime::default()
    }
}

fn random_config(prng: &mut Prng) -> Config {
    let (listeners, pools) = (1 + prng.below(4) as u16, 1 + prng.below(4) as u16);
    let route = |prng: &mut Prng, listener: u16, pool: u16| Route {
        listener: Some(ListenerIndex(listener.into())),
        host: match prng.below(3) {
            0 => HostPattern::Any,
            1 => HostPattern::Exact("a.b".into()),
            _ => HostPattern::Below("a.b".into()),
        },
        path: format!("/{listener}-{pool}"),
        pool: PoolIndex(pool.into()),
    };
    let mut config = Config {
        runtime: random_runtime(prng),
        timeouts: Timeouts {
            connect: random_duration(prng),
            request_head: random_duration(prng),
            idle: random_duration(prng),
            between_bytes: random_duration(prng),
            tunnel: random_duration(prng),
            drain: random_duration(prng),
            ..Timeouts::default()
        },
        http: Http {
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
        },
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
        config.listeners.push(Listener {
            name: format!("l_{number}"),
            address: random_address(prng, number),
            protocol: Protocol::Http,
            steering: random_choice(prng),
        });
        for pool in 0..pools {
            config.routes.push(route(prng, number, pool));
        }
    }
    if prng.one_in(2) {
        config.routes.push(Route { listener: None, ..route(prng, 9, 0) });
    }
    config.pools = (0..pools).map(|number| random_pool(prng, number)).collect();
    config
}

fn random_pool(prng: &mut Prng, number: u16) -> Pool {
    let backend =
        |number| Backend { address: random_address(prng, number), weight: prng.below(1001) };
    let mut backends: Vec<Backend> = (0..3).map(backend).collect();
    backends[0].weight += u32::from(backends[0].weight == 0);
    Pool {
        algorithm: random_choice(prng),
        idle_connections: prng.below(65_536) as usize,
        ..Pool::new(format!("Pool-{number}"), backends)
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
    }
}

#[test]
fn every_file_of_the_config_folder_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let config =
            Config::parse(&text, path.to_str().unwrap(), &|name| std::fs::read(folder.join(name)));
        assert!(config.is_ok(), "{}", config.unwrap_err());
        count += 1;
    }
    assert!(count >= 3, "only {count} files");
}

#[test]
fn the_reference_has_every_key_at_its_default() {
    let text = include_str!("../../config/ringway.toml");
    let (config, written) = Config::parse_with_keys(text, "ringway.toml", &load).unwrap();
    let quick = Config::quick(
        &["0.0.0.0:8080".parse().unwrap()],
        &[Backend { address: "127.0.0.1:9001".parse().unwrap(), weight: 1 }],
        Algorithm::default(),
    );
    let mut expected = quick.unwrap();
    expected.listeners[0].name = "web".to_owned();
    expected.pools[0].name = "app".to_owned();
    expected.routes[0].listener = None;
    assert_eq!(config, expected);
    for section in config.to_sections() {
        for (key, _) in section.values {
            let path = format!("{}.{key}", section.path);
            assert!(written.contains(&path), "the reference lacks {path}");
        }
    }
    let commented: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = parse(&commented).map_err(|error| error.to_string()).unwrap();
    assert_eq!(config.access_log, Some(AccessLog::at(LogPath::Stdout)));
    assert_eq!(config.error_answers.len(), 1);
}

fn is_setting(line: &str) -> bool {
    line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
}

#[test]
fn quick_refuses_what_a_file_could_not_say() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let (front, back) = (address("0.0.0.0:80"), address("10.0.0.1:80"));
    let backend = |weight| Backend { address: back, weight };
    for (listen, backends, part) in [
        (vec![], vec![backend(1)], "no listener"),
        (vec![front], vec![], "no backend"),
        (vec![front, front], vec![backend(1)], "listener 0.0.0.0:80 is there twice"),
        (vec![front], vec![backend(1), backend(2)], "backend 10.0.0.1:80 is there twice"),
        (vec![front], vec![backend(0)], "weight 0"),
    ] {
        let error = Config::quick(&listen, &backends, Algorithm::P2c).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let config = Config::quick(&[front, address("[::1]:81")], &[backend(2)], Algorithm::Random);
    let config = config.unwrap();
    assert_eq!(config.listeners[1].name, "listener-2");
    assert_eq!(config.pools[0].name, "default");
    assert_eq!(parse(&config.to_toml()), Ok(config));
}
