//! Certificates by ACME: the real binary, and an authority in this process that connects to it.

mod authority;
mod example;
mod failing;
mod jws;
mod renewing;
mod validating;

use super::harness::*;
use super::https::{Caller, address_of, get};
use super::load::Operated;
use authority::{AcmeServer, Refusal};
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A running `ringway` with an account at an authority.
struct Scene {
    server: Arc<AcmeServer>,
    operated: Operated,
    caller: Caller,
    text: String,
    _backend: Origin,
}

/// Two listeners, an account with these keys, and a certificate of it for these names.
fn text(server: &AcmeServer, backend: &Origin, account: &str, names: &[&str]) -> String {
    let (directory, address) = (server.directory(), backend.address);
    format!(
        "[[listener]]\nname = \"web\"\naddress = \"LISTEN\"\nprotocol = \"https\"\n\
         [[listener]]\nname = \"plain\"\naddress = \"LISTEN\"\nredirect_to_https = 443\n\
         [acme.test]\ndirectory = \"{directory}\"\nca = [\"ca.pem\"]\nstorage = \"kept\"\n\
         {account}\n[[certificate]]\nacme = \"test\"\nnames = {}\n\
         [pool.app]\nhealth = {{ protocol = \"none\" }}\n[[pool.app.backend]]\n\
         address = \"{address}\"\n",
        json!(names)
    )
}

const ACCEPTED: &str = "accept_terms_of_service = true";
const BY_HTTP: &str = "accept_terms_of_service = true\nchallenge = \"http-01\"";
const SHOP: &[&str] = &["shop.test"];

impl Scene {
    /// Validations are possible from the beginning.
    fn start(account: &str, names: &[&str]) -> Self {
        let scene = Self::begin(account, names, |_| {});
        scene.let_validate();
        scene
    }

    /// The authority validates nothing before it is told where.
    fn begin(account: &str, names: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        Self::with(AcmeServer::start(), account, names, prepare)
    }

    fn with(
        server: Arc<AcmeServer>,
        account: &str,
        names: &[&str],
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let backend = Origin::saying("hello");
        let text = text(&server, &backend, account, names);
        let own_pem = server.own_pem.clone();
        let operated = Operated::start_with(&text, |folder, _| {
            std::fs::write(folder.join("ca.pem"), own_pem).expect("written");
            prepare(folder);
        });
        let caller = Caller::trusting(&server.issuing);
        Self { server, operated, caller, text, _backend: backend }
    }

    fn let_validate(&self) {
        let places = [self.address("plain"), self.address("web")];
        self.server.conduct(|conduct| conduct.validates_at = Some(places));
    }

    fn address(&self, listener: &str) -> SocketAddr {
        address_of(&self.operated, listener)
    }

    fn folder(&self) -> PathBuf {
        self.operated.file.with_file_name("kept")
    }

    /// The state of the first certificate.
    fn certificate(&self) -> Value {
        self.operated.json(&["status"])["certificates"][0].clone()
    }

    fn state(&self) -> String {
        self.certificate()["acme"]["state"].as_str().unwrap_or_default().to_owned()
    }

    fn await_valid(&self) {
        await_that("a certificate", || self.state() == "valid");
    }

    /// The process is killed, and another one begins with what it has kept.
    fn restart(&mut self) {
        let kept = std::fs::read_dir(self.folder()).expect("a folder").map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_owned();
            (name, std::fs::read(path).expect("read"))
        });
        let kept: Vec<_> = kept.collect();
        let own_pem = self.server.own_pem.clone();
        self.operated = Operated::start_with(&self.text, |folder, _| {
            std::fs::write(folder.join("ca.pem"), own_pem).expect("written");
            std::fs::create_dir(folder.join("kept")).expect("made");
            for (name, content) in kept {
                std::fs::write(folder.join("kept").join(name), content).expect("written");
            }
        });
        self.let_validate();
    }

    /// The certificate that a new client is shown.
    fn shown(&self, name: &str) -> std::io::Result<Vec<u8>> {
        self.caller.get(self.address("web"), name).map(|seen| seen.certificate)
    }

    fn events(&self) -> String {
        self.operated.done(&["events"])
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.server.end();
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").mode() & 0o777
}

#[test]
fn a_certificate_for_several_names_is_fetched_by_handshakes_alone() {
    let names = ["shop.test", "www.shop.test", "blog.test"];
    let account = format!("{ACCEPTED}\ncontact = [\"ops@shop.test\"]");
    let scene = Scene::begin(&account, &names, |_| {});
    // Until it is there, clients are told that it is the server's fault.
    let refused = scene.shown("shop.test").expect_err("there is none").to_string();
    assert!(refused.contains("InternalError"), "{refused}");
    assert_eq!(scene.certificate()["ends_ms"], Value::Null);
    assert_eq!(scene.operated.metric("ringway_acme_certificate_awaited"), 1);
    let (_, explained) = scene.operated.verb(&["explain", "GET", "https://shop.test/"]);
    assert!(explained.contains("was not fetched yet"), "{explained}");
    await_that("it is told", || scene.events().contains("clients are refused"));
    scene.let_validate();
    scene.await_valid();
    for name in names {
        let seen = scene.caller.get(scene.address("web"), name).expect("it is served");
        assert!(seen.answer.ends_with("hello"), "{}", seen.answer);
    }
    let refused = scene.shown("other.test").expect_err("it has no certificate").to_string();
    assert!(!refused.is_empty());
    assert!(scene.events().contains("fetched, valid until"), "{}", scene.events());
    assert_eq!(scene.operated.metric("ringway_acme_certificate_awaited"), 0);
    let status = scene.certificate();
    assert_eq!(
        (&status["acme"]["role"], &status["acme"]["challenge"]),
        (&json!("fetch"), &json!("tls-alpn-01"))
    );
    let next = status["acme"]["next_attempt_ms"].as_i64().expect("a time");
    assert!(next < status["ends_ms"].as_i64().expect("a time"), "{status}");
    assert_eq!(scene.server.accounts()[0]["contact"], json!(["mailto:ops@shop.test"]));
    let reasons = scene.operated.asked("GET /metrics", "");
    assert!(
        reasons.contains("reason=\"challenge_answered\",fault=\"none\"} 3"),
        "one for each name: {reasons}"
    );
    let folder = scene.folder();
    assert_eq!(mode(&folder), 0o700);
    for file in ["account.json", "shop.test.pem", "tried.json"] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 3, "nothing else is left");
}

#[test]
fn the_challenge_over_http_goes_ahead_of_redirection_for_known_tokens_alone() {
    let scene = Scene::begin(BY_HTTP, SHOP, |_| {});
    await_that("it is asked for", || scene.server.asked("/challenge/") > 0);
    let plain = |path: &str, method: &str| {
        let mut stream = connect(scene.address("plain"));
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned()
    };
    // The token is the first one of the authority.
    let token = scene.server.token(0);
    let path = format!("/.well-known/acme-challenge/{token}");
    let answer = plain(&path, "GET");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("Content-Type: application/octet-stream\r\n"), "{answer}");
    assert!(body(answer.as_bytes()).starts_with(format!("{token}.").as_bytes()), "{answer}");
    assert!(plain(&path, "HEAD").ends_with("\r\n\r\n"));
    let (_, explained) =
        scene.operated.verb(&["explain", "GET", &format!("http://shop.test{path}")]);
    assert!(explained.contains("200: the answer to a challenge of ACME"), "{explained}");
    for (path, method) in [(&*path, "POST"), ("/.well-known/acme-challenge/other", "GET")] {
        let answer = plain(path, method);
        assert!(answer.contains("Location: https://shop.test/.well-known/"), "{answer}");
    }
    scene.let_validate();
    scene.await_valid();
    await_that("it is over", || plain(&path, "GET").contains("Location: "));
    scene.shown("shop.test").expect("it is served");
}

#[test]
fn an_account_is_bound_and_used_again_and_its_contacts_are_followed() {
    let keys = format!(
        "{ACCEPTED}\neab_key_id = \"kid-1\"\neab_mac_key_file = \"mac.txt\"\n\
         key_type = \"ecdsa-p256\""
    );
    let server = AcmeServer::start();
    server.conduct(|conduct| conduct.binding = Some(("kid-1".to_owned(), b"secret key".to_vec())));
    let scene = Scene::with(server, &keys, SHOP, |folder| {
        std::fs::write(folder.join("mac.txt"), jws::encode(b"secret key")).expect("written");
    });
    scene.let_validate();
    scene.await_valid();
    let more = scene.text.replace("names = [\"shop.test\"]", "names = [\"shop.test\", \"b.test\"]");
    let more = more.replace("storage =", "contact = [\"new@shop.test\"]\nstorage =");
    scene.operated.rewrite(&more);
    scene.operated.done(&["reload"]);
    // The old one goes on to answer for its name, and none for the new one.
    scene.shown("shop.test").expect("it is served");
    await_that("the other name", || scene.shown("b.test").is_ok());
    scene.shown("shop.test").expect("it is served");
    assert_eq!(scene.server.asked("POST /new-account"), 1);
    assert_eq!(scene.server.accounts(), [json!({ "contact": ["mailto:new@shop.test"] })]);
}

#[test]
fn a_process_that_reads_takes_what_another_one_has_fetched() {
    let fetching = Scene::start(ACCEPTED, SHOP);
    fetching.await_valid();
    let shared = fetching.folder();
    let backend = Origin::saying("hello");
    let text = text(&fetching.server, &backend, "role = \"read\"", SHOP);
    let text = text.replace("\"kept\"", &format!("\"{}\"", shared.display()));
    let asked = fetching.server.asked("POST");
    let own_pem = fetching.server.own_pem.clone();
    let present = shared.join("shop.test.pem");
    let held = shared.join("held");
    std::fs::rename(&present, &held).expect("moved");
    let reading = Operated::start_with(&text, |folder, _| {
        std::fs::write(folder.join("ca.pem"), own_pem).expect("written");
    });
    let state = |what: &str| reading.json(&["status"])["certificates"][0]["acme"][what].clone();
    assert_eq!((state("state"), state("next_attempt_ms")), (json!("awaited"), Value::Null));
    let (status, said) = reading.verb(&["renew", "shop.test"]);
    assert!(status == 1 && said.contains("give the order there"), "{said}");
    std::fs::rename(&held, &present).expect("moved");
    await_that("it is taken", || state("state") == "valid");
    let at = address_of(&reading, "web");
    let seen = fetching.caller.get(at, "shop.test").expect("it is served");
    assert_eq!(seen.certificate, fetching.shown("shop.test").expect("it is served"));
    assert_eq!(fetching.server.asked("POST"), asked, "nobody else asks");
}

#[test]
fn a_process_that_reads_answers_challenges_of_the_one_that_fetches() {
    for keys in [ACCEPTED, BY_HTTP] {
        let fetching = Scene::begin(keys, SHOP, |_| {});
        let backend = Origin::saying("hello");
        let keys = keys.replace(ACCEPTED, "role = \"read\"");
        let text = text(&fetching.server, &backend, &keys, SHOP);
        let shared = format!("\"{}\"", fetching.folder().display());
        let own_pem = fetching.server.own_pem.clone();
        let reading = Operated::start_with(&text.replace("\"kept\"", &shared), |folder, _| {
            std::fs::write(folder.join("ca.pem"), own_pem).expect("written");
        });
        // The address of the name leads to the one that reads.
        let places = ["plain", "web"].map(|name| address_of(&reading, name));
        fetching.server.conduct(|conduct| conduct.validates_at = Some(places));
        fetching.await_valid();
        await_that("it is taken", || fetching.caller.get(places[1], "shop.test").is_ok());
        let left = fetching.folder().join("challenges.json");
        assert!(!left.exists(), "challenges are forgotten");
    }
}
