//! Certificates by ACME: their accounts, and what is wrong with them.

use super::{GOOD, assert_problems, parse};
use crate::config::*;

const ACCOUNT: &str = "[acme.a]\naccept_terms_of_service = true\nstorage = \"acme\"\n";
const SECURE: &str =
    "[[listener]]\nname = \"s\"\naddress = \"0.0.0.0:443\"\nprotocol = \"https\"\n";
const SHOP: &str = "[[certificate]]\nacme = \"a\"\nnames = [\"shop.test\", \"www.shop.test\"]\n";

fn good(parts: &[&str]) -> Config {
    let text = format!("{GOOD}{SECURE}{}", parts.concat());
    parse(&text).map_err(|error| error.to_string()).expect("it is well")
}

/// Problems of lines behind those of the listener.
fn problems(parts: &[&str], expected: &[(usize, usize, &str)]) {
    let text = format!("{SECURE}{}", parts.concat());
    let moved: Vec<_> = expected.iter().map(|(line, at, part)| (line + 4, *at, *part)).collect();
    assert_problems(&text, &moved);
}

#[test]
fn a_certificate_that_is_not_there_yet_answers_its_names_later() {
    let config = good(&[ACCOUNT, SHOP]);
    let one = &config.certificates[0];
    assert_eq!((one.acme, one.loaded.is_none()), (Some(AcmeIndex(0)), true));
    assert_eq!(one.files(), TlsFiles::Acme("acme/shop.test.pem".into()));
    assert_eq!(one.served_names().collect::<Vec<_>>(), ["shop.test", "www.shop.test"]);
    assert!(one.answering("shop.test").is_none());
    let names = config.server_names(ListenerIndex(1)).expect("no clash");
    assert_eq!((names.by_name["shop.test"].len(), names.default), (1, vec![0]));
    let mut resolved = config.clone();
    resolved.resolve_paths("/etc/ringway".as_ref());
    let path = "/etc/ringway/acme/shop.test.pem";
    assert_eq!(resolved.certificates[0].files(), TlsFiles::Acme(path.into()));
    assert_eq!(resolved.acme[0].certificate_file("shop.test").to_str(), Some(path));
}

#[test]
fn one_that_was_fetched_answers_the_names_that_it_has() {
    let text = format!("{GOOD}{SECURE}{ACCOUNT}{SHOP}");
    let both = super::load("both.pem".as_ref()).expect("a pair");
    let load = |path: &std::path::Path| match path.to_str() {
        Some("acme/shop.test.pem") => Ok(both.clone()),
        _ => super::load(path),
    };
    let config = Config::parse(&text, "test.toml", &load).expect("it is well");
    let one = &config.certificates[0];
    assert!(one.answering("shop.test").is_some());
    assert!(one.answering("www.shop.test").is_none(), "it is fetched anew for it");
    let mut vanished = parse(&text).expect("it is well");
    assert!(vanished.certificates[0].loaded.is_none());
    vanished.keep_fixed(&config);
    assert_eq!(vanished.certificates[0].loaded, one.loaded, "what is in force stays");
    let broken = |_: &std::path::Path| Ok(b"hello".to_vec());
    let problems = Config::parse(&text, "test.toml", &broken).expect_err("no PEM").problems;
    assert!(problems[0].message.contains("remove the file: it is fetched anew"), "{problems:?}");
}

#[test]
fn what_an_account_lacks_is_a_problem() {
    let account = |keys: &str| format!("[acme.a]\n{keys}\n");
    problems(
        &[&account("accept_terms_of_service = true"), SHOP],
        &[(1, 1, "`storage` is missing")],
    );
    let terms = "those who accept its terms of service read them";
    problems(&[&account("storage = \"acme\""), SHOP], &[(1, 1, terms)]);
    good(&["[acme.a]\nstorage = \"acme\"\nrole = \"read\"\n", SHOP]);
    let of_files = "[[certificate]]\nchain = \"cert.pem\"\nkey = \"key.pem\"\n";
    problems(&[ACCOUNT, of_files], &[(1, 7, "no certificate has `acme = \"a\"`")]);
    let other = ACCOUNT.replace("acme.a", "acme.b");
    let used = SHOP.replace("\"a\"", "\"b\"").replace("shop", "b");
    let more = [ACCOUNT, SHOP, &other, &used];
    problems(&more, &[(7, 7, "[acme.a] has the same `storage`")]);
    let half = format!("{ACCOUNT}eab_key_id = \"kid\"\n");
    problems(&[&half, SHOP], &[(4, 1, "`eab_key_id` without `eab_mac_key_file`")]);
    let bound = |file: &str| format!("{half}eab_mac_key_file = \"{file}\"\n");
    problems(&[&bound("hello.pem!"), SHOP], &[(5, 20, "no key in base64")]);
    let config = good(&[&bound("tickets.txt"), SHOP]);
    assert_eq!(config.acme[0].eab_mac_key.as_ref().map(|key| key.bytes().len()), Some(48));
    assert!(!format!("{config:?}").contains("MacKey("), "a key is not printed");
}

#[test]
fn what_a_certificate_of_an_account_cannot_have_is_a_problem() {
    let with = |more: &str| format!("{SHOP}{more}\n");
    problems(&[ACCOUNT, &with("chain = \"cert.pem\"")], &[(7, 1, "`chain` beside `acme`")]);
    let names = |names: &str| format!("[[certificate]]\nacme = \"a\"\n{names}\n");
    problems(&[ACCOUNT, &names("")], &[(4, 1, "for its `names`, and there are none")]);
    let wild = names("names = [\"*.shop.test\"]");
    problems(&[ACCOUNT, &wild], &[(6, 9, "dns-01 alone, which is not there")]);
    let unknown = SHOP.replace("\"a\"", "\"b\"");
    problems(&[ACCOUNT, &unknown, SHOP], &[(5, 8, "there is no acme section `b`")]);
    let other = SHOP.replace(", \"www.shop.test\"", "");
    let clash = "two certificates of one account begin with `shop.test`, the first on line";
    problems(&[ACCOUNT, SHOP, &other], &[(7, 1, clash)]);
}

#[test]
fn kinds_of_keys_are_alternatives_before_they_are_there() {
    let rsa = "[acme.b]\naccept_terms_of_service = true\nstorage = \"acme-rsa\"\n\
        key_type = \"rsa-2048\"\n";
    let of_rsa = SHOP.replace("\"a\"", "\"b\"");
    let config = good(&[ACCOUNT, SHOP, rsa, &of_rsa]);
    let names = config.server_names(ListenerIndex(1)).expect("no clash");
    assert_eq!(names.by_name["shop.test"].len(), 2);
    let same = rsa.replace("rsa-2048", "ecdsa-p256");
    problems(&[ACCOUNT, SHOP, &same, &of_rsa], &[(11, 1, "a key of ECDSA P-256 for `shop.test`")]);
}
