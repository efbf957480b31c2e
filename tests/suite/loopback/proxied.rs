//! Listeners behind another balancer: the PROXY header says who the client is.

use super::harness::*;
use super::load::Operated;
use std::io::{Read, Write};

const TRUSTING: &str = "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[runtime]\nshards = 1\n";

fn http(origin: &Origin, more: &str) -> String {
    let text = config(&[origin.address], more);
    text.replace("protocol = \"http\"", "protocol = \"http\"\nproxy_protocol = \"require\"")
}

fn v2(source: [u8; 4], port: u16, tlvs: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend((12 + tlvs.len() as u16).to_be_bytes());
    header.extend(source);
    header.extend([127, 0, 0, 1]);
    header.extend(port.to_be_bytes());
    header.extend(80u16.to_be_bytes());
    header.extend(tlvs);
    header
}

#[test]
fn the_announced_client_is_the_client_in_whatever_pieces_it_is_announced() {
    let origin = Origin::http(|head, _| ok(head.as_bytes()));
    let ringway = Ringway::with_config(&http(&origin, TRUSTING));
    let get = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    let many = [&[0x20u8, 0x0f, 0xa0][..], &[7; 4_000]].concat();
    for (header, client) in [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2([192, 0, 2, 9], 4_711, b""), "192.0.2.9"),
        (v2([192, 0, 2, 9], 4_711, &many), "192.0.2.9"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00".to_vec(), "127.0.0.1"),
    ] {
        for piece in [1, 16, 100_000] {
            let mut stream = ringway.connect();
            stream.set_nodelay(true).expect("set");
            let all = [&header[..], get].concat();
            all.chunks(piece).for_each(|part| stream.write_all(part).expect("sent"));
            let answer = String::from_utf8(read_to_end(&mut stream)).expect("text");
            let told = format!("\r\nX-Forwarded-For: {client}\r\n");
            assert!(answer.contains(&told), "{client}, in pieces of {piece}: {answer}");
        }
    }
}

#[test]
fn without_a_valid_header_from_a_trusted_address_nobody_is_served() {
    let origin = Origin::http(|_, _| ok(b"served"));
    let trusting = Ringway::with_config(&http(&origin, TRUSTING));
    let others = "[http]\ntrusted_proxies = [\"192.0.2.0/24\"]\n[runtime]\nshards = 1\n";
    let distrusting = Ringway::with_config(&http(&origin, others));
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let valid = format!("PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n{get}");
    for (ringway, sent) in [
        (&trusting, get),
        (&trusting, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 99999\r\n"),
        (&trusting, "PROXY TCP4 192.0.2.7 2001:db8::1 4711 80\r\n"),
        (&distrusting, &*valid),
    ] {
        let mut stream = ringway.connect();
        let _ = stream.write_all(sent.as_bytes());
        let mut byte = [0; 1];
        assert!(!matches!(stream.read(&mut byte), Ok(1)), "served after {sent:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_header_goes_before_what_is_forwarded_too() {
    let origin = Origin::start(|mut stream| {
        let asked = read_to_end(&mut stream);
        let _ = stream.write_all(&asked);
    });
    let text = format!(
        "{TRUSTING}[[listener]]\nname = \"db\"\naddress = \"127.0.0.1:0\"\nprotocol = \"tcp\"\n\
         proxy_protocol = \"require\"\n[pool.db.health]\nprotocol = \"none\"\n\
         [[pool.db.backend]]\naddress = \"{}\"\n",
        origin.address
    );
    let ringway = Ringway::with_config(&text);
    let mut stream = ringway.connect();
    stream.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nbytes").expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("ended");
    assert_eq!(read_to_end(&mut stream), b"bytes", "the header is the proxy's, not the backend's");
}

#[test]
fn a_backend_that_expects_a_header_gets_one_on_each_connection_and_each_is_one_clients() {
    let origin = Origin::start(|mut stream| {
        let first = read_until(&mut stream, b"\r\n");
        for _ in 0..2 {
            read_until(&mut stream, b"\r\n\r\n");
            let _ = stream.write_all(&ok(&first));
        }
    });
    let more = format!("{TRUSTING}[pool.all]\nproxy_protocol = \"v1\"\n");
    let text = config(&[origin.address], &more);
    let text =
        text.replace("protocol = \"http\"", "protocol = \"http\"\nproxy_protocol = \"require\"");
    let ringway = Ringway::with_config(&text);
    for client in ["192.0.2.7", "192.0.2.8"] {
        let mut stream = ringway.connect();
        let header = format!("PROXY TCP4 {client} 192.0.2.1 4711 80\r\n");
        stream.write_all(header.as_bytes()).expect("sent");
        for _ in 0..2 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
            let answer = String::from_utf8(read_until(&mut stream, b"\r\n\r\n")).expect("text");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            let told = String::from_utf8(read_until(&mut stream, b"\r\n")).expect("text");
            assert_eq!(told, header, "what the proxy before says, its destination too");
        }
    }
    assert_eq!(origin.connections(), 4, "no connection serves two clients, or says nothing");
}

#[test]
fn what_is_forwarded_is_announced_too() {
    let origin = Origin::start(|mut stream| {
        let mut header = [0; 28];
        let _ = stream.read_exact(&mut header);
        let _ = stream.write_all(&header);
        let rest = read_to_end(&mut stream);
        let _ = stream.write_all(&rest);
    });
    let text = format!(
        "[runtime]\nshards = 1\n[[listener]]\nname = \"db\"\naddress = \"0.0.0.0:0\"\n\
         protocol = \"tcp\"\n[pool.db]\nproxy_protocol = \"v2\"\n[pool.db.health]\n\
         protocol = \"none\"\n[[pool.db.backend]]\naddress = \"{}\"\n",
        origin.address
    );
    let ringway = Ringway::with_config(&text);
    let mut stream = ringway.connect();
    let port = stream.local_addr().expect("an address").port();
    stream.write_all(b"bytes").expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("ended");
    let mut header = v2([127, 0, 0, 1], port, b"");
    header[26..].copy_from_slice(&ringway.address.port().to_be_bytes());
    assert_eq!(read_to_end(&mut stream), [&header[..], b"bytes"].concat());
}

#[test]
fn the_limit_for_a_client_holds_for_the_one_that_is_announced_and_not_for_the_proxy() {
    let origin = Origin::http(|_, _| ok(b"served"));
    let more = format!("{TRUSTING}max_connections_per_client = 2\n");
    let ringway = Ringway::with_config(&http(&origin, &more));
    let asks = |stream: &mut std::net::TcpStream, client: &str| {
        let header = format!("PROXY TCP4 {client} 192.0.2.1 4711 80\r\n");
        let sent = format!("{header}GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        let _ = stream.write_all(sent.as_bytes());
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).is_ok_and(|()| answer == *b"HTTP/1.1 200")
    };
    // All of them are open before the first one says whose it is.
    let mut streams: Vec<_> = (0..8).map(|_| ringway.connect()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        assert!(asks(stream, &format!("192.0.2.{}", number / 2)), "connection {number}");
    }
    assert!(!asks(&mut ringway.connect(), "192.0.2.1"), "a third one");
    streams.truncate(2);
    await_that("there is room again", || asks(&mut ringway.connect(), "192.0.2.1"));
}

/// Records of the access log, once there are as many.
fn records(operated: &Operated, count: usize) -> Vec<serde_json::Value> {
    let access = operated.file.with_file_name("access");
    let read = || std::fs::read_to_string(&access).expect("text");
    await_that("all are recorded", || read().matches('\n').count() == count);
    read().lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

#[test]
fn a_connection_without_a_valid_header_is_recorded_with_its_listener_and_the_reason() {
    let origin = Origin::http(|_, _| ok(b"served"));
    let more = "[timeouts]\nrequest_head = \"1s\"\n[access_log]\npath = \"FOLDER/access\"\n";
    for protocol in ["http", "tcp"] {
        let text = http(&origin, &format!("{TRUSTING}{more}"));
        let text = text.replace("protocol = \"http\"", &format!("protocol = \"{protocol}\""));
        let operated = Operated::start(&text);
        let ports =
            [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY nonsense\r\n", b"PROX", b""].map(|sent| {
                let mut stream = operated.ringway.connect();
                let port = stream.local_addr().expect("an address").port();
                let _ = stream.write_all(sent);
                let mut byte = [0; 1];
                assert!(!matches!(stream.read(&mut byte), Ok(1)), "served after {sent:?}");
                port
            });
        let records = records(&operated, ports.len());
        let late = ("head_timeout", serde_json::Value::Null);
        let no_header = "the connection does not begin with a PROXY protocol header";
        let other = "the PROXY line has a protocol other than TCP4, TCP6, UNKNOWN";
        let expected = [
            ("malformed_proxy_header", no_header.into()),
            ("malformed_proxy_header", other.into()),
            late.clone(),
            late,
        ];
        for ((record, port), (failure, refusal)) in records.iter().zip(ports).zip(expected) {
            assert_eq!(record["failure"], failure, "{record}");
            assert_eq!(record["refusal"], refusal, "{record}");
            assert_eq!(
                (&record["client"], &record["client_port"]),
                (&"127.0.0.1".into(), &port.into())
            );
            assert_eq!(
                (&record["protocol"], &record["listener"]),
                (&protocol.into(), &"web".into())
            );
        }
        assert_eq!(operated.metric("ringway_listener_refused_total"), 4);
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_header_that_is_refused_before_http_is_recorded_and_counted() {
    let origin = Origin::http(|_, _| ok(b"served"));
    let log = "[access_log]\npath = \"FOLDER/access\"\n";
    let operated = Operated::start(&http(&origin, &format!("{TRUSTING}{log}")));
    let mut stream = operated.ringway.connect();
    let _ = stream.write_all(b"PROXY nonsense\r\n");
    assert_eq!(read_to_end(&mut stream), b"");
    let access = operated.file.with_file_name("access");
    await_that("it is recorded", || {
        std::fs::read_to_string(&access).expect("text").ends_with('\n')
    });
    let text = std::fs::read_to_string(&access).expect("text");
    let record: serde_json::Value = serde_json::from_str(&text).expect("one record");
    assert_eq!(record["failure"], "malformed_proxy_header", "{record}");
    assert!(record["protocol"] == "http" && record["status"] == 0 && record["method"] == "");
    assert_eq!(operated.metric("ringway_listener_refused_total"), 1);
}
