//! Spellings of the server name, and lists of protocols.

use super::*;

#[test]
fn a_host_name_is_given_in_lower_case() {
    let long = format!("{}.{}", vec!["a".repeat(62); 3].join("."), "b".repeat(63));
    assert_eq!(long.len(), 252);
    let longest = format!("x{long}");
    let with_longest_label = "l".repeat(63);
    for (sent, expected) in [
        ("example.com", "example.com"),
        ("WWW.Example.COM", "www.example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("_dmarc.host_1.example", "_dmarc.host_1.example"),
        ("localhost", "localhost"),
        ("1.2.3", "1.2.3"),
        ("1.2.3.4.example", "1.2.3.4.example"),
        ("256.256.256.256", "256.256.256.256"),
        ("-a-.b", "-a-.b"),
        (&longest, &longest),
        (&with_longest_label, &with_longest_label),
    ] {
        assert_eq!(verdict(&in_one_record(&[server_name(sent.as_bytes())])), named(expected));
    }
}

#[test]
fn what_rfc_6066_forbids_and_clients_send_is_no_name() {
    for sent in [
        "example.com.",
        "EXAMPLE.",
        "192.0.2.1",
        "192.0.2.1.",
        "2001:db8::1",
        "::",
        "[2001:db8::1]",
        "::ffff:192.0.2.1",
    ] {
        let bytes = in_one_record(&[server_name(sent.as_bytes()), alpn(&[b"h2"])]);
        assert_eq!(verdict(&bytes), hello(None, &[b"h2"]), "{sent}");
    }
}

#[test]
fn a_hello_without_the_extension_has_no_name() {
    assert_eq!(verdict(&in_one_record(&[])), hello(None, &[]));
    assert_eq!(verdict(&in_one_record(&[key_shares()])), hello(None, &[]));
    let without_extensions = message_of(1, &beginning());
    assert_eq!(verdict(&records(&without_extensions, &[])), hello(None, &[]));
}

#[test]
fn what_is_no_host_name_is_malformed() {
    let too_long = vec!["a".repeat(62); 4].join(".") + ".aaa";
    let long_label = format!("{}.example", "l".repeat(64));
    for sent in [
        &b""[..],
        b".",
        b"..",
        b"a..b",
        b".a",
        b"a..",
        b"a b",
        b" a",
        b"a\0",
        b"a\0.example.com",
        b"a\r\n",
        b"*.example.com",
        b"a/b",
        b"a:443",
        b"user@a",
        b"[a]",
        b"fe80::1%eth0",
        "bücher.example".as_bytes(),
        b"b\xfccher.example",
        b"\xff",
        too_long.as_bytes(),
        long_label.as_bytes(),
        &[b'a'; 4_000],
    ] {
        let bytes = in_one_record(&[server_name(sent)]);
        let shown = String::from_utf8_lossy(sent);
        assert_eq!(verdict(&bytes), Outcome::Malformed(Malformed::ServerName), "{shown:?}");
    }
}

#[test]
fn a_list_of_names_has_one_host_name() {
    let host = (0, &b"a.example"[..]);
    for (names, expected) in [
        (vec![host], named("a.example")),
        (vec![(1, &b"\xff\0"[..]), host], named("a.example")),
        (vec![host, (7, b"")], named("a.example")),
        (vec![(1, b"a.example")], hello(None, &[])),
        (vec![], Outcome::Malformed(Malformed::NoServerName)),
        (vec![host, host], Outcome::Malformed(Malformed::TwoServerNames)),
        (vec![host, (0, b"b.example")], Outcome::Malformed(Malformed::TwoServerNames)),
    ] {
        assert_eq!(verdict(&in_one_record(&[server_names(&names)])), expected, "{names:?}");
    }
    // A name of another type that is longer than the list: some readers stop there and keep the
    // first name.
    let list = [&[0, 0, 5][..], b"www.e", &[14, 0, 9], b"x"].concat();
    let bytes = in_one_record(&[(0, vector16(&list))]);
    assert_eq!(verdict(&bytes), Outcome::Malformed(Malformed::Lengths));
    let empty = in_one_record(&[(0, Vec::new())]);
    assert_eq!(verdict(&empty), Outcome::Malformed(Malformed::NoServerName));
}

#[test]
fn protocols_are_listed_in_the_order_of_the_client() {
    let longest = [b'p'; 255];
    for names in [
        vec![&b"h2"[..], b"http/1.1"],
        vec![b"http/1.1", b"h2"],
        vec![b"\x0a\x0a", b"h2", b"H2"],
        vec![b"acme-tls/1"],
        vec![&longest, b"x"],
    ] {
        assert_eq!(verdict(&in_one_record(&[alpn(&names)])), hello(None, &names));
        let both = [alpn(&names), server_name(b"a.example")];
        assert_eq!(verdict(&in_one_record(&both)), hello(Some("a.example"), &names));
    }
    for names in [vec![], vec![&b""[..]], vec![b"h2", b""], vec![b"", b"h2"]] {
        let bytes = in_one_record(&[alpn(&names)]);
        assert_eq!(verdict(&bytes), Outcome::Malformed(Malformed::Alpn), "{names:?}");
    }
}

#[test]
fn an_extension_that_is_read_comes_once() {
    let (name, protocols) = (server_name(b"a.example"), alpn(&[b"h2"]));
    let grease = (0x0a0a, Vec::new());
    for extensions in [
        vec![name.clone(), name.clone()],
        vec![name.clone(), key_shares(), server_name(b"b.example")],
        vec![protocols.clone(), name.clone(), protocols.clone()],
    ] {
        let bytes = in_one_record(&extensions);
        assert_eq!(verdict(&bytes), Outcome::Malformed(Malformed::ExtensionTwice));
    }
    let others_twice = [grease.clone(), name, grease];
    assert_eq!(verdict(&in_one_record(&others_twice)), named("a.example"));
}
