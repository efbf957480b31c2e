//! HTTP/1.1 through the proxy, as a client and a backend see it.

use super::harness::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

#[test]
fn curl_gets_what_the_backend_says_and_the_backend_learns_who_asks() {
    let origin = Origin::http(|head, _| ok(head.as_bytes()));
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let url = format!("http://{}/a/b?c=d", ringway.address);
    let out = Command::new("curl").args(["-sS", "-H", "X-Forwarded-For: 6.6.6.6", &url]).output();
    let text = String::from_utf8(out.expect("curl is installed").stdout).expect("text");
    assert!(text.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{text}");
    assert!(text.contains(&format!("\r\nHost: {}\r\n", ringway.address)), "{text}");
    assert!(
        text.contains("\r\nX-Forwarded-For: 127.0.0.1\r\n"),
        "what the client says is no proof"
    );
    assert!(text.contains("\r\nX-Forwarded-Proto: http\r\n"), "{text}");
    assert!(!text.contains("Connection:"), "{text}");
}

#[test]
fn requests_on_one_connection_are_answered_in_order_also_when_pipelined() {
    let origin = Origin::http(|head, body| {
        let path = head.split(' ').nth(1).expect("a path").to_owned();
        ok(&[path.as_bytes(), b"+", body].concat())
    });
    let ringway = Ringway::with_config(&config(&[origin.address], "[runtime]\nshards = 1\n"));
    let mut all = String::new();
    let mut expected = String::new();
    for n in 0..20 {
        if n % 3 == 0 {
            all +=
                &format!("POST /{n} HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nab{}", n % 10);
            expected += &format!("/{n}+ab{}", n % 10);
        } else if n % 3 == 1 {
            all += &get(&format!("/{n}"));
            expected += &format!("/{n}+");
        } else {
            let head =
                format!("PUT /{n} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
            all += &format!("{head}2\r\nxy\r\n1\r\nz\r\n0\r\n\r\n");
            expected += &format!("/{n}+xyz");
        }
    }
    all += "GET /end HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    expected += "/end+";
    let text = String::from_utf8(ringway.exchange(all.as_bytes())).expect("text");
    let bodies: Vec<&str> = text
        .split("HTTP/1.1 200 OK\r\n")
        .filter_map(|answer| answer.split_once("\r\n\r\n").map(|(_, body)| body))
        .collect();
    assert_eq!(bodies.concat(), expected);
    assert_eq!(origin.connections(), 1, "the connection to the backend is used again");
}

#[test]
fn bodies_of_any_size_and_framing_arrive_whole_both_ways() {
    let origin = Origin::http(|head, body| {
        if head.starts_with("POST /chunked") {
            let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in body.chunks(10_000) {
                answer.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                answer.extend_from_slice(chunk);
                answer.extend_from_slice(b"\r\n");
            }
            answer.extend_from_slice(b"0\r\nX-Trailer: yes\r\n\r\n");
            return answer;
        }
        ok(body)
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "2"]);
    let folder = TempFolder::new();
    for size in [0, 1, 4_095, 4_097, 16_384, 100_000, 5_000_000] {
        let bytes: Vec<u8> = (0..size).map(|at: u32| (at.wrapping_mul(131) >> 3) as u8).collect();
        let file = folder.0.join("body");
        std::fs::write(&file, &bytes).expect("written");
        for (path, field) in [("sized", "X-A: b"), ("chunked", "Transfer-Encoding: chunked")] {
            let url = format!("http://{}/{path}", ringway.address);
            let data = format!("@{}", file.display());
            let out = Command::new("curl")
                .args(["-sS", "-H", field, "--data-binary", &data, &url])
                .output()
                .expect("curl is installed");
            assert!(out.stdout == bytes, "{size} bytes, {path}: {} came back", out.stdout.len());
        }
    }
}

#[test]
fn trailers_go_through_and_head_has_no_body() {
    let origin = Origin::http(|head, _| match head {
        head if head.starts_with("HEAD") => {
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".to_vec()
        }
        _ => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n"
            .to_vec(),
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let mut stream = ringway.connect();
    stream.write_all(b"HEAD / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    let head = read_until(&mut stream, b"\r\n\r\n");
    assert!(String::from_utf8_lossy(&head).contains("Content-Length: 99\r\n"));
    stream.write_all(get("/").as_bytes()).expect("sent");
    let answer = read_until(&mut stream, b"X-T: 1\r\n\r\n");
    assert!(answer.ends_with(b"\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n"));
}

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_backend() {
    let origin = Origin::start(|mut stream| {
        let head = read_until(&mut stream, b"\r\n\r\n");
        assert!(String::from_utf8_lossy(&head).contains("Expect: 100-continue\r\n"));
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").expect("sent");
        let mut body = [0; 5];
        stream.read_exact(&mut body).expect("the body");
        stream.write_all(&ok(&body)).expect("sent");
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let mut stream = ringway.connect();
    let head = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    assert_eq!(read_until(&mut stream, b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").expect("sent");
    assert!(read_until(&mut stream, b"hello").starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn http_1_0_is_served_both_ways() {
    let origin = Origin::start(|mut stream| {
        let head = read_until(&mut stream, b"\r\n\r\n");
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let old = b"HTTP/1.0 200 OK\r\n\r\nuntil the end";
        let is_old = head.starts_with(b"GET /old");
        stream.write_all(if is_old { &old[..] } else { &chunked[..] }).expect("sent");
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let answer = ringway.exchange(b"GET /new HTTP/1.0\r\n\r\n");
    assert_eq!(body(&answer), b"abcde", "no framing that HTTP/1.0 does not know");
    let answer = ringway.exchange(get("/old").as_bytes());
    assert!(String::from_utf8_lossy(&answer).contains("Connection: close\r\n"));
    assert_eq!(body(&answer), b"until the end");
}

fn echo_after_upgrade(mut stream: TcpStream) {
    let head = read_until(&mut stream, b"\r\n\r\n");
    let text = String::from_utf8_lossy(&head).into_owned();
    if !text.contains("Upgrade: websocket\r\n") {
        stream.write_all(&ok(b"plain")).expect("sent");
        return;
    }
    let answer =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(answer).expect("sent");
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..length]).expect("sent");
    }
    stream.write_all(b"bye").expect("sent");
}

#[test]
fn an_upgrade_becomes_a_tunnel_in_which_each_side_ends_on_its_own() {
    let origin = Origin::start(echo_after_upgrade);
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let mut stream = ringway.connect();
    let head = "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    // What follows the head already belongs to the tunnel.
    stream.write_all(format!("{head}early").as_bytes()).expect("sent");
    let answer = read_until(&mut stream, b"\r\n\r\n");
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(read_until(&mut stream, b"early"), b"early");
    let big = vec![7; 300_000];
    let mut reader = stream.try_clone().expect("a second handle");
    let expected = big.clone();
    let reading = std::thread::spawn(move || {
        let mut got = vec![0; expected.len()];
        reader.read_exact(&mut got).expect("echoed");
        assert!(got == expected);
    });
    stream.write_all(&big).expect("sent");
    reading.join().expect("the echo is whole");
    stream.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(read_to_end(&mut stream), b"bye", "the other direction goes on");
}

#[test]
fn an_upgrade_to_what_is_not_allowed_is_an_ordinary_request() {
    let origin = Origin::start(echo_after_upgrade);
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let head = "GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(body(&ringway.exchange(head.as_bytes())), b"plain");
}

#[test]
fn a_client_that_ends_its_direction_still_gets_the_whole_answer() {
    let origin = Origin::http(|_, _| ok(&vec![b'x'; 1_000_000]));
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    for behind in ["", "\r\n", "\n", "GET /cut HTTP", "PUT / HTTP/1.1\r\nContent-Length: 9\r\n"] {
        for _ in 0..3 {
            let mut stream = ringway.connect();
            stream.write_all(format!("{}{behind}", get("/")).as_bytes()).expect("sent");
            stream.shutdown(Shutdown::Write).expect("half closed");
            assert_eq!(body(&read_to_end(&mut stream)).len(), 1_000_000, "behind it: {behind:?}");
        }
    }
}

#[test]
fn routes_go_by_host_and_path_and_what_has_none_is_404() {
    let (shop, all) = (Origin::saying("shop"), Origin::saying("all"));
    let ringway = Ringway::with_config(&format!(
        "[[listener]]\nname = \"web\"\naddress = \"LISTEN\"\nprotocol = \"http\"\n\
         [[route]]\nhost = \"shop.test\"\npath = \"/buy\"\npool = \"shop\"\n\
         [[route]]\nhost = \"*.test\"\npool = \"all\"\n\
         [[pool.shop.backend]]\naddress = \"{}\"\n[[pool.all.backend]]\naddress = \"{}\"\n",
        shop.address, all.address
    ));
    let mut stream = ringway.connect();
    for (host, path, expected) in [
        ("shop.test", "/buy/now", "shop"),
        ("SHOP.test:80", "/buy", "shop"),
        ("shop.test", "/", "all"),
        ("x.y.test", "/buy", "all"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let answer = read_until(&mut stream, expected.as_bytes());
        assert_eq!(status(&answer), 200, "{host}{path}");
    }
    // A local answer does not cost the connection.
    stream.write_all(b"GET / HTTP/1.1\r\nHost: other\r\n\r\n").expect("sent");
    let answer = read_until(&mut stream, b"path.\n");
    assert_eq!(status(&answer), 404);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").expect("sent");
    assert_eq!(body(&read_to_end(&mut stream)), b"all");
}

#[test]
fn weights_are_followed_and_connect_failures_are_not_seen() {
    let (heavy, light) = (Origin::saying("heavy"), Origin::saying("light"));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead_address = dead.local_addr().expect("bound");
    drop(dead);
    let heavy_with_weight = format!("{}*9", heavy.address);
    let arguments =
        ["--shards", "1", "--algorithm", "round-robin", "--backend", heavy_with_weight.as_str()];
    let ringway = Ringway::start(&[light.address, dead_address], &arguments);
    let mut stream = ringway.connect();
    let mut heavy_count = 0;
    for _ in 0..200 {
        stream.write_all(get("/").as_bytes()).expect("sent");
        let answer = read_until(&mut stream, b"\r\n\r\n");
        assert_eq!(status(&answer), 200);
        let mut word = [0; 5];
        stream.read_exact(&mut word).expect("a body");
        heavy_count += usize::from(&word == b"heavy");
    }
    assert!((160..=190).contains(&heavy_count), "{heavy_count} of 200");
}

#[test]
fn no_backend_at_all_is_a_quick_503_with_the_configured_body() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = dead.local_addr().expect("bound");
    drop(dead);
    let more =
        "[[error_answer]]\nstatus = 503\ncontent_type = \"text/html\"\nbody = \"<p>later\"\n";
    let ringway = Ringway::with_config(&config(&[address], more));
    for _ in 0..3 {
        let answer = ringway.exchange(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&answer), 503);
        assert!(String::from_utf8_lossy(&answer).contains("Content-Type: text/html\r\n"));
        assert_eq!(body(&answer), b"<p>later");
    }
}

#[test]
fn an_idle_connection_that_died_is_no_clients_trouble() {
    let origin = Origin::start(|mut stream| {
        // One answer, kept open by its own word, and closed all the same when the next one comes.
        read_until(&mut stream, b"\r\n\r\n");
        stream.write_all(&ok(b"once")).expect("sent");
        let mut byte = [0];
        let _ = stream.read(&mut byte);
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let mut stream = ringway.connect();
    for _ in 0..50 {
        stream.write_all(get("/").as_bytes()).expect("sent");
        let answer = read_until(&mut stream, b"\r\n\r\n");
        assert_eq!(status(&answer), 200);
        assert_eq!(read_until(&mut stream, b"once"), b"once");
    }
}

#[test]
fn limits_on_bodies_and_heads_are_kept() {
    let origin = Origin::saying("fine");
    let more = "[http]\nrequest_body_max = \"1KiB\"\nhead_bytes_max = \"2KiB\"\n";
    let ringway = Ringway::with_config(&config(&[origin.address], more));
    let sized = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1025\r\n\r\n";
    assert_eq!(status(&ringway.exchange(sized.as_bytes())), 413);
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n{}",
        "x".repeat(2048)
    );
    assert_eq!(status(&ringway.exchange(chunked.as_bytes())), 413);
    let long = format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "y".repeat(3000));
    assert_eq!(status(&ringway.exchange(long.as_bytes())), 431);
    let target = format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "y".repeat(1500));
    assert_eq!(status(&ringway.exchange(target.as_bytes())), 414);
    let many: String = (0..101).map(|n| format!("X-{n}: 1\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: t\r\n{many}\r\n");
    assert_eq!(status(&ringway.exchange(many.as_bytes())), 431);
    assert_eq!(ringway.status_of("/"), 200);
}
