//! Keys keep their backends: over shards, processes, and whatever happens to other backends.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, body, ok, read_to_end};
use crate::loopback::load::Operated;
use crate::loopback::tls_passthrough::{Client, Server};
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};

const NAMES: [&str; 3] = ["0", "1", "2"];

fn origins() -> Vec<Origin> {
    NAMES.iter().map(|name| Origin::http(|_, _| ok(name.as_bytes()))).collect()
}

fn addresses(origins: &[Origin]) -> Vec<SocketAddr> {
    origins.iter().map(|origin| origin.address).collect()
}

/// The origin that answers, by its number.
fn answering(operated: &Operated, path: &str) -> usize {
    let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let answer = operated.ringway.exchange(request.as_bytes());
    String::from_utf8_lossy(body(&answer)).parse().expect("the number of an origin")
}

/// What `ringway which` says.
fn told(operated: &Operated, key: &str, origins: &[SocketAddr]) -> usize {
    let told = operated.json(&["which", "--pool", "app", "--key", key]);
    let backend = told["backend"].as_str().expect("an address").parse().expect("an address");
    origins.iter().position(|address| *address == backend).expect("one of them")
}

#[test]
fn every_process_sends_a_key_to_the_same_backend_and_a_drained_one_loses_its_own_keys_alone() {
    let origins = origins();
    let addresses = addresses(&origins);
    let pool = "algorithm = \"hash\"\nhash_key = \"path\"\nhash_seed = 7\nslow_start = \"0s\"";
    let one = Operated::start(&config(&addresses, pool, QUICK));
    let reversed: Vec<SocketAddr> = addresses.iter().rev().copied().collect();
    let other = Operated::start(&config(&reversed, pool, QUICK));
    let digest = |operated: &Operated| operated.json(&["status"])["pools"][0]["hash_table"].clone();
    assert!(digest(&one).is_string() && digest(&one) == digest(&other));
    let paths: Vec<String> = (0..30).map(|number| format!("/key/{number}")).collect();
    let before: Vec<usize> = paths.iter().map(|path| answering(&one, path)).collect();
    for (path, backend) in paths.iter().zip(&before) {
        assert_eq!(answering(&one, path), *backend, "again {path}");
        assert_eq!(answering(&other, &format!("{path}?other=query")), *backend, "{path}");
        assert_eq!(told(&one, path, &addresses), *backend, "{path}");
    }
    let drained = before[0];
    drain(&one, addresses[drained]);
    for (path, backend) in paths.iter().zip(&before) {
        let now = answering(&one, path);
        assert_ne!(now, drained, "{path}");
        assert!(now == *backend || *backend == drained, "{path}: {backend} and now {now}");
        assert_eq!(told(&one, path, &addresses), now, "{path}");
    }
    assert_eq!(digest(&one), digest(&other), "the table has all backends, whatever their health");
    let text = one.done(&["which", "--pool", "app", "--key", &paths[0]]);
    assert!(text.contains(&format!("it belongs to {}", addresses[drained])), "{text}");
    let (status, text) = one.verb(&["which", "--pool", "ap", "--key", "/"]);
    assert!(status == 1 && text.contains("did you mean `app`?"), "{text}");
}

fn drain(operated: &Operated, backend: SocketAddr) {
    operated.done(&["backend", "drain", "app", &backend.to_string()]);
}

#[test]
fn bytes_that_are_forwarded_unread_go_by_the_address_of_the_client() {
    let origins = origins();
    let addresses = addresses(&origins);
    let text = config(&addresses, "algorithm = \"hash\"\nhash_balance = 0", QUICK);
    let text = text.replace("\"LISTEN\"", "\"LISTEN\"\nprotocol = \"tcp\"");
    let operated = Operated::start(&text);
    let mut met = [0; 3];
    for last in 2..14 {
        let client = format!("127.0.0.{last}");
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let from: SocketAddr = format!("{client}:0").parse().expect("an address");
        socket.bind(&from.into()).expect("all of 127.0.0.0/8 is this host");
        socket.connect(&operated.ringway.address.into()).expect("it listens");
        let mut stream = TcpStream::from(socket);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
        // At this end the origin closes, and so ends its answer.
        stream.shutdown(Shutdown::Write).expect("it is open");
        let answer = read_to_end(&mut stream);
        let backend = told(&operated, &client, &addresses);
        assert_eq!(body(&answer), NAMES[backend].as_bytes(), "{client}");
        met[backend] += 1;
    }
    assert!(met.iter().all(|count| *count < 12), "{met:?}");
}

/// A configuration in which the pool picks by this key, with no other reason to leave a backend.
fn keyed(origins: &[SocketAddr], key: &str, protocol: &str) -> String {
    let pool = format!("algorithm = \"hash\"\nhash_key = \"{key}\"\nhash_balance = 0");
    let text = config(origins, &pool, QUICK);
    text.replace("\"LISTEN\"", &format!("\"LISTEN\"\nprotocol = \"{protocol}\""))
}

/// The origin that answers a request of this path and host, with these other fields.
fn served(operated: &Operated, path: &str, host: &str, fields: &str) -> usize {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n");
    let answer = operated.ringway.exchange(request.as_bytes());
    String::from_utf8_lossy(body(&answer)).parse().expect("the number of an origin")
}

/// Whether more than one of the origins answered.
fn is_spread(mut answered: impl Iterator<Item = usize>) -> bool {
    let first = answered.next();
    answered.any(|one| Some(one) != first)
}

#[test]
fn a_part_of_a_request_keeps_its_backend_wherever_it_stands_in_there() {
    let origins = origins();
    let addresses = addresses(&origins);
    // What has the key VALUE in a request, and what has none: path, host and fields.
    type Parts = [&'static str; 3];
    let cases: [(&str, &[Parts], &[Parts]); 4] = [
        (
            "query:id",
            &[
                ["/cart?id=VALUE", "t", ""],
                ["/?user=7&id=VALUE&id=other", "t", "id: other\r\nCookie: id=other\r\n"],
                ["/deep/path?id=VALUE&user=8", "else", ""],
            ],
            &[["/?ID=VALUE", "t", ""], ["/VALUE?user=7", "t", ""], ["/?id=", "t", ""]],
        ),
        (
            "header:X-Tenant",
            &[["/", "t", "x-tenant: VALUE\r\n"], ["/a?b", "u", "A: b\r\nX-TENANT:  VALUE \r\n"]],
            &[["/", "t", "X-Tenant-Id: VALUE\r\n"], ["/", "t", "X-Tenant:\r\n"]],
        ),
        (
            "cookie:session",
            &[
                ["/", "t", "Cookie: session=VALUE\r\n"],
                ["/", "t", "cookie: a=1; session=VALUE; session=other; b=2\r\n"],
                ["/a", "t", "Cookie: a=1\r\nCookie: session=VALUE\r\n"],
            ],
            &[["/", "t", "Cookie: xsession=VALUE; sessions=VALUE\r\n"], ["/", "t", ""]],
        ),
        ("host", &[["/", "Shop-VALUE.example", ""], ["/a", "shop-VALUE.EXAMPLE:8080", ""]], &[]),
    ];
    for (key, with, without) in cases {
        let operated = Operated::start(&keyed(&addresses, key, "http"));
        let owners: Vec<usize> = (0..12)
            .map(|number| {
                let value = format!("v{number}");
                let key_as_told = match key {
                    "host" => format!("shop-{value}.example:80"),
                    _ => value.clone(),
                };
                let owner = told(&operated, &key_as_told, &addresses);
                for parts in with {
                    let [path, host, fields] = parts.map(|part| part.replace("VALUE", &value));
                    let answered = served(&operated, &path, &host, &fields);
                    assert_eq!(answered, owner, "{key} in {path} {host} {fields}");
                }
                owner
            })
            .collect();
        assert!(is_spread(owners.into_iter()), "{key}");
        for [path, host, fields] in without {
            let answered = (0..40).map(|_| served(&operated, path, host, fields));
            assert!(is_spread(answered), "no {key} in {path} {host} {fields}");
        }
    }
}

#[test]
fn a_server_name_of_tls_keeps_its_backend_and_without_one_any_is_picked() {
    let names: Vec<String> = (0..12).map(|number| format!("n{number}.example")).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let servers = NAMES.map(|name| Server::of(name, &known));
    let addresses = [0, 1, 2].map(|at: usize| servers[at].origin.address);
    let trusted: Vec<&Server> = servers.iter().collect();
    let operated = Operated::start(&keyed(&addresses, "sni", "tls-passthrough"));
    let client = Client::trusting(&trusted, &["h2"], true);
    let hears = |client: &Client, name: &str| -> usize {
        let said = client.hears(name, operated.ringway.connect()).expect("a handshake");
        said.parse().expect("the number of a server")
    };
    let owners: Vec<usize> = names
        .iter()
        .map(|name| {
            let owner = told(&operated, name, &addresses);
            assert_eq!(told(&operated, &format!("{}.", name.to_uppercase()), &addresses), owner);
            for name in [name.clone(), name.to_uppercase()] {
                assert_eq!(hears(&client, &name), owner, "{name}");
            }
            owner
        })
        .collect();
    assert!(is_spread(owners.into_iter()));
    let unnamed = Client::trusting(&trusted, &[], false);
    assert!(is_spread((0..40).map(|_| hears(&unnamed, &names[0]))));
}
