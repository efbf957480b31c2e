use super::*;
use crate::base::Prng;

fn table(routes: &[(&str, &str, u32)]) -> RouteTable<u32> {
    let parsed: Vec<_> =
        routes.iter().map(|(host, path, to)| (pattern(host), *path, *to)).collect();
    RouteTable::new(parsed.iter().map(|(host, path, to)| (host, *path, *to)))
}

fn pattern(host: &str) -> HostPattern {
    if host == "*" { HostPattern::Any } else { host.parse().unwrap() }
}

#[test]
fn the_most_specific_route_wins() {
    let table = table(&[
        ("*", "/", 0),
        ("*", "/assets", 1),
        ("*.example.com", "/", 2),
        ("*.shop.example.com", "/", 3),
        ("shop.example.com", "/checkout", 4),
        ("shop.example.com", "/checkout/card", 5),
        ("[2001:db8::1]", "/", 6),
        ("192.0.2.1", "/", 7),
        ("*.org", "/only", 8),
    ]);
    for (host, path, target) in [
        ("shop.example.com", "/checkout", 4),
        ("shop.example.com", "/checkout/", 4),
        ("shop.example.com", "/checkout/cards", 4),
        ("shop.example.com", "/checkout/card/1", 5),
        ("SHOP.Example.Com:8080", "/checkout", 4),
        ("shop.example.com.", "/checkout", 4),
        ("shop.example.com.:80", "/checkout", 4),
        ("shop.example.com", "/checkouts", 2),
        ("shop.example.com", "/", 2),
        ("a.shop.example.com", "/assets", 3),
        ("b.a.SHOP.example.com", "/", 3),
        ("xshop.example.com", "/", 2),
        ("example.com", "/", 0),
        (".example.com", "/", 0),
        ("badexample.com", "/assets/logo.png", 1),
        ("", "/", 0),
        (":80", "/assets", 1),
        ("[2001:DB8::1]:443", "/x", 6),
        ("[2001:db8::1]", "/x", 6),
        ("[2001:db8::2", "/x", 0),
        ("192.0.2.1:81", "/", 7),
        ("example.org", "/only/this", 8),
        ("example.org", "/other", 0),
        ("anything", "*", 0),
        ("anything", "", 0),
    ] {
        let found = table.lookup(host.as_bytes(), path.as_bytes());
        assert_eq!(found, Some(target), "{host} {path}");
    }
}

#[test]
fn an_empty_table_and_a_missing_route_give_nothing() {
    assert_eq!(table(&[]).lookup(b"example.com", b"/"), None);
    let one = table(&[("example.com", "/a", 1)]);
    assert_eq!(one.lookup(b"example.com", b"/b"), None);
    assert_eq!(one.lookup(b"example.org", b"/a"), None);
    let long = [b"a".repeat(300), b".example.com".to_vec()].concat();
    assert_eq!(table(&[("*.example.com", "/", 1)]).lookup(&long, b"/"), None);
}

#[test]
fn of_two_equal_routes_the_first_counts() {
    let table = table(&[("a.b", "/x", 1), ("a.b", "/x", 2), ("*", "/", 3), ("*", "/", 4)]);
    assert_eq!(table.lookup(b"a.b", b"/x"), Some(1));
    assert_eq!(table.lookup(b"c", b"/"), Some(3));
}

/// How specific a pattern is for a host, if it matches: the plain reading of the rules.
fn host_rank(pattern: &HostPattern, host: &str) -> Option<usize> {
    match pattern {
        HostPattern::Any => Some(0),
        HostPattern::Unnamed => None,
        HostPattern::Exact(name) => (name == host).then_some(usize::MAX),
        HostPattern::Below(parent) => {
            let below = host.strip_suffix(parent.as_str())?.strip_suffix('.')?;
            (!below.is_empty()).then_some(parent.len())
        }
    }
}

fn path_rank(prefix: &str, path: &str) -> Option<usize> {
    let prefix = prefix.trim_end_matches('/');
    let matches = prefix.is_empty() || path == prefix || path.starts_with(&format!("{prefix}/"));
    matches.then_some(prefix.len())
}

fn random_name(prng: &mut Prng, separator: &str, parts: u32) -> String {
    let count = 1 + prng.below(parts);
    let part = |prng: &mut Prng| ["a", "b", "ab", "a-b"][prng.below(4) as usize];
    (0..count).map(|_| part(prng)).collect::<Vec<_>>().join(separator)
}

fn random_path(prng: &mut Prng) -> String {
    if prng.one_in(6) { "/".to_owned() } else { format!("/{}", random_name(prng, "/", 4)) }
}

#[test]
fn agrees_with_a_plain_reading_of_the_rules() {
    let mut prng = Prng::new(0x407e5);
    for _ in 0..2_000 {
        let routes: Vec<(HostPattern, String, u32)> = (0..prng.below(30))
            .map(|target| {
                let host = match prng.below(3) {
                    0 => HostPattern::Any,
                    1 => HostPattern::Exact(random_name(&mut prng, ".", 4)),
                    _ => HostPattern::Below(random_name(&mut prng, ".", 3)),
                };
                (host, random_path(&mut prng), target)
            })
            .collect();
        let table = RouteTable::new(routes.iter().map(|(h, p, t)| (h, p.as_str(), *t)));
        for _ in 0..40 {
            let (host, path) = (random_name(&mut prng, ".", 5), random_path(&mut prng));
            let expected = routes
                .iter()
                .rev() // `max_by_key` takes the last of equals: the first route
                .filter_map(|(h, p, t)| Some(((host_rank(h, &host)?, path_rank(p, &path)?), *t)))
                .max_by_key(|(rank, _)| *rank)
                .map(|(_, target)| target);
            let sent = format!("{}:80", host.to_uppercase());
            let found = table.lookup(sent.as_bytes(), path.as_bytes());
            assert_eq!(found, expected, "{host} {path} in {routes:?}");
        }
    }
}

#[test]
fn thousands_of_hosts_are_all_found() {
    let names: Vec<String> = (0..5_000).map(|n| format!("host-{n}.example.com")).collect();
    let patterns: Vec<HostPattern> = names.iter().map(|name| pattern(name)).collect();
    let table = RouteTable::new(patterns.iter().enumerate().map(|(n, host)| (host, "/", n)));
    for (n, name) in names.iter().enumerate() {
        assert_eq!(table.lookup(name.as_bytes(), b"/"), Some(n));
    }
    assert_eq!(table.lookup(b"host-5000.example.com", b"/"), None);
}

#[test]
fn patterns_are_read_or_refused_with_a_reason() {
    for (text, expected) in [
        ("Shop.Example.com.", HostPattern::Exact("shop.example.com".into())),
        ("*.Example.com", HostPattern::Below("example.com".into())),
        ("0:0::1", HostPattern::Exact("[::1]".into())),
        ("[2001:DB8::1]", HostPattern::Exact("[2001:db8::1]".into())),
        ("my_host", HostPattern::Exact("my_host".into())),
    ] {
        assert_eq!(text.parse(), Ok(expected), "{text}");
    }
    for (text, part) in [
        ("*", "leave `host` out"),
        ("*.", "leave `host` out"),
        ("*.*.com", "whole first label"),
        ("a*.com", "whole first label"),
        ("a..b", "not a host name"),
        ("a b", "not a host name"),
        ("example.com:80", "has a port: write \"example.com\""),
        ("https://example.com", "is a URL"),
        ("bücher.example", "not a host name"),
    ] {
        let error = text.parse::<HostPattern>().unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    for path in ["/", "/a", "/a/b", "/a%20b", "/~user", "/a*b", "/a|b"] {
        assert_eq!(check_path_prefix(path), Ok(()), "{path}");
    }
    for (path, part) in [
        ("", "does not begin"),
        ("shop", "did you mean \"/shop\"?"),
        ("/shop/", "write \"/shop\""),
        ("//", "ends with"),
        ("/shop/*", "write \"/shop\""),
        ("/*", "write \"/\""),
        ("/a?b", "`?`"),
        ("/a b", "` `"),
        ("/ü", "which no path can have"),
    ] {
        let error = check_path_prefix(path).unwrap_err();
        assert!(error.contains(part), "{path}: {error}");
    }
}

#[test]
fn a_protocol_of_tls_that_is_offered_goes_before_the_route_for_all_clients() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let routes = [
        ("a.test", names(&["h2", "h3"]), 1),
        ("a.test", names(&["http/1.1"]), 2),
        ("a.test", names(&[]), 3),
        ("b.a.test", names(&["http"]), 4),
        ("*.a.test", names(&["acme-tls/1"]), 5),
        ("*", names(&["h2"]), 6),
    ];
    let routes: Vec<(HostPattern, Vec<String>, u32)> = routes
        .into_iter()
        .map(|(host, names, target)| {
            let any = host == "*";
            (if any { HostPattern::Any } else { host.parse().unwrap() }, names, target)
        })
        .collect();
    let table =
        RouteTable::of_server_names(routes.iter().map(|(host, names, t)| (host, &names[..], *t)));
    for (name, offered, expected) in [
        ("a.test", "", Some(3)),
        ("A.TEST", "h2", Some(1)),
        ("a.test.", "h3", Some(1)),
        ("a.test", "http/1.1 h2", Some(2)),
        ("a.test", "h2 http/1.1", Some(1)),
        ("a.test", "x H2 h http", Some(3)),
        ("b.a.test", "http/1.1 acme-tls/1 h2", Some(5)),
        ("b.a.test", "http acme-tls/1", Some(4)),
        ("b.a.test", "h2", Some(6)),
        ("b.a.test", "", None),
        ("", "h2", Some(6)),
        ("", "", None),
    ] {
        let offered = offered.split(' ').map(str::as_bytes);
        let found = table.lookup_server_name(name.as_bytes(), offered);
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn no_name_an_unknown_one_and_no_tls_at_all_are_three_cases() {
    let [none, any] = [HostPattern::Unnamed, HostPattern::Any];
    assert_eq!("".parse(), Ok(HostPattern::Unnamed));
    let known = HostPattern::Exact("a.test".to_owned());
    for (routes, expected) in [
        (vec![], [None, None, None]),
        (vec![(&none, 2)], [Some(2), None, None]),
        (vec![(&any, 3)], [Some(3), Some(3), Some(3)]),
        (vec![(&any, 3), (&none, 2)], [Some(2), Some(3), Some(3)]),
    ] {
        let routes = routes.into_iter().chain([(&known, 1)]);
        let table = RouteTable::of_server_names(routes.map(|(host, t)| (host, &[][..], t)));
        let find = |name: &str| table.lookup_server_name(name.as_bytes(), [].into_iter());
        assert_eq!(find("a.test"), Some(1));
        assert_eq!([find(""), find("b.test"), table.without_tls()], expected);
    }
}
