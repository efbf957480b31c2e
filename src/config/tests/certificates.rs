//! Certificates: which of them answers which name, and what is wrong with them.

use super::parse;
use crate::config::*;
use crate::tls::Version;

const SECURE: &str = "[[listener]]\nname = \"secure\"\naddress = \"0.0.0.0:443\"\n\
    protocol = \"https\"\n[[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n";
const INSIDE: &str = "[[listener]]\nname = \"inside\"\naddress = \"0.0.0.0:444\"\n\
    protocol = \"https\"\n";
const ECDSA: &str = "[[certificate]]\nchain = \"cert.pem\"\nkey = \"key.pem\"\n";
const ED25519: &str = "[[certificate]]\nchain = \"ed25519.pem\"\nkey = \"ed25519-key.pem\"\n";

fn good(parts: &[&str]) -> Config {
    parse(&parts.concat()).map_err(|error| error.to_string()).expect("it is well")
}

/// What answers on the first listener, by name and as the default: the files of the chains.
fn answering(config: &Config) -> (Vec<(String, Vec<String>)>, Vec<String>) {
    let names = config.server_names(ListenerIndex(0)).expect("no clash");
    let files = |places: &Alternatives| -> Vec<String> {
        let mut files: Vec<String> = places
            .iter()
            .map(|place| config.certificates[*place].chain.display().to_string())
            .collect();
        files.sort_unstable();
        files
    };
    let by_name = names.by_name.iter().map(|(name, places)| ((*name).to_owned(), files(places)));
    (by_name.collect(), files(&names.default))
}

/// The line, message and help of the only problem.
fn problem(parts: &[&str]) -> (usize, String) {
    let text = parts.concat();
    let problems = parse(&text).expect_err(&text).problems;
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    let help = problem.help.as_deref().unwrap_or_default();
    (problem.line, format!("{}; {help}", problem.message))
}

fn named(name: &str, files: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), files.iter().map(ToString::to_string).collect())
}

#[test]
fn the_only_certificate_answers_everybody() {
    let (names, default) = answering(&good(&[SECURE, ECDSA]));
    assert_eq!(names, [named("shop.test", &["cert.pem"])]);
    assert_eq!(default, ["cert.pem"]);
    let without_key = ECDSA.replace("cert.pem", "both.pem").replace("key = \"key.pem\"\n", "");
    assert_eq!(answering(&good(&[SECURE, &without_key])).1, ["both.pem"]);
}

#[test]
fn kinds_of_keys_are_alternatives_and_order_does_not_matter() {
    let expected =
        [named("*.shop.test", &["ed25519.pem"]), named("shop.test", &["cert.pem", "ed25519.pem"])];
    for certificates in [[ECDSA, ED25519], [ED25519, ECDSA]] {
        let (names, default) = answering(&good(&[&[SECURE][..], &certificates].concat()));
        assert_eq!(names, expected);
        assert!(default.is_empty(), "none of the two answers all names");
    }
    let alike = format!("{ED25519}names = [\"shop.test\"]\n");
    assert_eq!(answering(&good(&[SECURE, ECDSA, &alike])).1, ["cert.pem", "ed25519.pem"]);
    let chosen = format!("{ED25519}default = true\n");
    assert_eq!(answering(&good(&[SECURE, ECDSA, &chosen])).1, ["ed25519.pem"]);
}

#[test]
fn names_replace_those_in_the_certificate_and_are_lower_case() {
    let names = format!("{ECDSA}names = [\"A.test\", \"*.b.test.\"]\n");
    let (names, _) = answering(&good(&[SECURE, &names]));
    assert_eq!(names, [named("*.b.test", &["cert.pem"]), named("a.test", &["cert.pem"])]);
    for wrong in ["", "*", "a.*.test", "10.0.0.1", "a test", "a..b", "https://a.test"] {
        let names = format!("{ECDSA}names = [\"{wrong}\"]\n");
        let (line, message) = problem(&[SECURE, &names]);
        assert_eq!(line, 10, "{wrong}");
        assert!(message.contains("no name that a client asks for"), "{message}");
    }
}

#[test]
fn a_listener_s_own_certificate_goes_before_those_for_all() {
    let own = format!("{ECDSA}listener = \"secure\"\n");
    let other = ECDSA.replace("cert.pem", "other.pem");
    let (names, default) = answering(&good(&[SECURE, INSIDE, &other, &own]));
    assert_eq!(names, [named("shop.test", &["cert.pem"])]);
    assert!(default.is_empty(), "two certificates count there");
}

#[test]
fn two_of_one_kind_for_one_name_clash() {
    let other = ECDSA.replace("cert.pem", "other.pem");
    let (line, message) = problem(&[SECURE, ECDSA, &other]);
    assert_eq!(line, 10);
    let words = "two certificates with a key of ECDSA P-256 for `shop.test`: `cert.pem` and \
                 `other.pem`, the first on line 7; remove one, or write the `names`";
    assert!(message.contains(words), "{message}");
    let named = |text: &str, name: &str| format!("{text}names = [\"{name}\"]\ndefault = true\n");
    let (_, message) = problem(&[SECURE, &named(ECDSA, "a.test"), &named(&other, "b.test")]);
    assert!(message.contains("two default certificates"), "{message}");
}

#[test]
fn a_chain_has_one_certificate_for_each_listener() {
    let named = |name: &str| format!("{ECDSA}names = [\"{name}\"]\n");
    let (line, message) = problem(&[SECURE, &named("a.test"), &named("b.test")]);
    assert_eq!(line, 11);
    assert!(message.contains("the same listener and chain, first on line 7"), "{message}");
}

#[test]
fn certificates_and_listeners_need_each_other() {
    let (line, message) = problem(&[SECURE]);
    assert_eq!(line, 1);
    assert!(
        message.contains("`secure` of HTTPS has no certificate; add [[certificate]] with chain")
    );
    let plain = SECURE.replace("https", "http");
    let (line, message) = problem(&[&plain, ECDSA]);
    assert_eq!(line, 7);
    assert!(message.contains("no listener has protocol `https`"), "{message}");
    let of_plain = format!("{ECDSA}listener = \"plain\"\n");
    let (_, message) =
        problem(&[&SECURE.replace("\"https\"", "\"http\"").replace("secure", "plain"), &of_plain]);
    assert!(message.contains("has protocol `http`, and no certificates"), "{message}");
}

#[test]
fn files_that_do_not_fit_are_told_at_their_key() {
    for (chain, key, line, part) in [
        ("hello.pem", "key.pem", 8, "`hello.pem` is not PEM"),
        ("key.pem", "key.pem", 8, "`key.pem`, line 1, has a PRIVATE KEY and no CERTIFICATE"),
        ("cert.pem", "cert.pem", 9, "`cert.pem`, line 1, has a CERTIFICATE and no private key"),
        ("cert.pem", "ed25519-key.pem", 9, "`ed25519-key.pem` does not fit the certificate of"),
        ("missing.html", "key.pem", 8, "cannot read `missing.html`"),
        ("cert.pem", "missing.html", 9, "cannot read `missing.html`"),
        ("broken.pem", "key.pem", 8, "`broken.pem`, line 1, has a CERTIFICATE that cannot be"),
    ] {
        let text = format!("[[certificate]]\nchain = \"{chain}\"\nkey = \"{key}\"\n");
        let (at, message) = problem(&[SECURE, &text]);
        assert_eq!(at, line, "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn keys_of_tickets_are_read_from_their_file() {
    let with = |file: &str| format!("[tls]\nticket_keys_file = \"{file}\"\n");
    let config = good(&[&with("tickets.txt"), SECURE, ECDSA]);
    assert_eq!(config.tls.ticket_keys.len(), 1);
    let (line, message) = problem(&[&with("hello.pem"), SECURE, ECDSA]);
    assert_eq!(line, 2);
    assert!(message.contains("`hello.pem` has no key on line 1: write 64 hexa"), "{message}");
}

#[test]
fn versions_need_a_suite_each() {
    let with = |keys: &str| SECURE.replacen("\"https\"\n", &format!("\"https\"\n{keys}\n"), 1);
    let (line, message) = problem(&[&with("ciphers = [\"TLS_AES_128_GCM_SHA256\"]"), ECDSA]);
    assert_eq!(line, 5);
    assert!(message.contains("no cipher suite for TLS 1.2"), "{message}");
    let both = "tls_min_version = \"1.3\"\nciphers = [\"TLS_AES_128_GCM_SHA256\"]";
    let policy = &good(&[&with(both), ECDSA]).listeners[0].tls;
    assert_eq!((policy.min_version, policy.suites.len()), (Version::Tls13, 1));
    let (_, message) = problem(&[&with("ciphers = [\"AES128-SHA\"]"), ECDSA]);
    assert!(message.contains("`AES128-SHA` is no cipher suite that is supported"), "{message}");
}

#[test]
fn clients_are_asked_for_certificates_by_what_is_there() {
    let own = "client_certificate = \"required\"\nclient_ca = [\"ca.pem\"]\n";
    let at_listener =
        SECURE.replace("protocol = \"https\"\n", &format!("protocol = \"https\"\n{own}"));
    let config = good(&[&at_listener, ECDSA, "client_certificate = \"none\"\n"]);
    assert_eq!(config.listeners[0].clients.mode, ClientCertificate::Required);
    let policy = |config: &Config, place| {
        let policy = config.client_policy(ListenerIndex(0), &vec![place]);
        policy.map(|policy| policy.is_required)
    };
    assert_eq!(policy(&config, 0), None, "the name has its own rule");
    assert_eq!(policy(&good(&[&at_listener, ECDSA]), 0), Some(true));
    let optional = own.replace("required", "optional");
    assert_eq!(policy(&good(&[SECURE, ECDSA, &optional]), 0), Some(false));
    for (keys, told) in [
        ("client_certificate = \"required\"\n", "no authority is trusted"),
        ("client_ca = [\"ca.pem\"]\n", "`client_ca` is of no use without `client_certificate`"),
        ("client_certificate = \"always\"\n", "it can be `none`, `optional` or `required`"),
        (
            "client_certificate = \"required\"\nclient_ca = [\"hello.pem\"]\n",
            "`hello.pem` is not PEM",
        ),
        ("client_certificate = \"required\"\nclient_ca = [\"key.pem\"]\n", "no CERTIFICATE"),
        (&format!("{own}client_crl = [\"cert.pem\"]\n"), "has a CERTIFICATE and no X509 CRL"),
    ] {
        for parts in [
            [SECURE, ECDSA, keys],
            [&SECURE.replace("protocol", &format!("{keys}protocol")), ECDSA, ""],
        ] {
            let (_, message) = problem(&parts);
            assert!(message.contains(told), "{keys}: {message}");
        }
    }
    let (_, message) = problem(&[SECURE, ECDSA, ED25519, own]);
    assert!(
        message.contains("that ask for different client certificates for `shop.test`"),
        "{message}"
    );
    let plain =
        SECURE.replace("\"https\"", "\"http\"").replace("protocol", &format!("{own}protocol"));
    assert!(problem(&[&plain]).1.contains("`client_certificate` needs protocol `https`"));
}
