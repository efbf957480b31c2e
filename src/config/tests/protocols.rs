//! Listeners of other protocols than HTTP, and the routes that they can have.

use super::parse;
use crate::config::*;
use crate::route::HostPattern;

/// Listeners of connections, one of each protocol, and two pools.
const THREE: &str = "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:80\"\n\
    [[listener]]\nname = \"db\"\naddress = \"0.0.0.0:5432\"\nprotocol = \"tcp\"\n\
    [[listener]]\nname = \"tls\"\naddress = \"0.0.0.0:443\"\nprotocol = \"tls-passthrough\"\n\
    [[pool.one.backend]]\naddress = \"10.0.0.1:1\"\n\
    [[pool.two.backend]]\naddress = \"10.0.0.2:1\"\n";

const WEB: ListenerIndex = ListenerIndex(0);
const DB: ListenerIndex = ListenerIndex(1);
const TLS: ListenerIndex = ListenerIndex(2);

/// The configuration with routes, each as the keys of an inline table.
fn with(routes: &[&str]) -> Result<Config, Diagnostics> {
    let listed: Vec<String> = routes.iter().map(|route| format!("{{ {route} }}")).collect();
    parse(&format!("route = [{}]\n{THREE}", listed.join(", ")))
}

fn good(routes: &[&str]) -> Config {
    with(routes).map_err(|error| error.to_string()).expect("it is well")
}

/// Host, what is below it, and pool of the routes of a listener.
fn routes_of(config: &Config, listener: ListenerIndex) -> Vec<String> {
    let shown = |route: &Route| {
        format!("{} {} {}", route.host, route.below_host(), config.pool(route.pool).name)
    };
    config.routes_of(listener).map(shown).collect()
}

#[test]
fn a_route_for_all_listeners_with_a_host_or_path_is_for_http() {
    let config = good(&[
        r#"listener = "db", pool = "one""#,
        r#"listener = "tls", host = "A.test", alpn = ["h2", "http/1.1"], pool = "one""#,
        r#"host = "a.test", pool = "one""#,
        r#"path = "/a", pool = "one""#,
        r#"pool = "two""#,
    ]);
    assert_eq!(routes_of(&config, WEB), ["a.test / one", "* /a one", "* / two"]);
    assert_eq!(routes_of(&config, DB), ["* / one", "* / two"]);
    assert_eq!(routes_of(&config, TLS), ["a.test alpn=h2,http/1.1 one", "* / two"]);
    let read = parse(&config.to_toml()).map_err(|error| error.to_string());
    assert_eq!(read.as_ref(), Ok(&config));
}

#[test]
fn the_only_pool_goes_without_saying_on_every_protocol() {
    let text = THREE.split("[[pool.two").next().expect("what is before");
    let config = parse(text).map_err(|error| error.to_string()).expect("it is well");
    for listener in [WEB, DB, TLS] {
        assert_eq!(routes_of(&config, listener), ["* / one"]);
    }
    let text = format!("[[route]]\nhost = \"a.test\"\npool = \"one\"\n{text}");
    let config = parse(&text).map_err(|error| error.to_string()).expect("it is well");
    assert_eq!(routes_of(&config, WEB), ["a.test / one"]);
    assert_eq!(routes_of(&config, DB), ["* / one"]);
    assert_eq!(config.routes[0].host, HostPattern::Exact("a.test".to_owned()));
}

#[test]
fn what_a_listener_cannot_tell_by_is_refused() {
    for (route, part) in [
        (r#"listener = "db", host = "a.test", pool = "one""#, "`host` is not known on a listener"),
        (r#"listener = "db", path = "/", pool = "one""#, "`path` is not known on a listener"),
        (r#"listener = "db", alpn = ["h2"], pool = "one""#, "`alpn` is not known on a listener"),
        (r#"listener = "tls", path = "/a", pool = "one""#, "`path` is not known on a listener"),
        (r#"listener = "tls", host = "10.0.0.1", pool = "one""#, "never an address"),
        (r#"listener = "tls", host = "[::1]", pool = "one""#, "never an address"),
        (r#"listener = "web", alpn = ["h2"], pool = "one""#, "`alpn` needs protocol"),
        (r#"alpn = ["h2"], pool = "one""#, "`alpn` needs a listener"),
        (r#"listener = "tls", alpn = ["h 2"], pool = "one""#, "is not a protocol of TLS"),
        (r#"listener = "web", host = "", pool = "one""#, "clients that name no server"),
        (r#"host = "", pool = "one""#, "clients that name no server"),
    ] {
        let problems = with(&[route, r#"pool = "two""#]).expect_err(route).problems;
        let [problem] = &problems[..] else { panic!("{route}: {problems:?}") };
        assert!(problem.message.contains(part), "{route}: {}", problem.message);
    }
}

#[test]
fn a_listener_that_no_route_fits_is_reported() {
    let problems = with(&[r#"host = "a.test", pool = "one""#, r#"path = "/b", pool = "two""#]);
    let problems = problems.expect_err("nothing for two listeners").problems;
    let messages: Vec<&str> = problems.iter().map(|problem| &*problem.message).collect();
    let expected = ["db", "tls"]
        .map(|name| format!("listener `{name}` has no route, and there are several pools"));
    assert_eq!(messages, expected);
}

#[test]
fn a_host_for_all_listeners_needs_one_of_http() {
    let text = "[[listener]]\nname = \"tls\"\naddress = \"0.0.0.0:443\"\n\
        protocol = \"tls-passthrough\"\n[[route]]\nhost = \"a.test\"\npool = \"one\"\n\
        [[pool.one.backend]]\naddress = \"10.0.0.1:1\"\n";
    let problems = parse(text).expect_err("the route is of no use").problems;
    assert_eq!(problems[0].line, 5);
    assert!(problems[0].message.contains("protocol `http` or `https`, and there is none"));
}

#[test]
fn clients_that_name_no_server_have_a_route_of_their_own_or_are_refused() {
    let route = r#"listener = "tls", host = "", pool = "one""#;
    let config = with(&[route, r#"pool = "two""#]).map_err(|error| error.to_string());
    let config = config.expect("it is well");
    assert_eq!(routes_of(&config, TLS), [" / one", "* / two"]);
    assert_eq!(parse(&config.to_toml()).as_ref(), Ok(&config));
    let both = THREE.replacen("\"tls-passthrough\"", "\"tls-passthrough\"\nno_sni = \"reject\"", 1);
    let text =
        format!("{both}[[route]]\n{}\n[[route]]\npool = \"two\"\n", route.replace(", ", "\n"));
    let problems = parse(&text).expect_err("it is refused and routed").problems;
    assert!(problems[0].message.contains("and a route for clients that name no server"));
}

#[test]
fn two_routes_for_one_protocol_of_a_name_are_duplicates() {
    let route =
        |alpn: &str| format!(r#"listener = "tls", host = "a.test", alpn = {alpn}, pool = "one""#);
    let [first, second, third] = [r#"["h2", "x"]"#, r#"["http/1.1"]"#, r#"["y", "x"]"#].map(route);
    assert!(with(&[&first, &second, r#"pool = "two""#]).is_ok());
    let problems = with(&[&first, &third, r#"pool = "two""#]).expect_err("twice x").problems;
    assert!(problems[0].message.contains("host and `alpn` x"), "{}", problems[0].message);
}

#[test]
fn keys_of_tls_need_its_protocol() {
    for key in ["no_sni = \"reject\"", "not_tls = \"default\""] {
        let text = THREE.replacen("5432\"\n", &format!("5432\"\n{key}\n"), 1);
        let text =
            format!("{text}[[route]]\npool = \"two\"\n[[route]]\npath = \"/a\"\npool = \"one\"");
        let problems = parse(&text).expect_err(key).problems;
        let [problem] = &problems[..] else { panic!("{key}: {problems:?}") };
        let message = &problem.message;
        let has_needed = message.contains("needs protocol") && message.contains("tls-passthrough");
        assert!(has_needed, "{message}");
        let text = text.replacen("tcp", "tls-passthrough", 1);
        assert!(parse(&text).is_ok(), "{key}");
    }
}

#[test]
fn a_header_is_required_of_trusted_proxies_only() {
    let listener = "[[listener]]\nname = \"db\"\naddress = \"0.0.0.0:80\"\n\
        proxy_protocol = \"require\"\n[[pool.one.backend]]\naddress = \"10.0.0.1:1\"\n";
    for http in ["", "[http]\ntrusted_proxies = []\n"] {
        let problems = parse(&format!("{http}{listener}")).expect_err("none is trusted").problems;
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert!(problem.message.contains("trusted proxies only"), "{}", problem.message);
    }
    let wrong = format!("[http]\ntrusted_proxies = [\"x\"]\n{listener}");
    assert_eq!(parse(&wrong).expect_err("no network").problems.len(), 1);
    for protocol in ["http", "tcp", "tls-passthrough"] {
        let text = format!("[http]\ntrusted_proxies = [\"10.0.0.0/8\"]\n{listener}");
        let text = text.replace("require\"\n", &format!("require\"\nprotocol = \"{protocol}\"\n"));
        let config = parse(&text).map_err(|error| error.to_string()).expect("it is well");
        assert_eq!(config.listeners[0].proxy_protocol, ProxyHeader::Require);
    }
}

#[test]
fn a_pool_may_have_a_header_to_its_backends() {
    let both = [r#"listener = "db", pool = "one""#, r#"listener = "tls", pool = "one""#];
    let header = |config: &str| format!("pool.one.proxy_protocol = \"v2\"\n{config}");
    let routes =
        |web: &str| format!("route = [{{ {} }}, {{ {} }}, {{ {web} }}]\n", both[0], both[1]);
    let good = header(&format!("{}{THREE}", routes(r#"listener = "web", pool = "two""#)));
    let config = parse(&good).map_err(|error| error.to_string()).expect("it is well");
    assert_eq!(config.pools[0].proxy_protocol, ProxyProtocol::V2);
    assert_eq!(
        config.uses_of_pools(),
        [
            PoolUses { bytes: true, names: true, ..PoolUses::default() },
            PoolUses { http: true, ..PoolUses::default() },
        ]
    );
}

#[test]
fn what_is_not_tls_needs_its_route() {
    let text = THREE.replacen("0.0.0.0:443\"\n", "0.0.0.0:443\"\nnot_tls = \"default\"\n", 1);
    let routes = |tls: &str| {
        format!(
            "route = [{{ {tls}, pool = \"one\" }}, {{ listener = \"db\", pool = \"two\" }}, \
                 {{ listener = \"web\", pool = \"two\" }}]\n{text}"
        )
    };
    for tls in [r#"listener = "tls", host = "a.test""#, r#"listener = "tls", alpn = ["h2"]"#] {
        let problems = parse(&routes(tls)).expect_err(tls).problems;
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert!(problem.message.contains("no route without a host"), "{}", problem.message);
    }
    assert!(parse(&routes(r#"listener = "tls""#)).is_ok());
}

#[test]
fn a_listener_that_redirects_serves_its_own_routes_only() {
    const SECURE: &str = "[[listener]]\nname = \"secure\"\naddress = \"0.0.0.0:443\"\n\
        protocol = \"https\"\n[[certificate]]\nchain = \"cert.pem\"\nkey = \"key.pem\"\n\
        [[listener]]\nname = \"plain\"\naddress = \"0.0.0.0:80\"\nredirect_to_https = true\n\
        [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n";
    let parsed = |text: &str| parse(text).map_err(|error| error.to_string());
    let plain = ListenerIndex(1);
    let config = parsed(SECURE).expect("it is well");
    assert_eq!(config.listeners[1].redirect_to_https, Some(443));
    assert!(routes_of(&config, plain).is_empty());
    let routes = "[[route]]\npool = \"app\"\n[[route]]\nlistener = \"plain\"\npath = \"/a\"\n\
        pool = \"app\"\n";
    let config = parsed(&format!("{routes}{SECURE}")).expect("it is well");
    assert_eq!(routes_of(&config, plain), ["* /a app"]);
    assert_eq!(routes_of(&config, ListenerIndex(0)), ["* / app"]);
    let alone = SECURE.replace("\"https\"", "\"tcp\"").replace("true", "8443");
    let routes = "[[route]]\npath = \"/a\"\npool = \"app\"\n";
    let certificate = "[[certificate]]\nchain = \"cert.pem\"\nkey = \"key.pem\"\n";
    let problems = parsed(&format!("{routes}{}", alone.replace(certificate, "")));
    let problems = problems.expect_err("nobody takes it");
    assert!(problems.contains("none that takes it"), "{problems}");
    for (wrong, told) in [
        ("redirect_to_https = \"yes\"", "true, false or a port"),
        ("redirect_to_https = 0", "from 1 to 65535"),
        ("redirect_to_https = true\nprotocol = \"tcp\"", "needs protocol `http`"),
        ("hsts = \"1d\"", "needs protocol `https`"),
    ] {
        let problems = parsed(&SECURE.replace("redirect_to_https = true", wrong)).expect_err(wrong);
        assert!(problems.contains(told), "{wrong}: {problems}");
    }
}
