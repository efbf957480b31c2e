//! What a PROXY header says beside the addresses: what came in, what a ClientHello says, what
//! Ringway adds.

use super::harness::*;
use super::load::Operated;
use super::tls_passthrough::Client;
use ringway::proxy_protocol::{Tlv, read};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

/// The TLVs of a header.
type Said = Vec<(u8, Vec<u8>)>;

/// The header at the beginning of a connection, and what it says.
fn read_header(stream: &mut TcpStream) -> Said {
    let mut bytes = vec![0; 16];
    stream.read_exact(&mut bytes).expect("a header");
    let length = 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    bytes.resize(length, 0);
    stream.read_exact(&mut bytes[16..]).expect("all of it");
    // The reader checks the checksum.
    let header = read(&bytes).expect("valid").expect("complete");
    header.tlvs.map(|Tlv { kind, value }| (kind, value.to_vec())).collect()
}

/// Reports the header of each connection, and answers one request or the end of what comes.
fn origin() -> (Origin, Receiver<Said>) {
    let (said, heard) = channel();
    let said = Arc::new(Mutex::new(said));
    let origin = Origin::start(move |mut stream| {
        let header = read_header(&mut stream);
        let _ = said.lock().expect("no panic").send(header);
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&ok(b"good"));
    });
    (origin, heard)
}

/// A listener behind a proxy, and a pool that is told these TLVs.
fn told(origin: SocketAddr, protocol: &str, tlvs: &str) -> String {
    let more = format!(
        "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[runtime]\nshards = 1\n[access_log]\n\
         path = \"FOLDER/access\"\n[pool.all]\nproxy_protocol = \"v2\"\nproxy_tlvs = [{tlvs}]\n"
    );
    let listener = format!("protocol = \"{protocol}\"\nproxy_protocol = \"require\"");
    config(&[origin], &more).replace("protocol = \"http\"", &listener)
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind, (value.len() >> 8) as u8, value.len() as u8], value].concat()
}

/// A header with these TLVs, from a client at 192.0.2.7.
fn header(tlvs: &[Vec<u8>]) -> Vec<u8> {
    let tlvs = tlvs.concat();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend((12 + tlvs.len() as u16).to_be_bytes());
    header.extend([192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x67, 0, 80]);
    header.extend(tlvs);
    header
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";

/// What the backend is told of a connection that begins with these TLVs, and its record.
fn passed_on(protocol: &str, tlvs: &str, came: &[Vec<u8>]) -> (Said, serde_json::Value) {
    let (origin, heard) = origin();
    let operated = Operated::start(&told(origin.address, protocol, tlvs));
    let mut stream = operated.ringway.connect();
    stream.write_all(&[&header(came), GET].concat()).expect("sent");
    let _ = stream.shutdown(Shutdown::Write);
    assert!(read_to_end(&mut stream).ends_with(b"good"));
    let said = heard.recv_timeout(PATIENCE).expect("a header");
    let access = operated.file.with_file_name("access");
    let text = || std::fs::read_to_string(&access).expect("text");
    await_that("it is recorded", || text().ends_with('\n'));
    (said, serde_json::from_str(&text()).expect("one record"))
}

#[test]
fn what_came_in_goes_on_where_the_pool_says_so_and_nothing_does_by_default() {
    let cloud = tlv(0xea, b"\x01vpce-08d2bf15fac5001c9");
    let long = tlv(0xe1, &[7; 9_000]);
    let authority = tlv(Tlv::AUTHORITY, b"shop.example");
    let came = [cloud, tlv(Tlv::NOOP, b"padding"), long, authority];
    let expected = [
        (0xea, b"\x01vpce-08d2bf15fac5001c9".to_vec()),
        (0xe1, vec![7; 9_000]),
        (Tlv::AUTHORITY, b"shop.example".to_vec()),
    ];
    for protocol in ["http", "tcp"] {
        assert!(passed_on(protocol, "", &came).0.is_empty());
        let (said, record) = passed_on(protocol, "\"received\"", &came);
        assert!(said == expected, "{protocol}: {said:?}");
        assert!(record["unique_id"].is_null());
        let (said, _) = passed_on(protocol, "\"received\", \"crc32c\"", &came);
        assert_eq!((said.len(), said[3].0), (4, Tlv::CRC32C));
    }
}

#[test]
fn an_identifier_is_the_one_that_came_or_one_of_its_own_and_is_recorded() {
    let came = [tlv(Tlv::UNIQUE_ID, b"from-the-edge-7")];
    for protocol in ["http", "tcp"] {
        let (said, record) = passed_on(protocol, "\"unique-id\"", &came);
        assert_eq!(said, [(Tlv::UNIQUE_ID, b"from-the-edge-7".to_vec())]);
        assert_eq!(record["unique_id"], "from-the-edge-7");
        let (said, record) = passed_on(protocol, "\"unique-id\"", &[]);
        let [(Tlv::UNIQUE_ID, id)] = &said[..] else { panic!("{said:?}") };
        let id = String::from_utf8(id.clone()).expect("text");
        assert!(id.len() == 28 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(record["unique_id"], *id);
    }
}

#[test]
fn every_request_of_a_connection_has_its_identifier_and_no_other_connection_has() {
    let (origin, heard) = origin();
    let text = told(origin.address, "http", "\"unique-id\"");
    let ringway =
        Ringway::with_config(&text.replace("[access_log]\npath = \"FOLDER/access\"\n", ""));
    let mut identifiers = Vec::new();
    for _ in 0..2 {
        let mut stream = ringway.connect();
        stream.write_all(&header(&[])).expect("sent");
        for _ in 0..2 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
            read_until(&mut stream, b"good");
            identifiers.push(heard.recv_timeout(PATIENCE).expect("a header"));
        }
    }
    assert_eq!(identifiers[0], identifiers[1]);
    assert_eq!(identifiers[2], identifiers[3]);
    assert_ne!(identifiers[0], identifiers[2]);
}

#[test]
fn what_a_client_of_tls_asks_for_is_told_before_its_own_bytes() {
    let (said, heard) = channel();
    let said = Arc::new(Mutex::new(said));
    let origin = Origin::start(move |mut stream| {
        let header = read_header(&mut stream);
        let mut first = [0; 1];
        let _ = stream.read_exact(&mut first);
        let _ = said.lock().expect("no panic").send((header, first[0]));
    });
    let all = "\"authority\", \"alpn\", \"crc32c\"";
    for (tlvs, alpn, expected) in [
        (all, &["h2", "http/1.1"][..], &[(Tlv::AUTHORITY, "a.test"), (Tlv::ALPN, "h2")][..]),
        (all, &["\u{a}\u{a}", "h2"], &[(Tlv::AUTHORITY, "a.test"), (Tlv::ALPN, "h2")]),
        ("\"authority\"", &["h2"], &[(Tlv::AUTHORITY, "a.test")]),
        ("\"alpn\"", &[], &[]),
    ] {
        let text = told(origin.address, "tls-passthrough", tlvs);
        let ringway = Ringway::with_config(
            &text
                .replace("\nproxy_protocol = \"require\"", "")
                .replace("[access_log]\npath = \"FOLDER/access\"\n", ""),
        );
        let client = Client::trusting(&[], alpn, true);
        let mut stream = ringway.connect();
        stream.write_all(&client.hello("A.test")).expect("sent");
        let (header, first) = heard.recv_timeout(PATIENCE).expect("a header");
        assert_eq!(first, 22, "the hello follows");
        let has_checksum = header.iter().any(|(kind, _)| *kind == Tlv::CRC32C);
        assert_eq!(has_checksum, tlvs == all);
        let found: Vec<_> = header.iter().filter(|(kind, _)| *kind != Tlv::CRC32C).collect();
        let found: Vec<_> = found
            .into_iter()
            .map(|(kind, value)| (*kind, std::str::from_utf8(value).expect("text")))
            .collect();
        assert_eq!(found, expected, "{tlvs} {alpn:?}");
    }
}
