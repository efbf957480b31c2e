//! The files in `config/`: the reference has every key at its default, and all of them load.

use super::{GOOD, load, parse};
use crate::balance::Algorithm;
use crate::config::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

/// The user's certificates beside a configuration: one for each name of a file.
fn load_beside(path: &Path) -> std::io::Result<Vec<u8>> {
    static MADE: Mutex<BTreeMap<String, [String; 2]>> = Mutex::new(BTreeMap::new());
    let name = path.to_str().expect("text");
    if path.is_absolute() {
        // Nothing was fetched yet.
        return Err(std::io::ErrorKind::NotFound.into());
    }
    let Some(stem) = name.strip_suffix(".pem").filter(|stem| !stem.ends_with("crl")) else {
        return load(path);
    };
    let (stem, is_key) = (stem.trim_end_matches("-key"), stem.ends_with("-key"));
    let mut made = MADE.lock().expect("no panic");
    let pair = made.entry(stem.to_owned()).or_insert_with(|| {
        let made = rcgen::generate_simple_self_signed([format!("{stem}.example.com")]);
        let made = made.expect("a certificate");
        [made.cert.pem(), made.signing_key.serialize_pem()]
    });
    Ok(pair[usize::from(is_key)].clone().into_bytes())
}

#[test]
fn every_file_of_the_config_folder_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let is_theirs = |name: &Path| name.extension().is_some_and(|ext| ext == "pem");
        let read = |name: &Path| match is_theirs(name) {
            true => load_beside(name),
            false => std::fs::read(folder.join(name)),
        };
        let config = Config::parse(&text, path.to_str().unwrap(), &read);
        assert!(config.is_ok(), "{}", config.unwrap_err());
        count += 1;
    }
    assert!(count >= 6, "only {count} files");
}

#[test]
fn the_reference_has_every_key_at_its_default() {
    let text = include_str!("../../../config/ringway.toml");
    let (config, written) =
        Config::parse_as(TextFormat::Toml, text, "ringway.toml", &load).unwrap();
    let quick = Config::quick(
        &["0.0.0.0:8080".parse().unwrap()],
        &[Backend { address: "127.0.0.1:9001".parse().unwrap(), weight: 1 }],
        Algorithm::default(),
    );
    let mut expected = quick.unwrap();
    expected.listeners[0].name = "web".to_owned();
    expected.pools[0].name = "app".to_owned();
    expected.routes[0].listener = None;
    assert_eq!(config, expected);
    for section in config.to_sections() {
        for PrintedKey { name, .. } in section.values {
            let path = format!("{}.{name}", section.path);
            assert!(written.contains(&path), "the reference lacks {path}");
        }
    }
    let commented: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = parse(&commented).map_err(|error| error.to_string()).unwrap();
    assert_eq!(config.access_log, Some(AccessLog::at(LogPath::Stdout)));
    let answer = "[[error_answer]]\nstatus = 503\nbody = \"<h1>Back in a moment</h1>\"\n";
    let answers = parse(&format!("{GOOD}{answer}")).expect("the rest is at its default");
    assert_eq!(config.error_answers, answers.error_answers);
    let certificate = &config.certificates[0];
    let (names, is_default) = (certificate.names.len(), certificate.is_default);
    assert_eq!((certificate.listener, names, is_default), (None, 0, false));
    let pool = &config.pools[0];
    assert_eq!(pool.tls, Some(PoolTls::default()));
    let https = HttpProbe { tls: Some(TlsProbe::default()), ..HttpProbe::default() };
    let pool_tls = pool.tls.clone();
    let readiness = Probe { kind: ProbeKind::Http(https), pool_tls, ..Probe::default() };
    assert_eq!(pool.readiness, Some(readiness));
    assert_eq!(pool.health.kind.protocol(), ProbeProtocol::Tcp);
    assert_ne!(pool.health, Probe::default());
    assert_eq!(pool.names.len(), 1);
}

fn is_setting(line: &str) -> bool {
    line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
}
