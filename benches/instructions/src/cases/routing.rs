//! Which target answers a host and path, in tables from one route to thousands.

use super::Case;
use ringway::route::{HostPattern, RouteTable};
use std::hint::black_box;

const OPERATIONS: u64 = 10_000;
const MANY_HOSTS: usize = 5_000;
const MANY_PATHS: usize = 1_000;

/// See the module.
pub fn cases() -> Vec<Case> {
    let case = |name: &str, routes: fn() -> Vec<(String, String)>, host, path| {
        let run = move |count| repeat(&routes(), host, path, count);
        Case::new(format!("route, {name}"), OPERATIONS, run)
    };
    vec![
        case("one for everything", one, "shop.example.com", "/catalogue/items/4711?page=3"),
        case("5000 hosts", hosts, "host-2500.example.com", "/"),
        case("5000 hosts, port and upper case", hosts, "HOST-2500.example.com:8080", "/"),
        case("5000 hosts, none matches", hosts, "elsewhere.example.org", "/"),
        case("5000 wildcards, two labels below", wildcards, "a.b.zone-2500.example.com", "/"),
        case("1000 paths", paths, "shop.example.com", "/section-500/items/4711"),
        case("1000 paths, none matches", paths, "shop.example.com", "/elsewhere"),
    ]
}

fn one() -> Vec<(String, String)> {
    vec![("*".to_owned(), "/".to_owned())]
}

fn hosts() -> Vec<(String, String)> {
    (0..MANY_HOSTS).map(|at| (format!("host-{at}.example.com"), "/".to_owned())).collect()
}

fn wildcards() -> Vec<(String, String)> {
    (0..MANY_HOSTS).map(|at| (format!("*.zone-{at}.example.com"), "/".to_owned())).collect()
}

fn paths() -> Vec<(String, String)> {
    let path = |at| ("shop.example.com".to_owned(), format!("/section-{at}"));
    (0..MANY_PATHS).map(path).collect()
}

fn repeat(routes: &[(String, String)], host: &str, path: &str, count: u64) {
    let pattern = |host: &String| match host.as_str() {
        "*" => HostPattern::Any,
        name => name.parse().expect("a good pattern"),
    };
    let patterns: Vec<HostPattern> = routes.iter().map(|(host, _)| pattern(host)).collect();
    let routes = routes.iter().zip(&patterns).enumerate();
    let table = RouteTable::new(
        routes.map(|(at, ((_, path), pattern))| (pattern, path.as_str(), at as u32)),
    );
    for _ in 0..count {
        black_box(table.lookup(black_box(host.as_bytes()), black_box(path.as_bytes())));
    }
}
