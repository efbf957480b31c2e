//! Pools: backends, names, probes, ejection. What is read and what is a problem.

use super::{GOOD, assert_problems, parse};
use crate::config::*;
use crate::health::{EjectionRules, ProbeRules, SlowStart};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The pool of a good configuration with `text` added.
fn pool(text: &str) -> Pool {
    let config = parse(&format!("{GOOD}{text}")).map_err(|error| error.to_string()).unwrap();
    let again = parse(&config.to_toml()).map_err(|error| error.to_string()).unwrap();
    assert_eq!(again, config);
    config.pools[0].clone()
}

fn health(text: &str) -> Probe {
    pool(&format!("[pool.app.health]\n{text}")).health
}

#[test]
fn every_value_of_a_pool_is_read() {
    let pool = pool(
        r#"
        [pool.app]
        slow_start = "0s"
        slow_start_aggression = 2
        no_healthy = "refuse"
        drain_timeout = "1m"
        required = true
        min_ready = 16384
        backends_file = "app.json"
        [pool.app.ejection]
        consecutive_failures = 0
        success_rate_min_percent = 95
        window = "1m"
        exchanges_min = 10
        base = "10s"
        longest = "10s"
        share_max_percent = 100
    "#,
    );
    let slow_start = SlowStart { window: Duration::ZERO, aggression: 2.0 };
    let ejection = EjectionRules {
        consecutive_failures: 0,
        success_rate_min_percent: 95,
        window: seconds(60),
        exchanges_min: 10,
        base: seconds(10),
        longest: seconds(10),
        share_max_percent: 100,
    };
    let expected = Pool {
        slow_start,
        no_healthy: NoHealthy::Refuse,
        drain_timeout: seconds(60),
        required: true,
        min_ready: 16_384,
        backends_file: Some("app.json".into()),
        ejection,
        ..Pool::new("app", pool.backends.clone())
    };
    assert_eq!(pool, expected);
}

#[test]
fn names_stand_in_the_place_of_addresses() {
    let pool = pool(
        r#"
        [[pool.app.backend]]
        address = "App.Example.com.:8080"
        weight = 3
        [[pool.app.backend]]
        address = "[::1]:80"
        [[pool.app.backend]]
        srv = "_http._tcp.example.com"
        [pool.app]
        min_ready = 5
    "#,
    );
    let addresses: Vec<String> =
        pool.backends.iter().map(|backend| backend.address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.1:80", "[::1]:80"]);
    let name = |lookup, weight| BackendName { lookup, weight };
    let expected = [
        name(Lookup::Address { name: "app.example.com.".into(), port: 8080 }, 3),
        name(Lookup::Service { name: "_http._tcp.example.com".into() }, 1),
    ];
    assert_eq!(pool.names, expected);
}

#[test]
fn the_weights_and_backends_of_names_and_files_are_not_known() {
    let listener = "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:80\"\n";
    for rest in [
        "[pool.app]\nbackends_file = \"a.toml\"\nmin_ready = 3",
        "[[pool.app.backend]]\naddress = \"localhost:80\"\nweight = 0",
        "[[pool.app.backend]]\naddress = \"10.0.0.1:80\"\nweight = 0\n\
         [[pool.app.backend]]\nsrv = \"a.b\"\n[pool.app]\nmin_ready = 3",
    ] {
        let config = parse(&format!("{listener}{rest}"));
        let config = config.map_err(|error| error.to_string()).unwrap();
        assert_eq!(parse(&config.to_toml()), Ok(config));
    }
}

#[test]
fn keys_are_known_by_the_place_where_they_are_printed() {
    let text = "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:80\"\n\
                [[pool.app.backend]]\nsrv = \"a.b\"\n\
                [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\nweight = 2\n";
    let (_, written) = Config::parse_as(TextFormat::Toml, text, "a.toml", &super::load).unwrap();
    assert!(written.contains("pool.app.backend[0].weight"), "{written:?}");
    assert!(written.contains("pool.app.backend[1].srv"), "{written:?}");
    assert!(!written.contains("pool.app.backend[1].weight"), "{written:?}");
}

#[test]
fn the_protocol_of_a_probe_follows_from_its_keys() {
    assert_eq!(health(""), Probe::default());
    assert_eq!(health("path = \"/healthz\"").kind, {
        ProbeKind::Http(HttpProbe { path: "/healthz".into(), ..HttpProbe::default() })
    });
    assert_eq!(health("status = [204]").kind, {
        ProbeKind::Http(HttpProbe { status: vec![204..=204], ..HttpProbe::default() })
    });
    assert_eq!(health("protocol = \"none\"").kind, ProbeKind::None);
    assert_eq!(health("expect = \"\"").kind, ProbeKind::Connect);
    assert_eq!(health("expect = \"+PONG\\r\\n\"").kind, {
        ProbeKind::Exchange { send: Vec::new(), expect: b"+PONG\r\n".to_vec() }
    });
    assert_eq!(health("protocol = \"tcp\"\nsend = \"PING\\u0000\"\nexpect = \"+\"").kind, {
        ProbeKind::Exchange { send: b"PING\0".to_vec(), expect: b"+".to_vec() }
    });
    assert_eq!(health("protocol = \"grpc\"").kind, {
        ProbeKind::Grpc { service: String::new(), tls: None }
    });
    let kind = health("protocol = \"grpcs\"\nservice = \"shop.Cart\"\nverify = false").kind;
    let tls = Some(TlsProbe { verify: false, ..TlsProbe::default() });
    assert_eq!(kind, ProbeKind::Grpc { service: "shop.Cart".into(), tls });
}

#[test]
fn every_value_of_a_probe_over_https_is_read() {
    let pool = pool(
        r#"
        [pool.app.readiness]
        protocol = "https"
        path = "/ready?deep=1"
        method = "HEAD"
        host = "app.example.com:8443"
        headers = { X-Probe = "ringway 1", accept = "*/*" }
        status = ["200-299", 401, "503"]
        body = "ok"
        sni = "app.example.com"
        verify = false
        ca_file = "ca.pem"
        port = 8443
        proxy_protocol = "v2"
        interval = "500ms"
        timeout = "5s"
        rise = 1
        fall = 100
        jitter_percent = 0
        fast_interval = "10ms"
        down_interval = "1m"
    "#,
    );
    let http = HttpProbe {
        path: "/ready?deep=1".into(),
        method: "HEAD".into(),
        host: Some("app.example.com:8443".into()),
        headers: vec![("X-Probe".into(), "ringway 1".into()), ("accept".into(), "*/*".into())],
        status: vec![200..=299, 401..=401, 503..=503],
        body: Some("ok".into()),
        tls: Some(TlsProbe {
            sni: Some("app.example.com".into()),
            verify: false,
            ca_file: Some("ca.pem".into()),
        }),
    };
    let rules = ProbeRules {
        interval: Duration::from_millis(500),
        timeout: seconds(5),
        rise: 1,
        fall: 100,
        jitter_percent: 0,
        fast_interval: Duration::from_millis(10),
        down_interval: seconds(60),
    };
    let kind = ProbeKind::Http(http);
    let (port, proxy_protocol) = (Some(8443), ProxyProtocol::V2);
    let expected = Probe { kind, rules, port, source: None, pool_tls: None, proxy_protocol };
    assert_eq!(pool.readiness, Some(expected));
    assert_eq!(pool.health, Probe::default());
}

#[test]
fn the_other_intervals_follow_the_one_that_is_written() {
    for (text, fast, down) in [
        ("interval = \"500ms\"", 500, 750),
        ("interval = \"11ms\"", 11, 16),
        ("interval = \"5s\"", 1000, 7500),
        ("interval = \"7d\"", 1000, 7 * 24 * 3_600_000),
        ("interval = \"5s\"\nfast_interval = \"3s\"", 3000, 7500),
        ("interval = \"500ms\"\ndown_interval = \"3s\"", 500, 3000),
        ("down_interval = \"3s\"", 1000, 3000),
    ] {
        let rules = health(text).rules;
        let found = (rules.fast_interval.as_millis(), rules.down_interval.as_millis());
        assert_eq!(found, (fast, down), "{text}");
    }
}

#[test]
fn files_that_are_read_later_are_found_beside_the_configuration() {
    let text = "[pool.app]\nbackends_file = \"a.toml\"\n[pool.app.health]\nprotocol = \"grpcs\"\n\
                ca_file = \"a.pem\"\n[pool.app.readiness]\nprotocol = \"https\"\n\
                ca_file = \"/b.pem\"\n";
    let mut config = parse(&format!("{GOOD}{text}")).unwrap();
    config.resolve_paths(Path::new("/etc/ringway"));
    let pool = &config.pools[0];
    assert_eq!(pool.backends_file, Some(PathBuf::from("/etc/ringway/a.toml")));
    let tls = |ca_file: &str| TlsProbe { ca_file: Some(ca_file.into()), ..TlsProbe::default() };
    let grpc = ProbeKind::Grpc { service: String::new(), tls: Some(tls("/etc/ringway/a.pem")) };
    assert_eq!(pool.health.kind, grpc);
    let http = HttpProbe { tls: Some(tls("/b.pem")), ..HttpProbe::default() };
    assert_eq!(pool.readiness.as_ref().unwrap().kind, ProbeKind::Http(http));
}

#[test]
fn wrong_values_of_a_pool_are_reported_where_they_are() {
    for (line, column, part) in [
        ("slow_start = 10", 14, "\"10s\" or \"10ms\""),
        ("slow_start = \"8d\"", 14, "from 0s to 7d"),
        ("slow_start_aggression = 0", 25, "from 0.1 to 10"),
        ("slow_start_aggression = 10.5", 25, "from 0.1 to 10"),
        ("slow_start_aggression = nan", 25, "from 0.1 to 10"),
        ("slow_start_aggression = \"1\"", 25, "be a number"),
        ("no_healthy = \"refuze\"", 14, "did you mean `refuse`?"),
        ("drain_timeout = \"0s\"", 17, "write a long one"),
        ("required = \"true\"", 12, "true or false, without quotes"),
        ("min_ready = 0", 13, "from 1 to 16384"),
        ("min_ready = 2", 13, "its backends are 1"),
        ("min_ready = 2\nbackends_file = \"\"", 13, "its backends are 1"),
        ("hash_key = \"header\"", 12, "it can be client, client/24"),
        ("proxy_tlvs = [\"crc32c\"]", 1, "are of version 2"),
        ("proxy_tlvs = [\"sni\"]", 15, "`authority`, `alpn`, `unique-id`, `crc32c` or `received`"),
        ("source = \"eth0\"", 10, "write an IP address of this machine, or \"client\""),
        ("source = \"10.0.0.5:0\"", 10, "has a port, which the kernel chooses"),
        ("source = \"0.0.0.0\"", 10, "no address that a connection can come from"),
        ("source = \"::1\"", 10, "no connection to 10.0.0.1:80 can come from ::1"),
        ("hash_balance = 0.5", 16, "from 1 to 100, or 0 for none"),
        ("hash_table_size = 65536", 19, "did you mean 65521 or 65537?"),
        ("hash_table_size = 241", 19, "from 251 to 5000011"),
        ("backends_file = 5", 17, "must be text"),
        ("slowstart = \"1s\"", 1, "did you mean `slow_start`?"),
        ("ejection = 5", 12, "must be a table"),
        ("readiness = true", 13, "must be a table"),
    ] {
        assert_problems(&format!("[pool.app]\n{line}"), &[(2, column, part)]);
    }
}

#[test]
fn a_table_has_more_places_than_there_are_backends() {
    let mut text = "[pool.app]\nalgorithm = \"hash\"\nhash_table_size = 251\n".to_owned();
    let backend = |n| format!("[[pool.app.backend]]\naddress = \"10.0.1.{n}:80\"\n");
    text.extend((1..=251).map(backend));
    assert_problems(&text, &[(3, 19, "is 251, and the pool has")]);
}

#[test]
fn wrong_backends_and_names_are_reported_where_they_are() {
    let long = format!("address = \"{}a:80\"", "abc.".repeat(64));
    let long_label = format!("srv = \"{}.b\"", "a".repeat(64));
    for (line, column, part) in [
        ("address = \"localhost\"", 11, "write \"localhost:8080\""),
        ("address = \"app.local:0\"", 11, "from 1 to 65535"),
        ("address = \"app.local:http\"", 11, "port `http` is not a number"),
        ("address = \"my app:80\"", 11, "letters, digits, `-` or `_`"),
        ("address = \"-a.b:80\"", 11, "no `-` first or last"),
        ("address = \"a..b:80\"", 11, "is not a host name"),
        ("address = \"a.1:80\"", 11, "its end is a number"),
        ("address = \"ä.b:80\"", 11, "is not a host name"),
        ("address = \"10.0.0.300:80\"", 11, "is not an address"),
        ("address = \"http://a.b:80\"", 11, "write \"a.b:80\""),
        (&long, 11, "has 257 characters: at most 253"),
        ("srv = \"_http._tcp.a.b:80\"", 7, "write \"_http._tcp.a.b\""),
        ("srv = \"\"", 7, "is not a name of SRV records"),
        (&long_label, 7, "1 to 63 letters"),
        ("srv = 5", 7, "must be text"),
    ] {
        assert_problems(&format!("[[pool.app.backend]]\n{line}"), &[(2, column, part)]);
    }
    assert_problems("[[pool.app.backend]]\nweight = 2", &[(1, 1, "`address` or `srv` is missing")]);
    assert_problems(
        "[[pool.app.backend]]\naddress = \"a:1\"\nsrv = \"b\"",
        &[(3, 7, "remove one")],
    );
    assert_problems(
        "[[pool.app.backend]]\naddress = \"a:1\"\n[[pool.app.backend]]\naddress = \"A:1\"",
        &[(4, 11, "first on line 7")],
    );
}

#[test]
fn a_key_that_does_not_go_with_the_protocol_is_named() {
    for (protocol, line, part) in [
        (
            "tcp",
            "path = \"/\"",
            "`path` needs protocol `http` or `https`, and it is `tcp` here set",
        ),
        ("tcp", "headers = {}", "remove `headers`"),
        ("none", "status = []", "`http` or `https`"),
        ("http", "sni = \"a.b\"", "`https` or `grpcs`"),
        ("http", "expect = \"a\"", "needs protocol `tcp`"),
        ("https", "send = \"a\"", "needs protocol `tcp`"),
        ("https", "service = \"a\"", "`grpc` or `grpcs`"),
        ("grpc", "verify = true", "`https` or `grpcs`"),
        ("grpc", "ca_file = \"missing.html\"", "`https` or `grpcs`"),
        ("grpcs", "body = \"\"", "`http` or `https`"),
    ] {
        let text = format!("[pool.app.readiness]\nprotocol = \"{protocol}\"\n{line}");
        assert_problems(&text, &[(3, 1, part)]);
    }
    let text = "[pool.app.health]\npath = \"/\"\nverify = false\nservice = 5";
    let protocol = "and it is `http` here";
    assert_problems(text, &[(3, 1, protocol), (4, 1, protocol)]);
    let text = "[pool.app.health]\nprotocol = \"htp\"\nservice = \"a\"\nsni = \"a\"";
    assert_problems(text, &[(2, 12, "did you mean `http`?")]);
}

#[test]
fn wrong_values_of_a_probe_are_reported_where_they_are() {
    for (line, column, part) in [
        ("path = \"healthz\"", 8, "did you mean \"/healthz\"?"),
        ("path = \"/a b\"", 8, "write them so"),
        ("method = \"\"", 10, "write it like \"GET\""),
        ("host = \"a/b\"", 8, "is not a host"),
        ("headers = []", 11, "must be a table: write it like { name = \"value\" }"),
        ("headers = { a = 5 }", 17, "write \"5\""),
        ("headers = { \"a b\" = \"c\" }", 13, "is not a header"),
        ("headers = { a = \"c\\r\\nd\" }", 17, "cannot be a value"),
        ("headers = { Host = \"c\" }", 13, "the key `host`"),
        ("headers = { connection = \"c\" }", 13, "sets `connection` itself"),
        ("headers = { A = \"c\", a = \"d\" }", 22, "duplicate header"),
        ("status = []", 1, "no status would pass"),
        ("status = 200", 10, "must be a list"),
        ("status = [\"200-\"]", 11, "status `` is not a number"),
        ("status = [99]", 11, "from 100 to 599"),
        ("status = [\"299-200\"]", 11, "did you mean \"200-299\"?"),
        ("status = [true]", 11, "must be text"),
        ("send = \"a\"", 1, "`send` without `expect`"),
        ("protocol = \"https\"\nsni = \"a b\"", 7, "is not a host name"),
        ("protocol = \"https\"\nverify = 1", 10, "true or false"),
        ("protocol = \"https\"\nca_file = \"missing.html\"", 1, "no such file"),
        ("protocol = \"https\"\nca_file = \"hello.pem\"", 1, "`hello.pem` is not PEM"),
        ("protocol = \"https\"\nca_file = \"broken.pem\"", 1, "`broken.pem`, line 1, has a CERT"),
        ("protocol = \"grpc\"\nservice = \" a\"", 11, "cannot be a service"),
        ("port = 65536", 8, "from 0 to 65535"),
        ("proxy_protocol = \"v3\"", 18, "`none`, `v1` or `v2`"),
        ("interval = \"9ms\"", 12, "from 10ms to 7d"),
        ("timeout = \"0s\"", 11, "is no timeout"),
        ("rise = 0", 8, "from 1 to 100"),
        ("fall = 101", 8, "from 1 to 100"),
        ("jitter_percent = 51", 18, "from 0 to 50"),
        ("fast_interval = \"0s\"", 17, "from 10ms to 7d"),
        ("down_interval = 2", 17, "\"2s\" or \"2ms\""),
        ("intervall = \"2s\"", 1, "did you mean `interval`?"),
    ] {
        let text = format!("[pool.app.health]\n{line}");
        assert_problems(&text, &[(text.lines().count(), column, part)]);
    }
    let long = "x".repeat(PROBE_ANSWER_BYTES_MAX + 1);
    let text = format!("[pool.app.health]\nexpect = \"{long}\"");
    assert_problems(&text, &[(2, 10, "only 65536 are looked at")]);
}

#[test]
fn wrong_values_of_an_ejection_are_reported_where_they_are() {
    for (line, column, part) in [
        ("consecutive_failures = 1001", 24, "from 0 to 1000"),
        ("success_rate_min_percent = 101", 28, "from 0 to 100"),
        ("window = \"0s\"", 10, "from 10ms to 7d"),
        ("exchanges_min = 0", 17, "from 1 to 1000000"),
        ("share_max_percent = -1", 21, "from 0 to 100"),
        ("base = \"6m\"", 1, "`longest` at least as long"),
        ("longest = \"29s\"", 1, "`base` is longer than `longest`"),
        ("longest = \"1m\"\nbase = \"2m\"", 1, "`base` is longer than `longest`"),
    ] {
        let text = format!("[pool.app.ejection]\n{line}");
        assert_problems(&text, &[(text.lines().count(), column, part)]);
    }
}

#[test]
fn names_may_have_underscores() {
    for name in ["my_app", "node_1.node.dc1.consul", "_edge.test.", "a_"] {
        let text = format!("{GOOD}[[pool.app.backend]]\naddress = \"{name}:8080\"\n");
        let config = parse(&text).map_err(|error| error.to_string()).expect(name);
        assert_eq!(config.pools[0].names[0].lookup.to_string(), format!("{name}:8080"));
        let service =
            GOOD.to_owned() + &format!("[[pool.app.backend]]\nsrv = \"_h._tcp.{name}\"\n");
        assert!(parse(&service).is_ok(), "{name}");
    }
}
