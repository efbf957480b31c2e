//! Certificates that change while the process runs: by a reload, and by themselves.

use super::*;
use std::io::Write;
use std::time::SystemTime;

struct Scene {
    authority: Authority,
    secure: Operated,
    caller: Caller,
    text: String,
    _backend: Origin,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new();
        let backend = Origin::saying("hello");
        let text = secure(&backend, "", &[("shop", "")]);
        let shop = authority.issue(&["shop.test"]);
        let files = [("shop.pem", &*shop.chain), ("shop-key.pem", &shop.key)];
        let secure = start(&files, &text);
        let caller = Caller::trusting(&authority);
        Self { authority, secure, caller, text, _backend: backend }
    }

    /// The certificate that a new connection is shown.
    fn shown(&self) -> Vec<u8> {
        let seen = self.caller.get(self.secure.ringway.address, "shop.test");
        seen.expect("it is served").certificate
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(beside(&self.secure, name), content).expect("written");
    }

    fn renew(&self) -> Issued {
        let renewed = self.authority.issue(&["shop.test"]);
        self.write("shop.pem", &renewed.chain);
        self.write("shop-key.pem", &renewed.key);
        renewed
    }

    fn events(&self) -> String {
        self.secure.done(&["events"])
    }
}

#[test]
fn a_certificate_that_changes_is_shown_and_open_connections_go_on() {
    let scene = Scene::new();
    let before = scene.shown();
    let name = ServerName::try_from("shop.test").expect("a name");
    let connection = ClientConnection::new(Arc::new(scene.caller.config.clone()), name);
    let stream = connect(scene.secure.ringway.address);
    let mut open = StreamOwned::new(connection.expect("a configuration"), stream);
    let mut ask = || {
        open.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").expect("sent");
        let mut answer = [0; 43];
        open.read_exact(&mut answer).expect("an answer");
        assert!(answer.ends_with(b"hello"), "{}", String::from_utf8_lossy(&answer));
    };
    ask();
    scene.renew();
    await_that("the new one is shown", || scene.shown() != before);
    ask();
    assert!(scene.events().contains("shop.pem: read again, and in force"), "{}", scene.events());
    let after = scene.shown();
    scene.renew();
    let reloaded = scene.secure.done(&["reload"]);
    // It may have been found by itself before.
    let is_told = reloaded.contains("shop.pem: fingerprint");
    assert!(is_told || scene.shown() != after, "{reloaded}");
    assert_ne!(scene.shown(), after, "a reload need not wait for that");
    ask();
}

#[test]
fn a_folder_that_is_replaced_by_a_symbolic_link_is_followed() {
    let scene = Scene::new();
    let folder = scene.secure.file.parent().expect("a folder").to_owned();
    let version = |name: &str| {
        let issued = scene.authority.issue(&["shop.test"]);
        std::fs::create_dir(folder.join(name)).expect("made");
        std::fs::write(folder.join(name).join("tls.crt"), issued.chain).expect("written");
        std::fs::write(folder.join(name).join("tls.key"), issued.key).expect("written");
    };
    let link = |name: &str| {
        std::os::unix::fs::symlink(name, folder.join("..data_tmp")).expect("linked");
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("renamed");
    };
    // As the kubelet does with a mounted secret.
    version("..1");
    link("..1");
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), folder.join(name)).expect("linked");
    }
    let text = scene.text.replace("shop-key.pem", "tls.key").replace("shop.pem", "tls.crt");
    scene.secure.rewrite(&text);
    scene.secure.done(&["reload"]);
    let before = scene.shown();
    version("..2");
    link("..2");
    await_that("the new one is shown", || scene.shown() != before);
}

#[test]
fn what_cannot_be_used_leaves_the_old_one_and_says_so_until_it_is_mended() {
    let scene = Scene::new();
    let before = scene.shown();
    scene.write("shop.pem", "-----BEGIN CERTIFICATE-----\nAAAA");
    await_that("it is told", || scene.events().contains("CANNOT BE USED"));
    let events = scene.events();
    assert!(events.contains("line 1, has a CERTIFICATE without its end: copy"), "{events}");
    assert_eq!(scene.shown(), before);
    let status = scene.secure.done(&["status"]);
    assert!(status.contains("shop.pem CANNOT BE USED"), "{status}");
    assert_eq!(scene.secure.metric("ringway_tls_files_failing"), 1);
    let (code, said) = scene.secure.verb(&["reload"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("shop.pem") && scene.shown() == before, "{said}");
    // Only half of a pair is there for a moment.
    let renewed = scene.authority.issue(&["shop.test"]);
    scene.write("shop.pem", &renewed.chain);
    scene.write("shop-key.pem", &renewed.key);
    await_that("the new one is shown", || scene.shown() != before);
    await_that("nothing fails any more", || {
        !scene.secure.done(&["status"]).contains("CANNOT BE USED")
    });
    // One that takes the name of another one clashes with it.
    let other = scene.authority.issue(&["other.test"]);
    scene.write("other.pem", &other.chain);
    scene.write("other-key.pem", &other.key);
    let more = "[[certificate]]\nchain = \"other.pem\"\nkey = \"other-key.pem\"\n";
    scene.secure.rewrite(&format!("{}{more}", scene.text));
    scene.secure.done(&["reload"]);
    let clashing = scene.authority.issue(&["other.test", "shop.test"]);
    scene.write("other.pem", &clashing.chain);
    scene.write("other-key.pem", &clashing.key);
    await_that("it is told", || scene.events().contains("for `shop.test`: "));
}

#[test]
fn the_end_of_a_certificate_is_in_events_status_and_metrics() {
    let scene = Scene::new();
    let algorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
    let ending_in = |days: f64| {
        scene.authority.issue_with(algorithm, &["shop.test"], |params| {
            let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 3600));
            params.not_before = (now - 90 * day).into();
            params.not_after = match days {
                days if days < 0.0 => (now - day.mul_f64(-days)).into(),
                days => (now + day.mul_f64(days)).into(),
            };
        })
    };
    for (days, left, part) in [
        (6.5, Some(6), "for shop.test: expires in 6 days, on "),
        (0.5, Some(0), "for shop.test: expires within a day, on "),
        (-0.5, None, "for shop.test: EXPIRED on "),
    ] {
        let issued = ending_in(days);
        scene.write("shop.pem", &issued.chain);
        scene.write("shop-key.pem", &issued.key);
        await_that(part, || scene.events().contains(part));
        let status = scene.secure.json(&["status"]);
        assert_eq!(status["certificates"][0]["days_left"].as_u64(), left, "{status}");
        let ends = status["certificates"][0]["ends_ms"].as_u64().expect("a number") / 1_000;
        await_that("metrics follow", || {
            scene.secure.metric("ringway_certificate_not_after_timestamp_seconds") == ends
        });
    }
    assert!(scene.secure.done(&["status"]).contains("EXPIRED"));
}
