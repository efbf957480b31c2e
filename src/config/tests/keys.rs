//! Every key that is allowed is printed and in the reference, is read back as it was printed, is
//! refused with its place if it is wrong, and waits for a restart if it says so. New keys are
//! covered without a change here, unless none of the values below suits them.

use super::{load, parse};
use crate::config::*;
use std::collections::{BTreeMap, BTreeSet};
use toml::Value;

/// Every section, and every protocol of a probe that has keys of its own.
const FULL: &str = r#"
    error_answer = [{ status = 503, body = "later" }, { status = 404, file = "404.html" }]
    access_log = { path = "stdout" }
    tls = { ticket_keys_file = "tickets.txt" }
    http = { trusted_proxies = ["10.0.0.8"] }
    listener = [
        { name = "web", address = "0.0.0.0:80" },
        { name = "more", address = "0.0.0.0:81" },
        { name = "tls", address = "0.0.0.0:82", protocol = "tls-passthrough" },
        { name = "dns", address = "0.0.0.0:53", protocol = "udp" },
        { name = "secure", address = "0.0.0.0:443", protocol = "https",
          client_certificate = "optional", client_ca = ["cert.pem"], client_crl = ["crl.pem"] },
        { name = "inside", address = "0.0.0.0:444", protocol = "https" },
    ]
    certificate = [
        { listener = "secure", chain = "cert.pem", key = "key.pem", client_certificate = "optional",
          client_ca = ["cert.pem"] },
        { chain = "cert.pem", key = "key.pem" },
        { acme = "one", names = ["c.test"] },
        { acme = "one", names = ["d.test"] },
        { acme = "two", names = ["e.test"] },
    ]
    route = [
        { listener = "tls", host = "b.test", alpn = ["h2"], pool = "one" },
        { listener = "web", host = "a.test", pool = "one" },
        { path = "/a", pool = "one" },
        { path = "/b", pool = "two" },
        { pool = "two" },
        { listener = "tls", pool = "bytes" },
        { listener = "dns", pool = "bytes" },
    ]
    [acme.one]
    storage = "acme-a"
    accept_terms_of_service = true
    role = "read"
    ca = ["a.pem"]
    eab_key_id = "kid"
    eab_mac_key_file = "tickets.txt"
    [acme.two]
    storage = "acme-b"
    accept_terms_of_service = true
    [pool.one]
    health = { protocol = "https" }
    readiness = { send = "a", expect = "b" }
    backend = [{ address = "10.0.0.1:80" }, { address = "10.0.0.2:80" }]
    [pool.two]
    proxy_protocol = "v2"
    health = { protocol = "grpcs" }
    readiness = { protocol = "tcp" }
    backend = [{ srv = "a.test" }]
    [pool.two.tls]
    ca = ["a.pem"]
    client_certificate = "cert.pem"
    client_key = "key.pem"
    [pool.bytes]
    health = { protocol = "udp", send_hex = "00 ff", expect_hex = "01" }
    backend = [{ address = "10.0.0.3:80" }]
"#;

/// Values of which one suits each key whose value is a text.
const TEXTS: [&str; 43] = [
    "1",
    "0d0a",
    "2KiB",
    "/a",
    "a-1",
    "one",
    "two",
    "more",
    "b.test",
    "a.pem",
    "a-key.pem",
    "b-tickets.txt",
    "inside",
    "1.3",
    "a/b",
    "10.0.0.9:99",
    "31s",
    "17KiB",
    "128KiB",
    "common",
    "json",
    "cpu",
    "random",
    "reject",
    "refuse",
    "forward",
    "abort",
    "v1",
    "http",
    "tcp",
    "default",
    "require",
    "host",
    "client",
    "7d; includeSubDomains",
    "required",
    "a.ocsp",
    "2",
    "https://b.test/directory",
    "http-01",
    "fetch",
    "rsa-2048",
    "acme-c",
];

/// The sections below a pool, which the error for an unknown key lists among its keys.
const TABLES: [&str; 5] = ["tls", "health", "readiness", "ejection", "backend"];

/// A key in a printed configuration.
struct Place {
    /// With names of pools and numbers of elements left out; `probe` for both kinds of them.
    section: String,
    /// From 0.
    line: usize,
    key: PrintedKey,
}

/// The lines of a configuration, and its keys.
fn printed(config: &Config) -> (Vec<String>, Vec<Place>) {
    let (mut lines, mut places) = (Vec::new(), Vec::new());
    for section in config.to_sections() {
        lines.push(section.header.clone());
        for key in section.values {
            let section = general(&section.header);
            places.push(Place { section, line: lines.len(), key: key.clone() });
            lines.push(format!("{} = {}", key.name, key.value));
        }
    }
    (lines, places)
}

fn general(header: &str) -> String {
    let steps: Vec<&str> = header.trim_matches(['[', ']']).split('.').collect();
    match steps[..] {
        ["pool", _, "health" | "readiness"] => "probe".to_owned(),
        ["pool", _, table] => format!("pool.{table}"),
        _ => steps[0].to_owned(),
    }
}

fn full() -> Config {
    parse(FULL).map_err(|error| error.to_string()).expect("it is well")
}

/// The same with another value of a key.
fn with(lines: &[String], place: &Place, value: &Value) -> Result<Config, Diagnostics> {
    let mut lines = lines.to_vec();
    lines[place.line] = format!("{} = {value}", place.key.name);
    parse(&lines.join("\n"))
}

type KeysBySection = BTreeMap<String, BTreeSet<String>>;

fn printed_keys() -> KeysBySection {
    let mut keys = KeysBySection::new();
    for place in printed(&full()).1 {
        keys.entry(place.section).or_default().insert(place.key.name.to_owned());
    }
    keys
}

#[test]
fn every_key_that_is_allowed_is_printed() {
    let (lines, _) = printed(&full());
    let mut allowed = KeysBySection::new();
    for (at, header) in lines.iter().enumerate().filter(|(_, line)| line.starts_with('[')) {
        let mut lines = lines.clone();
        lines.insert(at + 1, "zzzzzzzz = 1".to_owned());
        let problems = parse(&lines.join("\n")).expect_err("an unknown key").problems;
        let help = problems[0].help.as_deref().expect("the allowed keys");
        assert!(help.starts_with("allowed keys: "), "{help}");
        let keys: Vec<&str> = help.split('`').skip(1).step_by(2).collect();
        let unique: BTreeSet<&str> = keys.iter().copied().collect();
        assert_eq!(keys.len(), unique.len(), "none is listed twice: {help}");
        let keys = keys.iter().filter(|key| !TABLES.contains(key)).map(|key| (*key).to_owned());
        allowed.entry(general(header)).or_default().extend(keys);
    }
    assert_eq!(allowed, printed_keys());
}

#[test]
fn the_reference_has_every_key_in_its_section() {
    let mut documented = KeysBySection::new();
    let mut section = String::new();
    for line in include_str!("../../../config/ringway.toml").lines() {
        let line = line.strip_prefix('#').unwrap_or(line).trim_start();
        if line.starts_with('[') {
            section = general(line.split(' ').next().unwrap_or_default());
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' '))
        {
            documented.entry(section.clone()).or_default().insert(key.to_owned());
        }
    }
    assert_eq!(documented, printed_keys());
}

#[test]
fn every_key_is_read_as_it_is_printed_and_waits_for_a_restart_if_it_says_so() {
    let config = full();
    let (lines, places) = printed(&config);
    let mut unchanged = printed_keys();
    for place in &places {
        let suits = |value: &Value| with(&lines, place, value).ok().filter(|new| *new != config);
        let Some(changed) = others(&place.key.value).iter().find_map(suits) else { continue };
        let name = place.key.name;
        assert_eq!(parse(&changed.to_toml()).as_ref(), Ok(&changed), "{} {name}", place.section);
        let json = changed.to_json().to_string();
        let read = Config::parse_as(TextFormat::Json, &json, "test.json", &load);
        assert_eq!(read.map(|(read, _)| read).as_ref(), Ok(&changed), "{} {name}", place.section);
        let mut kept = changed.clone();
        kept.keep_fixed(&config);
        let expected = if place.key.needs_restart { &config } else { &changed };
        assert_eq!(&kept, expected, "{} {name}", place.section);
        unchanged.get_mut(&place.section).expect("it is there").remove(name);
    }
    unchanged.retain(|_, keys| !keys.is_empty());
    assert!(unchanged.is_empty(), "no value of `others` and `TEXTS` suits {unchanged:?}");
}

/// Values to put in the place of another one.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Integer(number) => [number + 1, number + 2, number * 2].map(Value::Integer).to_vec(),
        Value::Float(number) => vec![Value::Float(number + 1.0)],
        Value::Boolean(flag) => vec![Value::Boolean(!flag)],
        Value::Table(_) => vec![values("{ a = 'b' }")],
        Value::Array(_) => {
            let suites = "['TLS_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256']";
            [
                "['a-1']",
                "['b.pem', 'cert.pem']",
                "['b-crl.pem', 'crl.pem']",
                "['10.0.0.9']",
                "['crc32c']",
                "['a@b.test']",
                "[101]",
                "['b.pem']",
                suites,
            ]
            .map(values)
            .to_vec()
        }
        _ => {
            let texts = TEXTS.map(|text| Value::String(text.to_owned()));
            texts.into_iter().chain([Value::Integer(1)]).collect()
        }
    }
}

fn values(text: &str) -> Value {
    let table: toml::Table = format!("value = {text}").parse().expect("it is TOML");
    table["value"].clone()
}

#[test]
fn every_key_is_refused_where_it_is_if_it_is_wrong() {
    let (lines, places) = printed(&full());
    for place in &places {
        let refused = |value: &Value| {
            let problems = with(&lines, place, value).err().map(|error| error.problems);
            let line = place.line + 1;
            problems.is_some_and(|problems| problems.iter().any(|problem| problem.line == line))
        };
        let what = (&place.section, place.key.name);
        assert!(refused(&values("1979-05-27")), "{what:?}: a date");
        let groups = beyond(&place.key.value);
        let all = groups.iter().all(|group| group.iter().any(refused));
        assert!(all, "{what:?}: a value beyond any bounds");
    }
}

/// Groups of values of the same type that are beyond any bounds: of each group one must be refused.
fn beyond(value: &Value) -> Vec<Vec<Value>> {
    match value {
        Value::Integer(_) => vec![vec![values("-1")], vec![Value::Integer(i64::MAX)]],
        Value::Float(_) => vec![vec![values("-1.0")], vec![values("1e9")], vec![values("nan")]],
        Value::Boolean(_) => Vec::new(),
        Value::Table(_) => vec![vec![values("{ '' = 'a' }")]],
        Value::Array(_) => vec![vec![values("['']"), values("[-1]")]],
        Value::String(text) if units::parse_duration(text).is_ok() => vec![vec![values("'8d'")]],
        Value::String(text) if units::parse_size(text).is_ok() => {
            vec![vec![values("'99999999999GiB'")]]
        }
        _ => {
            let long = Value::String("a".repeat(PROBE_ANSWER_BYTES_MAX + 1));
            vec![vec![values("\"\\u0000\""), values("'missing.html'"), long]]
        }
    }
}

#[test]
fn the_guide_says_what_needs_a_restart() {
    let mut fixed: BTreeMap<String, BTreeMap<&str, bool>> = BTreeMap::new();
    for Place { section, key, .. } in printed(&full()).1 {
        fixed.entry(section).or_default().insert(key.name, key.needs_restart);
    }
    let mut expected = BTreeSet::new();
    for (section, keys) in &fixed {
        if keys.values().all(|fixed| *fixed) {
            expected.insert(format!("[{section}]"));
        } else {
            let keys = keys.iter().filter(|(_, fixed)| **fixed);
            expected.extend(keys.map(|(key, _)| (*key).to_owned()));
        }
    }
    let guide = include_str!("../../../docs/operations.md");
    let (_, rest) = guide.split_once("**Needs a restart**: ").expect("the paragraph");
    let sentence = rest.split(". ").next().expect("its first sentence");
    let told = sentence.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(expected, told);
}
