//! Keys keep their backends: over shards, processes, and whatever happens to other backends.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, body, ok, read_to_end};
use crate::loopback::load::Operated;
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
