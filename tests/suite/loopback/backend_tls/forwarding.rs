//! Bytes over TLS to backends: all of them in order, both ends, the PROXY header first.

use super::*;

/// A mebibyte in which each byte depends on its place.
fn long() -> Vec<u8> {
    (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Sends all of it and the end, and returns what comes meanwhile.
fn exchanged(operated: &Operated, sent: &[u8]) -> Vec<u8> {
    let mut stream = operated.ringway.connect();
    let mut writer = stream.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(sent).expect("it is taken");
            writer.shutdown(std::net::Shutdown::Write).expect("it is open");
        });
        read_to_end(&mut stream)
    })
}

fn assert_same(got: &[u8], sent: &[u8]) {
    let differs = got.iter().zip(sent).position(|(one, other)| one != other);
    assert_eq!((got.len(), differs), (sent.len(), None));
}

#[test]
fn a_mebibyte_comes_back_and_a_half_close_is_passed_on() {
    let authority = Authority::new();
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let origin =
            SecureOrigin::echoing(server_of(&authority.issue(&["shop.test"]), None, versions));
        let operated = run(&authority, &[], &to("tcp", &[origin.address], TRUSTING));
        let sent = long();
        for length in [0, 1, 16_384, 100_000, sent.len()] {
            assert_same(&exchanged(&operated, &sent[..length]), &sent[..length]);
        }
    }
}

#[test]
fn a_backend_that_answers_after_the_end_gets_all_and_answers_all() {
    let authority = Authority::new();
    let config = server(&authority.issue(&["shop.test"]));
    let origin = SecureOrigin::start(config, |mut secured| {
        let mut all = Vec::new();
        if secured.read_to_end(&mut all).is_ok() {
            all.reverse();
            let _ = secured.write_all(&all);
        }
        end(&mut secured);
    });
    let operated = run(&authority, &[], &to("tcp", &[origin.address], TRUSTING));
    let sent = long();
    let mut expected = sent.clone();
    expected.reverse();
    assert_same(&exchanged(&operated, &sent), &expected);
}

#[test]
fn a_mebibyte_goes_up_and_down_in_requests() {
    let authority = Authority::new();
    let origin = SecureOrigin::start(server(&authority.issue(&["shop.test"])), |secured| {
        let mut reader = BufReader::new(secured);
        while let Some((_, body)) = read_request(&mut reader) {
            let _ = reader.get_mut().write_all(&ok(&body));
            let _ = reader.get_mut().flush();
        }
    });
    let operated = run(&authority, &[], &to("http", &[origin.address], TRUSTING));
    let sent = long();
    let mut client = operated.ringway.connect();
    let mut writer = client.try_clone().expect("a second handle");
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sent.len());
    for _ in 0..3 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                writer.write_all(head.as_bytes()).expect("sent");
                writer.write_all(&sent).expect("sent");
            });
            read_until(&mut client, b"\r\n\r\n");
            let mut body = vec![0; sent.len()];
            client.read_exact(&mut body).expect("all of it");
            assert_same(&body, &sent);
        });
    }
    assert_eq!(origin.met().len(), 1);
}

#[test]
fn the_proxy_header_goes_before_the_handshake() {
    let authority = Authority::new();
    let config = Arc::new(server(&authority.issue(&["shop.test"])));
    let origin = Origin::start(move |mut stream| {
        let header = read_until(&mut stream, b"\r\n");
        let session = ServerConnection::new(config.clone()).expect("a configuration");
        let mut secured = StreamOwned::new(session, stream);
        let mut first = [0; 3];
        let _ = secured.read_exact(&mut first);
        let _ = secured.write_all(&ok(&header));
        end(&mut secured);
    });
    for protocol in ["http", "tcp"] {
        let text = to(protocol, &[origin.address], TRUSTING)
            .replace("[pool.app.tls]", "[pool.app]\nproxy_protocol = \"v1\"\n[pool.app.tls]");
        let operated = run(&authority, &[], &text);
        let (status, answer) = asked_of(&operated);
        assert!(status == 200 && answer.contains("PROXY TCP4 127.0.0.1"), "{answer}");
    }
}
