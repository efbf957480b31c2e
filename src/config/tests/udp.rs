//! Listeners of UDP: their keys, and what they may share with others.

use super::parse;
use crate::config::*;
use std::time::Duration;

/// DNS: one port by both transports, one pool.
const DNS: &str = "[[listener]]\nname = \"dns\"\naddress = \"0.0.0.0:53\"\nprotocol = \"udp\"\n\
    [[listener]]\nname = \"dns-tcp\"\naddress = \"0.0.0.0:53\"\nprotocol = \"tcp\"\n\
    [[pool.names.backend]]\naddress = \"10.0.0.1:53\"\n";

fn good(text: &str) -> Config {
    parse(text).map_err(|error| error.to_string()).expect("it is well")
}

/// The configuration with more keys for the listener of UDP.
fn with(keys: &str) -> String {
    DNS.replacen("\"udp\"\n", &format!("\"udp\"\n{keys}\n"), 1)
}

/// The only problem of a configuration, its message with its help.
fn problem(text: &str) -> String {
    let problems = parse(text).expect_err(text).problems;
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    format!("{}; {}", problem.message, problem.help.as_deref().unwrap_or_default())
}

#[test]
fn the_rules_of_flows_have_defaults_and_are_read() {
    let rules = |text: &str| good(text).listeners[0].flows;
    let expected = FlowRules {
        idle: Duration::from_secs(60),
        max_flows: 65_536,
        max_flows_per_client: 0,
        requests: 0,
        responses: None,
    };
    assert_eq!(rules(DNS), expected);
    let keys = "flow_idle = \"5s\"\nmax_flows = 1000\nmax_flows_per_client = 10\nrequests = 1\n\
                responses = 0";
    let expected = FlowRules {
        idle: Duration::from_secs(5),
        max_flows: 1000,
        max_flows_per_client: 10,
        requests: 1,
        responses: Some(0),
    };
    assert_eq!(rules(&with(keys)), expected);
    assert_eq!(rules(&with("responses = \"any\"")), FlowRules::default());
    let wrong = problem(&with("responses = \"all\""));
    assert!(wrong.contains("must be \"any\" or a number, from 0 to 1000000"), "{wrong}");
    for key in ["max_flows_per_client", "requests"] {
        let below = problem(&with(&format!("{key} = -1")));
        assert!(below.contains("from 0 to 1000000, and without a limit it is 0"), "{below}");
    }
    let below = problem(&with("responses = -1"));
    assert!(below.contains("without a limit it is \"any\""), "{below}");
    // The hint of a unit would lead to the next error.
    let never = problem(&with("flow_idle = 0"));
    assert!(never.contains("`0s` is no timeout"), "{never}");
    assert!(problem(&with("flow_idle = 5")).contains("did you mean \"5s\""));
    let quoted = problem(&with("responses = \"1\""));
    assert!(quoted.contains("write 1 without quotes"), "{quoted}");
}

#[test]
fn listeners_of_both_transports_may_share_an_address() {
    assert_eq!(good(DNS).listeners.len(), 2);
    let twice = problem(&DNS.replace("\"tcp\"", "\"udp\""));
    assert!(twice.contains("duplicate address 0.0.0.0:53"), "{twice}");
    let admin = |protocol: &str| {
        format!(
            "[admin]\nlisten = \"127.0.0.1:53\"\n[[listener]]\nname = \"dns\"\n\
             address = \"0.0.0.0:53\"\nprotocol = \"{protocol}\"\n\
             [[pool.names.backend]]\naddress = \"10.0.0.1:53\"\n"
        )
    };
    good(&admin("udp"));
    assert!(problem(&admin("tcp")).contains("is in the way of listener"));
}

#[test]
fn keys_of_flows_need_udp() {
    for key in [
        "flow_idle = \"5s\"",
        "max_flows = 5",
        "max_flows_per_client = 5",
        "requests = 1",
        "responses = 1",
    ] {
        let problem = problem(&with(key).replace("\"udp\"", "\"http\"").replacen(":53", ":80", 1));
        assert!(problem.contains("needs protocol `udp`, and it is `http` here"), "{problem}");
    }
}

#[test]
fn what_needs_connections_is_refused_with_udp() {
    let trusted = |keys: &str| format!("http = {{ trusted_proxies = [\"::1\"] }}\n{}", with(keys));
    let header = problem(&trusted("proxy_protocol = \"require\""));
    assert!(header.contains("is for connections") && header.contains("remove it"), "{header}");
    // That no proxy is trusted is no second fault.
    let header = problem(&with("proxy_protocol = \"require\""));
    assert!(header.contains("is for connections"), "{header}");
    let most = problem(&with("max_connections = 5"));
    assert!(most.contains("write `max_flows`"), "{most}");
    let steering = problem(&with("steering = \"cpu\""));
    assert!(steering.contains("datagrams of one flow"), "{steering}");
    let sni = problem(&with("no_sni = \"reject\""));
    assert!(sni.contains("or `tls-passthrough`, and it is `udp`"), "{sni}");
    let route = problem(&format!(
        "route = [{{ listener = \"dns\", host = \"a.test\", pool = \"names\" }}, {{ pool = \
         \"names\" }}]\n{DNS}"
    ));
    assert!(route.contains("all flows of this listener go to one pool"), "{route}");
}

#[test]
fn a_backend_is_a_loop_only_by_the_transport_of_its_listener() {
    let loops = |text: &str| parse(text).err().map(|error| error.to_string());
    let own = DNS.replace("10.0.0.1:53", "127.0.0.1:53");
    let error = loops(&own).expect("it is a loop");
    assert!(error.contains("listener `dns-tcp`") || error.contains("again and again"), "{error}");
    // The listener of TCP leads elsewhere: datagrams do not reach it.
    let elsewhere = "[[route]]\nlistener = \"dns\"\npool = \"names\"\n[[route]]\n\
                     listener = \"dns-tcp\"\npool = \"others\"\n\
                     [[pool.others.backend]]\naddress = \"10.0.0.2:53\"\n";
    let apart = own.replacen("0.0.0.0:53", "0.0.0.0:5353", 1);
    assert_eq!(loops(&format!("{apart}{elsewhere}")), None);
    let same = loops(&format!("{own}{elsewhere}")).expect("datagrams loop");
    assert!(same.contains("listener `dns`") && same.contains("again and again"), "{same}");
}

/// The health probe of a pool that these listeners lead to, with these keys.
fn health(listeners: &str, keys: &str) -> Probe {
    let pool = "[[pool.names.backend]]\naddress = \"10.0.0.1:53\"\n";
    good(&format!("[pool.names.health]\n{keys}\n{listeners}{pool}")).pools.remove(0).health
}

/// The listener of UDP alone.
fn only_udp() -> &'static str {
    DNS.split("[[listener]]\nname = \"dns-tcp").next().expect("what is before")
}

#[test]
fn the_probe_of_a_pool_of_datagrams_follows_from_its_keys() {
    let both = DNS.split("[[pool").next().expect("what is before");
    let datagram = |send: &[u8], expect: &[u8]| ProbeKind::Datagram {
        send: send.to_vec(),
        expect: expect.to_vec(),
    };
    for (keys, alone, shared) in [
        ("", ProbeKind::None, ProbeKind::Connect),
        ("interval = \"5s\"", ProbeKind::None, ProbeKind::Connect),
        ("port = 80", ProbeKind::Connect, ProbeKind::Connect),
        ("path = \"/\"", ProbeKind::Http(HttpProbe::default()), {
            ProbeKind::Http(HttpProbe::default())
        }),
        ("protocol = \"tcp\"", ProbeKind::Connect, ProbeKind::Connect),
        ("protocol = \"udp\"", datagram(b"", b""), datagram(b"", b"")),
        ("send = \"a\"\nexpect_hex = \"00 fF\"", datagram(b"a", b"\0\xff"), {
            ProbeKind::Exchange { send: b"a".to_vec(), expect: b"\0\xff".to_vec() }
        }),
    ] {
        assert_eq!(health(only_udp(), keys).kind, alone, "{keys}");
        assert_eq!(health(both, keys).kind, shared, "{keys}");
    }
    // Without the table too, and what is printed is read as the same.
    let pool = "[[pool.names.backend]]\naddress = \"10.0.0.1:53\"\n";
    let config = good(&format!("{}{pool}", only_udp()));
    assert_eq!(config.pools[0].health.kind, ProbeKind::None);
    assert_eq!(good(&config.to_toml()), config);
}

#[test]
fn a_readiness_probe_of_datagrams_is_read_alike() {
    let keys = "[pool.names.readiness]\nsend_hex = \"00\"";
    let text = format!("{}{keys}\n[[pool.names.backend]]\naddress = \"10.0.0.1:53\"\n", only_udp());
    let readiness = good(&text).pools.remove(0).readiness.expect("it is written");
    assert_eq!(readiness.kind, ProbeKind::Datagram { send: vec![0], expect: Vec::new() });
}

#[test]
fn what_a_datagram_of_a_probe_cannot_be_is_refused() {
    let long = format!("send = \"{}\"", "a".repeat(65_500));
    for (keys, part) in [
        ("protocol = \"udp\"\nproxy_protocol = \"v1\"", "is for connections"),
        ("send = \"a\"\nsend_hex = \"61\"", "the same in two forms"),
        ("send_hex = \"6\"", "in the middle of a byte"),
        (&*format!("{long}\nproxy_protocol = \"v2\""), "a datagram of 65516 bytes"),
        ("protocol = \"none\"\nsend_hex = \"61\"", "needs protocol `tcp` or `udp`"),
    ] {
        let problem = problem(&format!("[pool.names.health]\n{keys}\n{}{}", only_udp(), {
            "[[pool.names.backend]]\naddress = \"10.0.0.1:53\"\n"
        }));
        assert!(problem.contains(part), "{keys}: {problem}");
    }
    assert!(matches!(health(only_udp(), &long).kind, ProbeKind::Datagram { .. }));
}

#[test]
fn a_header_to_backends_of_datagrams_is_of_version_2() {
    let pool = |version: &str| format!("[pool.names]\nproxy_protocol = \"{version}\"\n{DNS}");
    assert_eq!(good(&pool("v2")).pools[0].proxy_protocol, ProxyProtocol::V2);
    let problem = problem(&pool("v1"));
    assert!(problem.contains("a listener of `udp` leads to this pool"), "{problem}");
}
