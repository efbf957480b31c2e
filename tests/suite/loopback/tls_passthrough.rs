//! TLS that is forwarded unread, by server name and protocol, with real clients and servers of TLS.

use super::harness::*;
use super::load::Operated;
use rcgen::{CertificateParams, KeyPair};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

/// A server of TLS that says its name to each client that asks for one it has.
pub struct Server {
    pub origin: Origin,
    certificate: CertificateDer<'static>,
}

impl Server {
    pub fn of(name: &'static str, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(names).expect("names").self_signed(&key);
        let certificate = certificate.expect("a certificate").der().clone();
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], private)
                .expect("a key");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let origin = Origin::start(move |stream| {
            let connection = ServerConnection::new(config.clone()).expect("a configuration");
            let mut stream = StreamOwned::new(connection, stream);
            let _ = stream.write_all(name.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        });
        Self { origin, certificate }
    }
}

pub struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    pub fn trusting(servers: &[&Server], alpn: &[&str], names_server: bool) -> Self {
        let mut roots = RootCertStore::empty();
        servers.iter().for_each(|one| roots.add(one.certificate.clone()).expect("a certificate"));
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.enable_sni = names_server;
        Self { config: Arc::new(config) }
    }

    fn connection(&self, name: &str) -> ClientConnection {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        ClientConnection::new(self.config.clone(), name).expect("a configuration")
    }

    /// What the server that is reached by this name says.
    pub fn hears(&self, name: &str, stream: TcpStream) -> std::io::Result<String> {
        let mut stream = StreamOwned::new(self.connection(name), stream);
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        Ok(said)
    }

    pub fn hello(&self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.connection(name).write_tls(&mut bytes).expect("written");
        bytes
    }
}

fn config(pools: &[(&str, SocketAddr)], more: &str, routes: &str) -> String {
    let mut text = String::from("[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:0\"\n");
    text += &format!("protocol = \"tls-passthrough\"\n{more}[runtime]\nshards = 1\n{routes}");
    for (name, address) in pools {
        text += &format!("[pool.{name}.health]\nprotocol = \"none\"\n");
        text += &format!("[[pool.{name}.backend]]\naddress = \"{address}\"\n");
    }
    text
}

fn route(host: &str, pool: &str) -> String {
    format!("[[route]]\nlistener = \"tls\"\nhost = \"{host}\"\npool = \"{pool}\"\n")
}

fn closes(operated: &Operated, reason: &str) -> bool {
    let text = operated.asked("GET /metrics", "");
    let series = format!("reason=\"{reason}\"");
    text.lines().any(|line| line.contains(&series) && line.ends_with(" 1"))
}

#[test]
fn each_name_leads_to_its_server_whose_certificate_the_client_sees() {
    let one = Server::of("one", &["one.example"]);
    let wild = Server::of("wild", &["a.wild.example", "B.wild.example"]);
    let other = Server::of("other", &["else.example"]);
    let pools =
        [("a", one.origin.address), ("b", wild.origin.address), ("c", other.origin.address)];
    let routes = [
        route("one.example", "a"),
        route("*.wild.example", "b"),
        "[[route]]\nlistener = \"tls\"\npool = \"c\"\n".to_owned(),
    ];
    let ringway = Ringway::with_config(&config(&pools, "", &routes.concat()));
    let client = Client::trusting(&[&one, &wild, &other], &["h2"], true);
    for (name, server) in [
        ("one.example", "one"),
        ("ONE.Example", "one"),
        ("a.wild.example", "wild"),
        ("b.wild.example", "wild"),
        ("else.example", "other"),
    ] {
        let said = client.hears(name, ringway.connect());
        assert_eq!(said.expect("a handshake with the right server"), server, "{name}");
    }
    let unnamed = Client::trusting(&[&other], &[], false);
    let said = unnamed.hears("else.example", ringway.connect());
    assert_eq!(said.expect("without a name the default"), "other");
}

#[test]
fn a_hello_is_forwarded_as_it_is_however_it_was_cut() {
    let (heard, hears) = std::sync::mpsc::channel();
    let origin = Origin::start(move |mut stream| {
        let _ = heard.send(read_to_end(&mut stream));
    });
    let routes = route("one.example", "a");
    let ringway = Ringway::with_config(&config(&[("a", origin.address)], "", &routes));
    let behind = "proxy_protocol = \"require\"\n[http]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let proxied = Ringway::with_config(&config(&[("a", origin.address)], behind, &routes));
    let client = Client::trusting(&[], &["h2", "http/1.1"], true);
    for (piece, records) in [1, 7, 100, 10_000].into_iter().flat_map(|p| [(p, 1), (p, 2), (p, 5)]) {
        let mut hello = in_records(&client.hello("one.example"), records);
        hello.extend_from_slice(b"and what follows");
        for (ringway, header) in [(&ringway, &b""[..]), (&proxied, b"PROXY UNKNOWN\r\n")] {
            let mut stream = ringway.connect();
            stream.set_nodelay(true).expect("set");
            let sent = [header, &hello].concat();
            sent.chunks(piece).for_each(|part| stream.write_all(part).expect("sent"));
            stream.shutdown(std::net::Shutdown::Write).expect("ended");
            let is_same = hears.recv().expect("heard") == hello;
            assert!(is_same, "changed, in pieces of {piece} and {records} records");
        }
    }
}

/// A ClientHello in so many records of TLS, the first of which ends in the middle of its name.
fn in_records(hello: &[u8], records: usize) -> Vec<u8> {
    let name = b"one.example";
    let at = hello.windows(name.len()).position(|part| part == name).expect("it is there");
    let (message, cut) = (&hello[5..], at + 3 - 5);
    let (first, rest) = match records {
        1 => (message, &message[message.len()..]),
        _ => message.split_at(cut),
    };
    let each = rest.len().div_ceil(records.max(2) - 1).max(1);
    let parts = std::iter::once(first).chain(rest.chunks(each));
    parts
        .flat_map(|part| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat())
        .collect()
}

#[test]
fn a_name_without_a_route_gets_the_alert_that_says_so() {
    let one = Server::of("one", &["one.example"]);
    let routes = route("one.example", "a");
    let text = config(&[("a", one.origin.address)], "no_sni = \"reject\"\n", &routes);
    let operated = Operated::start(&text);
    let client = Client::trusting(&[&one], &[], true);
    let error = client.hears("two.example", operated.ringway.connect()).expect_err("refused");
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    await_that("it is counted", || closes(&operated, "unknown_server_name"));
    let unnamed = Client::trusting(&[&one], &[], false);
    let error = unnamed.hears("one.example", operated.ringway.connect()).expect_err("refused");
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    assert_eq!(one.origin.connections(), 0);
}

#[test]
fn a_client_that_names_no_server_and_an_unknown_name_are_two_cases() {
    let [one, none] = [Server::of("one", &["one.example"]), Server::of("none", &["none.example"])];
    let pools = [("a", one.origin.address), ("b", none.origin.address)];
    let routes = route("one.example", "a") + &route("", "b");
    let operated = Operated::start(&config(&pools, "", &routes));
    let unnamed = Client::trusting(&[&none], &[], false);
    let said = unnamed.hears("none.example", operated.ringway.connect());
    assert_eq!(said.expect("without a name its own pool"), "none");
    let client = Client::trusting(&[&one, &none], &[], true);
    let error = client.hears("two.example", operated.ringway.connect()).expect_err("refused");
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    await_that("it is counted", || closes(&operated, "unknown_server_name"));
}

#[test]
fn what_is_not_tls_is_closed_or_goes_where_that_is_configured() {
    let origin = Origin::start(|mut stream| {
        let _ = stream.write_all(b"220 plain\r\n");
        let _ = read_to_end(&mut stream);
    });
    let default = "[[route]]\nlistener = \"tls\"\npool = \"a\"\n";
    let pools = [("a", origin.address)];
    let operated = Operated::start(&config(&pools, "", default));
    let mut stream = operated.ringway.connect();
    stream.write_all(b"EHLO client\r\n").expect("sent");
    let mut byte = [0; 1];
    assert!(!matches!(stream.read(&mut byte), Ok(1)), "not served");
    await_that("it is counted", || closes(&operated, "not_tls"));
    assert_eq!(origin.connections(), 0);

    let more = "not_tls = \"default\"\n";
    let ringway = Ringway::with_config(&config(&pools, more, default));
    let mut stream = ringway.connect();
    stream.write_all(b"EHLO client\r\n").expect("sent");
    assert_eq!(read_until(&mut stream, b"\r\n"), b"220 plain\r\n");
}

#[test]
fn who_sends_no_complete_hello_in_time_goes_where_that_is_configured_with_all_bytes() {
    let (heard, hears) = std::sync::mpsc::channel();
    let origin = Origin::start(move |mut stream| {
        let _ = stream.write_all(b"220 plain\r\n");
        let _ = heard.send(read_to_end(&mut stream));
    });
    let default = "[[route]]\nlistener = \"tls\"\npool = \"a\"\n";
    let more = "not_tls = \"default\"\n[timeouts]\nrequest_head = \"1s\"\n";
    let ringway = Ringway::with_config(&config(&[("a", origin.address)], more, default));
    // One may wait for its server to speak first, or have begun as TLS does and await an answer.
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x01\x00\x01"] {
        let mut stream = ringway.connect();
        stream.write_all(begun).expect("sent");
        assert_eq!(read_until(&mut stream, b"\r\n"), b"220 plain\r\n", "{begun:?}");
        stream.write_all(b"more").expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("ended");
        assert_eq!(hears.recv().expect("heard"), [begun, b"more"].concat());
    }
}

#[test]
fn each_connection_is_recorded_with_its_name_and_the_reason_of_its_end() {
    let one = Server::of("one", &["one.example"]);
    let log = "[access_log]\npath = \"FOLDER/access.log\"\n[timeouts]\nrequest_head = \"1s\"\n";
    let routes = route("one.example", "a") + log;
    let operated = Operated::start(&config(&[("a", one.origin.address)], "", &routes));
    let path = operated.file.with_file_name("access.log");
    let client = Client::trusting(&[&one], &[], true);
    let hello = client.hello("one.example");
    let mut so_far = 0;
    let mut recorded = |what: &str| {
        let text = || std::fs::read_to_string(&path).unwrap_or_default();
        await_that(what, || text().lines().count() > so_far);
        let line = text().lines().nth(so_far).map(str::to_owned).expect("it was there");
        so_far += 1;
        let record: serde_json::Value = serde_json::from_str(&line).expect("a whole line");
        assert_eq!(record["protocol"], "tls-passthrough", "{record}");
        ["host", "pool", "failure"].map(|key| record[key].as_str().unwrap_or("-").to_owned())
    };

    client.hears("one.example", operated.ringway.connect()).expect("served");
    assert_eq!(recorded("one that is served"), ["one.example", "a", "tunnel_ended"]);
    client.hears("two.example", operated.ringway.connect()).expect_err("refused");
    assert_eq!(recorded("a name without a route"), ["two.example", "-", "unknown_server_name"]);
    for (what, sent, failure) in [
        ("no TLS", &b"EHLO client\r\n"[..], "not_tls"),
        ("a part of a hello", &hello[..50], "head_timeout"),
        ("nothing", b"", "head_timeout"),
    ] {
        let mut stream = operated.ringway.connect();
        stream.write_all(sent).expect("sent");
        assert_eq!(recorded(what), ["", "-", failure], "{what}");
    }
    drop(operated.ringway.connect());
    assert_eq!(recorded("a client that leaves"), ["", "-", "client_closed"]);
}
