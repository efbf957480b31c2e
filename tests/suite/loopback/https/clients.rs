//! Certificates of clients: who is served, what a backend is told, and what of a client's own words
//! about it.

use super::*;
use crate::loopback::load::field;
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd,
};
use std::io::Write;

const REVOKED: u64 = 7;

struct Scene {
    /// Of the server.
    servers: Authority,
    /// Of the clients that are served.
    clients: Authority,
    backend: Origin,
}

impl Scene {
    fn new() -> Self {
        let backend = Origin::http(|head, body| ok(format!("{head}[{}]", body.len()).as_bytes()));
        Self { servers: Authority::new(), clients: Authority::new(), backend }
    }

    /// Started with these keys of the listener, and these of the certificate of `inner.test`.
    fn start(&self, keys: &str, inner: &str) -> Operated {
        let shop = self.servers.issue(&["shop.test"]);
        let own = self.servers.issue(&["inner.test"]);
        let files = [
            ("shop.pem", &*shop.chain),
            ("shop-key.pem", &shop.key),
            ("inner.pem", &own.chain),
            ("inner-key.pem", &own.key),
            ("root.pem", &self.servers.pem),
            ("clients.pem", &self.clients.pem),
            ("crl.pem", &self.clients.revoke(&[REVOKED])),
        ];
        let certificates = [("shop", "default = true"), ("inner", inner)];
        let text = secure(&self.backend, keys, &certificates);
        let more = "[access_log]\npath = \"FOLDER/access.log\"\n\
                    [[listener]]\nname = \"plain\"\naddress = \"LISTEN\"\n\
                    [http]\nunderscore_names = \"allow\"\n";
        super::start(&files, &(text + more))
    }
}

impl Authority {
    /// A list of revoked certificates, PEM.
    pub fn revoke(&self, serial_numbers: &[u64]) -> String {
        let revoked = serial_numbers.iter().map(|number| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("a list").pem().expect("PEM")
    }

    /// A client's certificate.
    pub fn issue_client(&self, name: &str, serial_number: u64) -> Issued {
        self.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, &[name], |params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.serial_number = Some(SerialNumber::from(serial_number));
        })
    }
}

/// What a client that shows this certificate is told.
fn asked(secure: &Operated, name: &str, shown: Option<&Issued>, arguments: &[&str]) -> String {
    let root = beside(secure, "root.pem");
    let mut all = vec!["--cacert", root.to_str().expect("text")];
    let files = [beside(secure, "client.pem"), beside(secure, "client-key.pem")];
    if let Some(Issued { chain, key }) = shown {
        std::fs::write(&files[0], chain).expect("written");
        std::fs::write(&files[1], key).expect("written");
        let [chain, key] = files.each_ref().map(|file| file.to_str().expect("text"));
        all.extend(["--cert", chain, "--key", key]);
    }
    all.extend(arguments);
    curl(secure.ringway.address, name, "/", &all)
}

const REQUIRED: &str = "client_certificate = \"required\"\nclient_ca = [\"clients.pem\"]\n\
    client_crl = [\"crl.pem\"]";
const OPTIONAL: &str = "client_certificate = \"optional\"\nclient_ca = [\"clients.pem\"]";

#[test]
fn only_clients_with_a_valid_certificate_are_served_and_each_refusal_has_its_reason() {
    let scene = Scene::new();
    let secure = scene.start(REQUIRED, "");
    let good = scene.clients.issue_client("till.test", 1);
    let own = rcgen::generate_simple_self_signed(["till.test".to_owned()]).expect("made");
    let stranger = Issued { chain: own.cert.pem(), key: own.signing_key.serialize_pem() };
    let revoked = scene.clients.issue_client("lost.test", REVOKED);
    let expired = scene.clients.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, &["old.test"], |one| {
        one.not_before = date_time_ymd(2001, 1, 1);
        one.not_after = date_time_ymd(2002, 1, 1);
    });
    let cases = [
        (None, "certificate required", "missing"),
        (Some(&stranger), "unknown ca", "unknown_authority"),
        (Some(&expired), "certificate expired", "expired"),
        (Some(&revoked), "certificate revoked", "revoked"),
    ];
    for (at, version) in ["--http1.1", "--http2"].into_iter().enumerate() {
        let said = asked(&secure, "shop.test", Some(&good), &[version]);
        assert!(said.contains("X-Client-Cert-Verified: SUCCESS\r\n"), "{said}");
        for (shown, alert, reason) in cases {
            let said = asked(&secure, "shop.test", shown, &[version]);
            assert!(said.to_lowercase().contains(alert), "{version} {reason}: {said}");
            let metric =
                format!("ringway_sessions_closed_total{{reason=\"client_certificate_{reason}\"");
            let is_counted = || secure.metric(&metric) == at as u64 + 1;
            await_that("the reason is counted", is_counted);
        }
    }
    let log = beside(&secure, "access.log");
    for (_, _, reason) in cases {
        let failure = format!("\"failure\":\"client_certificate_{reason}\"");
        await_that("it is recorded", || {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let mut lines = log.lines().filter(|line| line.contains(&failure));
            lines.next().is_some_and(|line| line.contains("\"host\":\"shop.test\""))
        });
    }
}

#[test]
fn the_backend_is_told_by_ringway_alone() {
    let scene = Scene::new();
    let secure = scene.start(OPTIONAL, "client_certificate = \"none\"");
    let good = scene.clients.issue_client("till.test", 1);
    let fields = [
        "-H",
        "x-client-cert-verified: SUCCESS",
        "-H",
        "X-Client-Cert-Subject: CN=root",
        "-H",
        "X_Client_Cert-Subject: CN=root",
        "-H",
        "x_client_cert_san: DNS:root",
        "-H",
        "X-CLIENT-CERT-FINGERPRINT: 00",
        "-H",
        "X-Client_Cert_Fingerprint: 00",
    ];
    let told = |head: &str| -> Vec<String> {
        let lines = head.lines().filter(|line| {
            line.to_ascii_lowercase().replace('_', "-").starts_with("x-client-cert")
        });
        lines.map(str::to_owned).collect()
    };
    for version in ["--http1.1", "--http2"] {
        let arguments = [&fields[..], &[version]].concat();
        let head = asked(&secure, "shop.test", Some(&good), &arguments);
        let lines = told(&head);
        let digits = field(&head, "X-Client-Cert-Fingerprint").expect("a fingerprint").to_owned();
        assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let expected = [
            "X-Client-Cert-Verified: SUCCESS".to_owned(),
            "X-Client-Cert-Subject: CN=till.test".to_owned(),
            "X-Client-Cert-SAN: DNS:till.test".to_owned(),
            format!("X-Client-Cert-Fingerprint: {digits}"),
        ];
        assert_eq!(lines, expected, "{version}");
        let head = asked(&secure, "shop.test", None, &arguments);
        assert_eq!(told(&head), ["X-Client-Cert-Verified: NONE"], "{version}");
        // This name asks for none.
        let head = asked(&secure, "inner.test", Some(&good), &arguments);
        assert!(told(&head).is_empty() && head.contains("GET / "), "{version}: {head}");
    }
    let mut stream = connect(address_of(&secure, "plain"));
    let request = "POST / HTTP/1.1\r\nHost: t\r\nX-Client-Cert-Verified: SUCCESS\r\n\
        x_client_cert_subject: CN=root\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
        1\r\na\r\n0\r\nX-Client-Cert-Verified: SUCCESS\r\nX-Client_Cert-Other: b\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let answer = String::from_utf8_lossy(&read_to_end(&mut stream)).to_lowercase();
    assert!(answer.starts_with("http/1.1 200") && !answer.contains("client-cert"), "{answer}");
    assert!(!answer.contains("client_cert"), "{answer}");
}

#[test]
fn each_name_has_its_own_rule_and_no_session_is_resumed_where_one_is_asked() {
    let scene = Scene::new();
    let inner = REQUIRED;
    let secure = scene.start("", inner);
    let good = scene.clients.issue_client("till.test", 1);
    let said = asked(&secure, "shop.test", None, &[]);
    assert!(said.starts_with("GET / ") && !said.contains("X-Client-Cert"), "{said}");
    let said = asked(&secure, "inner.test", None, &[]);
    assert!(said.contains("certificate required"), "{said}");
    let said = asked(&secure, "inner.test", Some(&good), &[]);
    assert!(said.contains("X-Client-Cert-Subject: CN=till.test\r\n"), "{said}");

    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut caller = Caller::showing(&scene.servers, &good, &[version]);
        caller.config.resumption = Resumption::in_memory_sessions(8);
        for _ in 0..2 {
            let seen = caller.get(secure.ringway.address, "inner.test").expect("it is served");
            assert!(!seen.is_resumed && seen.answer.contains("X-Client-Cert-Verified: SUCCESS"));
        }
    }
}

#[test]
fn a_list_of_revoked_certificates_that_changes_is_in_force_for_new_connections() {
    let scene = Scene::new();
    let secure = scene.start(REQUIRED, "");
    let good = scene.clients.issue_client("till.test", 1);
    let served = || asked(&secure, "shop.test", Some(&good), &[]).starts_with("GET / ");
    assert!(served());
    let list = beside(&secure, "crl.pem");
    std::fs::write(&list, scene.clients.revoke(&[1, REVOKED])).expect("written");
    await_that("it is refused", || !served());
    std::fs::write(&list, "none").expect("written");
    let fails = || secure.done(&["events"]).contains("crl.pem` is not PEM");
    await_that("it is told", fails);
    assert!(!served(), "what was there before still holds");
    std::fs::write(&list, scene.clients.revoke(&[])).expect("written");
    await_that("it is served again", served);
    // By a reload, too: nobody is asked for a certificate.
    let text = std::fs::read_to_string(&secure.file).expect("it is there");
    secure.rewrite(&text.replace(REQUIRED, "").replace("127.0.0.1:0", "LISTEN"));
    secure.done(&["reload"]);
    await_that("no certificate is needed", || {
        asked(&secure, "shop.test", None, &[]).starts_with("GET / ")
    });
}
