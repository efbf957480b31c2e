//! Backends that are listeners: refused where requests certainly come back to the same pool.

use super::super::*;
use super::{assert_problems, parse};
use crate::balance::Algorithm;

fn text(listeners: &[&str], routes: &str, backends: &[&str]) -> String {
    let mut text = String::new();
    for (index, address) in listeners.iter().enumerate() {
        text += &format!("[[listener]]\nname = \"l{index}\"\naddress = \"{address}\"\n");
    }
    text += routes;
    for backend in backends {
        text += &format!("[[pool.app.backend]]\naddress = \"{backend}\"\n");
    }
    text
}

#[test]
fn a_backend_that_is_a_listener_which_leads_back_is_a_problem() {
    for (listener, backend, is_loop) in [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("10.0.0.1:80", "10.0.0.1:80", true),
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "127.9.9.9:80", true),
        ("[::]:80", "[::1]:80", true),
        ("0.0.0.0:80", "[::ffff:127.0.0.1]:80", true),
        ("127.0.0.1:80", "127.0.0.1:81", false),
        ("127.0.0.1:80", "127.0.0.2:80", false),
        ("0.0.0.0:80", "10.0.0.1:80", false), // it may be another machine's
        ("0.0.0.0:80", "[::1]:80", false),
        ("[::]:80", "127.0.0.1:80", false),
        ("127.0.0.1:0", "127.0.0.1:80", false),
        ("[fe80::1%2]:80", "[fe80::1%2]:80", true),
        ("[fe80::1%2]:80", "[fe80::1%3]:80", false),
    ] {
        let found = parse(&text(&[listener], "", &["10.9.9.9:80", backend]));
        let quick = Config::quick(
            &[listener.parse().expect("an address")],
            &[Backend { address: backend.parse().expect("an address"), weight: 1 }],
            Algorithm::default(),
        );
        if !is_loop {
            assert!(found.is_ok() && quick.is_ok(), "{listener} {backend}: {found:?} {quick:?}");
            continue;
        }
        let problems = found.expect_err(backend).problems;
        let [problem] = &problems[..] else { panic!("{listener} {backend}: {problems:?}") };
        assert_eq!((problem.line, problem.column), (7, 11), "{listener} {backend}");
        assert!(problem.message.contains("is listener `l0`"), "{problem:?}");
        let help = problem.help.as_deref().expect("a remedy");
        assert!(help.contains("the address of the server itself"), "{help}");
        let quick = quick.expect_err("it is one");
        assert!(quick.contains("is listener `listener-1`") && quick.contains(help), "{quick}");
    }
    assert_problems(
        "[[pool.app.backend]]\naddress = \"127.0.0.1:80\"\n",
        &[(2, 11, "is listener `web`, from which a route leads to this pool")],
    );
}

#[test]
fn only_the_routes_of_that_listener_count() {
    let other = "[[pool.other.backend]]\naddress = \"10.0.0.9:80\"\n";
    for (routes, is_loop) in [
        // Everything of `l1` goes elsewhere: from `l0` to `app` to `l1` to `other` is a chain.
        (
            "[[route]]\nlistener = \"l0\"\npool = \"app\"\n\
          [[route]]\nlistener = \"l1\"\npool = \"other\"\n",
            false,
        ),
        ("[[route]]\npool = \"app\"\n[[route]]\nlistener = \"l1\"\npool = \"other\"\n", false),
        (
            "[[route]]\npool = \"app\"\n[[route]]\nlistener = \"l1\"\npath = \"/a\"\n\
          pool = \"other\"\n",
            true,
        ),
        (
            "[[route]]\npool = \"other\"\n[[route]]\nlistener = \"l1\"\nhost = \"a.test\"\n\
          path = \"/a\"\npool = \"app\"\n",
            true,
        ),
    ] {
        let listeners = ["0.0.0.0:80", "127.0.0.1:81"];
        let written = text(&listeners, routes, &["127.0.0.1:81"]) + other;
        assert_eq!(parse(&written).is_err(), is_loop, "{routes}");
        let without = written.replace("127.0.0.1:81\"\n[[pool.o", "10.0.0.1:81\"\n[[pool.o");
        let config = parse(&without).expect("it is well");
        let own = "127.0.0.1:81".parse().expect("an address");
        assert_eq!(config.loop_by("app", own).is_some(), is_loop, "{routes}");
        let unused = written.replace(
            ":81\"\n[[pool.o",
            ":81\"\nweight = 0\n\
            [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n[[pool.o",
        );
        assert!(parse(&unused).is_ok(), "{unused}");
    }
}

#[test]
fn connections_of_every_protocol_loop_back() {
    let routes = "[[route]]\npath = \"/a\"\npool = \"app\"\n[[route]]\npool = \"other\"\n";
    let other = "[[pool.other.backend]]\naddress = \"10.0.0.9:80\"\n";
    let own = |keys: &str| format!("{routes}[[route]]\nlistener = \"l0\"\n{keys}pool = \"app\"\n");
    for (protocol, routes, is_loop) in [
        // The route with a path is for listeners of HTTP alone.
        ("http", routes.to_owned(), true),
        ("tcp", routes.to_owned(), false),
        ("tls-passthrough", routes.to_owned(), false),
        ("tcp", own(""), true),
        ("tls-passthrough", own("host = \"a.test\"\n"), true),
        ("tls-passthrough", own("alpn = [\"h2\"]\n"), true),
    ] {
        let listeners = ["127.0.0.1:81", "127.0.0.1:82"];
        let written = text(&listeners, &routes, &["127.0.0.1:81"]) + other;
        let protocol_key = format!("l0\"\nprotocol = \"{protocol}\"\n");
        let written = written.replacen("l0\"\n", &protocol_key, 1);
        let found = parse(&written).err().map(|error| error.problems);
        let Some(problems) = found.filter(|_| is_loop) else {
            assert!(!is_loop && parse(&written).is_ok(), "{protocol} {routes}");
            continue;
        };
        let [problem] = &problems[..] else { panic!("{protocol}: {problems:?}") };
        let what = if protocol == "http" { "requests would" } else { "connections would" };
        assert!(problem.message.contains(what), "{}", problem.message);
    }
}

#[test]
fn the_listener_on_the_single_address_is_the_one_that_is_met() {
    let routes = "[[route]]\nlistener = \"l0\"\npool = \"app\"\n\
                  [[route]]\nlistener = \"l1\"\npool = \"other\"\n";
    let other = "[[pool.other.backend]]\naddress = \"10.0.0.9:80\"\n";
    for (listeners, backend, is_loop) in [
        (["0.0.0.0:80", "127.0.0.1:80"], "127.0.0.1:80", false),
        (["127.0.0.1:80", "0.0.0.0:80"], "127.0.0.1:80", true),
        (["0.0.0.0:80", "127.0.0.1:80"], "127.0.0.2:80", true),
        (["[::]:80", "[::1]:80"], "[::1]:80", false),
    ] {
        let written = text(&listeners, routes, &[backend]) + other;
        assert_eq!(parse(&written).is_err(), is_loop, "{listeners:?} {backend}");
    }
}

#[test]
fn addresses_that_tcp_cannot_connect_to_are_problems() {
    for (address, part) in [
        ("0.0.0.0:80", "write \"127.0.0.1:80\""),
        ("[::]:80", "write \"[::1]:80\""),
        ("[::ffff:0.0.0.0]:80", "is no address to connect to"),
        ("224.0.0.1:80", "is a multicast address"),
        ("[ff02::1]:80", "is a multicast address"),
        ("255.255.255.255:80", "is a broadcast address"),
    ] {
        let backend = format!("[[pool.app.backend]]\naddress = \"{address}\"\n");
        assert_problems(&backend, &[(2, 11, part)]);
        let server = format!("[runtime]\ndns_servers = [\"{address}\"]\n");
        assert_problems(&server, &[(2, 16, part)]);
        let alone = address.rsplit_once(':').expect("a port").0;
        assert_problems(&server.replace(address, alone), &[(2, 16, "address")]);
        let file = parse_backends_file(&format!("[\"{address}\"]"), "b.json").expect_err(address);
        assert!(file.problems[0].message.contains(part), "{file}");
    }
    for address in ["224.0.0.1:81", "[ff02::1]:81", "255.255.255.255:81"] {
        let listener = format!("[[listener]]\nname = \"more\"\naddress = \"{address}\"\n");
        assert_problems(&listener, &[(3, 11, "cast address")]);
        assert_problems(&format!("[admin]\nlisten = \"{address}\"\n"), &[(2, 10, "cast address")]);
    }
}
