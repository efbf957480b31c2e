//! An authority that issues by ACME (RFC 8555), in this process: over TLS, with signatures, nonces
//! and challenges that it really checks. It does what a test tells it to do wrong.

use super::super::harness::*;
use super::super::https::{Authority, Issued};
use super::jws::{Jwk, Signed, Signer, decode, encode, is_bound};
use super::validating;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{CertificateParams, SanType};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

const ERROR: &str = "urn:ietf:params:acme:error:";

/// What the next requests to an endpoint are answered with.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// A part of the path of the endpoint.
    pub at: &'static str,
    pub status: u16,
    /// Without the beginning of the URN.
    pub kind: &'static str,
    pub retry_after_s: Option<u64>,
}

/// What it does.
pub struct Conduct {
    /// Where names are validated, by HTTP and by TLS.
    pub validates_at: Option<[SocketAddr; 2]>,
    pub refusals: Vec<Refusal>,
    /// The key that accounts must be bound with.
    pub binding: Option<(String, Vec<u8>)>,
    /// The lifetime of certificates: since when, and for how long from now.
    pub lifetime: [Duration; 2],
    /// Names that it leaves out of certificates.
    pub forgets: Option<String>,
    /// Windows for renewals, seconds from now, for all certificates.
    pub suggests: Option<[i64; 2]>,
    /// It knows no certificate that an order is to replace.
    pub refuses_replacements: bool,
}

#[derive(Clone)]
struct Authorization {
    name: String,
    token: String,
    status: &'static str,
    error: Option<Value>,
}

#[derive(Clone)]
struct Order {
    account: String,
    names: Vec<String>,
    authorizations: Vec<usize>,
    certificate: Option<String>,
}

struct State {
    nonces: HashSet<String>,
    count: usize,
    accounts: BTreeMap<String, (Jwk, Value)>,
    authorizations: Vec<Authorization>,
    orders: Vec<Order>,
    /// Every request, as "POST /new-order".
    seen: Vec<String>,
    conduct: Conduct,
}

pub struct AcmeServer {
    /// The authority of the certificates that it issues.
    pub issuing: Authority,
    /// The one of its own certificate, PEM.
    pub own_pem: String,
    address: SocketAddr,
    state: Mutex<State>,
    has_changed: Condvar,
    is_over: AtomicBool,
}

/// An answer, before it is written.
struct Answer {
    status: u16,
    fields: Vec<(&'static str, String)>,
    kind: &'static str,
    body: Vec<u8>,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        let kind = if status < 400 { "application/json" } else { "application/problem+json" };
        Self { status, fields: Vec::new(), kind, body: body.to_string().into_bytes() }
    }

    fn problem(status: u16, kind: &str, detail: &str) -> Self {
        let kind = format!("{ERROR}{kind}");
        Self::json(status, &json!({ "type": kind, "detail": detail, "status": status }))
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.fields.push((name, value));
        self
    }
}

impl AcmeServer {
    pub fn start() -> Arc<Self> {
        let (own, issuing) = (Authority::new(), Authority::new());
        let shown = own.issue_with(&rcgen::PKCS_ECDSA_P256_SHA256, &[], |params| {
            params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let hour = Duration::from_secs(3600);
        let conduct = Conduct {
            validates_at: None,
            refusals: Vec::new(),
            binding: None,
            lifetime: [hour, 90 * 24 * hour],
            forgets: None,
            suggests: None,
            refuses_replacements: false,
        };
        let state = State {
            nonces: HashSet::new(),
            count: 0,
            accounts: BTreeMap::new(),
            authorizations: Vec::new(),
            orders: Vec::new(),
            seen: Vec::new(),
            conduct,
        };
        let server = Arc::new(Self {
            issuing,
            own_pem: own.pem.clone(),
            address,
            state: Mutex::new(state),
            has_changed: Condvar::new(),
            is_over: AtomicBool::new(false),
        });
        let (config, accepting) = (Arc::new(tls(&shown)), server.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (server, config) = (accepting.clone(), config.clone());
                std::thread::spawn(move || server.serve(stream, config));
            }
        });
        server
    }

    /// Ends it: its port is closed.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }

    pub fn directory(&self) -> String {
        format!("https://{}/directory", self.address)
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it was locked")
    }

    /// Changes what it does.
    pub fn conduct(&self, change: impl FnOnce(&mut Conduct)) {
        change(&mut self.state().conduct);
        self.has_changed.notify_all();
    }

    /// How often an endpoint was asked: a part of its line.
    pub fn asked(&self, part: &str) -> usize {
        self.state().seen.iter().filter(|line| line.contains(part)).count()
    }

    /// What the accounts were opened with.
    pub fn accounts(&self) -> Vec<Value> {
        self.state().accounts.values().map(|(_, payload)| payload.clone()).collect()
    }

    /// The token of an authorization.
    pub fn token(&self, number: usize) -> String {
        self.state().authorizations[number].token.clone()
    }

    /// Certificates that were issued.
    pub fn issued(&self) -> usize {
        self.state().orders.iter().filter(|order| order.certificate.is_some()).count()
    }

    fn serve(&self, stream: TcpStream, config: Arc<ServerConfig>) {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let connection = ServerConnection::new(config).expect("a configuration");
        let mut stream = BufReader::new(StreamOwned::new(connection, stream));
        while let Some((line, body)) = read_request(&mut stream) {
            let answer = self.answer(&line, &body);
            let nonce = self.nonce();
            let mut text = format!(
                "HTTP/1.1 {} Answer\r\nReplay-Nonce: {nonce}\r\nContent-Type: {}\r\n\
                 Content-Length: {}\r\n",
                answer.status,
                answer.kind,
                answer.body.len()
            );
            for (name, value) in &answer.fields {
                text += &format!("{name}: {value}\r\n");
            }
            text += "\r\n";
            let body = if line.starts_with("HEAD ") { &[][..] } else { &answer.body };
            let all = [text.as_bytes(), body].concat();
            if stream.get_mut().write_all(&all).is_err() {
                return;
            }
        }
    }

    fn nonce(&self) -> String {
        let mut state = self.state();
        state.count += 1;
        let nonce = encode(format!("nonce {}", state.count).as_bytes());
        state.nonces.insert(nonce.clone());
        nonce
    }

    fn answer(&self, line: &str, body: &[u8]) -> Answer {
        let mut state = self.state();
        state.seen.push(line.to_owned());
        let refusal = state.conduct.refusals.iter().position(|one| line.contains(one.at));
        let refusal = refusal.map(|at| state.conduct.refusals.remove(at));
        drop(state);
        if let Some(Refusal { status, kind, retry_after_s, .. }) = refusal {
            let answer = Answer::problem(status, kind, "as the test wants it");
            return match retry_after_s {
                Some(seconds) => answer.with("Retry-After", seconds.to_string()),
                None => answer,
            };
        }
        let (method, path) = line.split_once(' ').expect("a request line");
        match (method, path) {
            ("GET", "/directory") => Answer::json(200, &self.resources()),
            ("HEAD", "/new-nonce") => Answer::json(200, &json!({})),
            ("GET", path) if path.starts_with("/renewal-info/") => self.renewal_info(),
            ("POST", path) => self.posted(path, &Signed::read(body)),
            _ => Answer::problem(404, "malformed", "there is nothing"),
        }
    }

    fn resources(&self) -> Value {
        let state = self.state();
        let mut all = json!({
            "newNonce": self.url("/new-nonce"),
            "newAccount": self.url("/new-account"),
            "newOrder": self.url("/new-order"),
            "meta": { "externalAccountRequired": state.conduct.binding.is_some() },
        });
        if state.conduct.suggests.is_some() {
            all["renewalInfo"] = self.url("/renewal-info").into();
        }
        all
    }

    fn renewal_info(&self) -> Answer {
        let window = self.state().conduct.suggests.expect("it is in the directory");
        let at = |seconds: i64| {
            let now = time_now() + seconds;
            let civil = ringway::base::calendar::Civil::at(now as u64);
            format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
            )
        };
        let window = json!({ "start": at(window[0]), "end": at(window[1]) });
        let answer = Answer::json(200, &json!({ "suggestedWindow": window }));
        answer.with("Retry-After", "21600".to_owned())
    }

    fn posted(&self, path: &str, signed: &Signed) -> Answer {
        assert_eq!(signed.url, self.url(path), "it is signed for this endpoint");
        if !self.state().nonces.remove(&signed.nonce) {
            return Answer::problem(400, "badNonce", "another nonce");
        }
        let account = match &signed.signer {
            Signer::Key(key) => {
                assert_eq!(path, "/new-account");
                signed.verify(key);
                return self.new_account(key, signed);
            }
            Signer::Account(account) => account.clone(),
        };
        let Some((key, _)) = self.state().accounts.get(&account).cloned() else {
            return Answer::problem(400, "accountDoesNotExist", "there is no such account");
        };
        signed.verify(&key);
        if path == "/new-order" {
            return self.new_order(account, signed);
        }
        if self.state().accounts.contains_key(&self.url(path)) {
            self.state().accounts.insert(account, (key, signed.json()));
            return Answer::json(200, &json!({ "status": "valid" }));
        }
        let (kind, number) = path[1..].split_once('/').expect("a number");
        let number: usize = number.parse().expect("a number");
        match kind {
            "authorization" => Answer::json(200, &self.authorization(number)),
            "challenge" => self.challenge(number, signed, &key.thumbprint()),
            "order" => Answer::json(200, &self.order(number)),
            "finalize" => self.finalize(number, signed),
            "certificate" => {
                let chain = self.state().orders[number].certificate.clone().expect("it is valid");
                let kind = "application/pem-certificate-chain";
                Answer { status: 200, fields: Vec::new(), kind, body: chain.into_bytes() }
            }
            _ => Answer::problem(404, "malformed", "there is nothing"),
        }
    }

    fn new_account(&self, key: &Jwk, signed: &Signed) -> Answer {
        let payload = signed.json();
        if payload["termsOfServiceAgreed"] != true {
            return Answer::problem(400, "userActionRequired", "agree to the terms");
        }
        let mut state = self.state();
        if let Some((id, bound)) = &state.conduct.binding {
            let binding = &payload["externalAccountBinding"];
            if binding.is_null() {
                return Answer::problem(400, "externalAccountRequired", "no binding");
            }
            if !is_bound(binding, &signed.url, key, id, bound) {
                return Answer::problem(401, "unauthorized", "the binding is not signed so");
            }
        }
        let url = self.url(&format!("/account/{}", state.accounts.len()));
        state.accounts.insert(url.clone(), (key.clone(), payload));
        Answer::json(201, &json!({ "status": "valid" })).with("Location", url)
    }

    fn new_order(&self, account: String, signed: &Signed) -> Answer {
        let payload = signed.json();
        let names = payload["identifiers"].as_array().expect("some").iter().map(|one| {
            assert_eq!(one["type"], "dns");
            one["value"].as_str().expect("text").to_owned()
        });
        let names: Vec<String> = names.collect();
        let mut state = self.state();
        if state.conduct.refuses_replacements && !payload["replaces"].is_null() {
            return Answer::problem(404, "malformed", "no such certificate");
        }
        let authorizations = names.iter().map(|name| {
            let token = encode(format!("token {} {name}", state.count).as_bytes());
            let (name, status) = (name.clone(), "pending");
            Authorization { name, token, status, error: None }
        });
        let authorizations: Vec<Authorization> = authorizations.collect();
        let first = state.authorizations.len();
        state.authorizations.extend(authorizations);
        let authorizations = (first..state.authorizations.len()).collect();
        state.orders.push(Order { account, names, authorizations, certificate: None });
        let number = state.orders.len() - 1;
        drop(state);
        let mut shown = self.order(number);
        if !payload["replaces"].is_null() {
            shown["replaces"] = payload["replaces"].clone();
        }
        Answer::json(201, &shown).with("Location", self.url(&format!("/order/{number}")))
    }

    fn order(&self, number: usize) -> Value {
        let state = self.state();
        let order = &state.orders[number];
        let own: Vec<_> =
            order.authorizations.iter().map(|at| &state.authorizations[*at]).collect();
        let status = match () {
            () if order.certificate.is_some() => "valid",
            () if own.iter().any(|one| one.status == "invalid") => "invalid",
            () if own.iter().all(|one| one.status == "valid") => "ready",
            () => "pending",
        };
        let authorizations = order.authorizations.iter();
        let authorizations: Vec<String> =
            authorizations.map(|at| self.url(&format!("/authorization/{at}"))).collect();
        let names: Vec<Value> =
            order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let mut shown = json!({
            "status": status,
            "identifiers": names,
            "authorizations": authorizations,
            "finalize": self.url(&format!("/finalize/{number}")),
        });
        if order.certificate.is_some() {
            shown["certificate"] = self.url(&format!("/certificate/{number}")).into();
        }
        shown
    }

    fn authorization(&self, number: usize) -> Value {
        let one = self.state().authorizations[number].clone();
        let challenge = |kind: &str, place: usize| {
            let mut shown = json!({
                "type": kind,
                "url": self.url(&format!("/challenge/{}", 2 * number + place)),
                "token": one.token,
                "status": one.status,
            });
            if let Some(error) = &one.error {
                shown["error"] = error.clone();
            }
            shown
        };
        json!({
            "status": one.status,
            "identifier": { "type": "dns", "value": one.name },
            "challenges": [challenge("http-01", 0), challenge("tls-alpn-01", 1)],
        })
    }

    /// Validates a name before it answers: the client asks for the result all the same.
    fn challenge(&self, number: usize, signed: &Signed, thumbprint: &str) -> Answer {
        assert_eq!(signed.json(), json!({}));
        let (at, is_tls) = (number / 2, number % 2 == 1);
        let one = self.state().authorizations[at].clone();
        let expected = format!("{}.{thumbprint}", one.token);
        let [http, tls] = self.await_places();
        let result = match is_tls {
            true => validating::by_tls(tls, &one.name, &expected),
            false => validating::by_http(http, &one.name, &one.token, &expected),
        };
        let mut state = self.state();
        let row = &mut state.authorizations[at];
        match result {
            Ok(()) => row.status = "valid",
            Err(why) => {
                row.status = "invalid";
                let kind = format!("{ERROR}unauthorized");
                row.error = Some(json!({ "type": kind, "detail": why }));
            }
        }
        drop(state);
        let kind = if is_tls { "tls-alpn-01" } else { "http-01" };
        let url = self.url(&format!("/challenge/{number}"));
        let processing = json!({
            "type": kind, "url": url, "token": one.token, "status": "processing",
        });
        Answer::json(200, &processing)
    }

    fn await_places(&self) -> [SocketAddr; 2] {
        let mut state = self.state();
        loop {
            if let Some(places) = state.conduct.validates_at {
                return places;
            }
            state = self.has_changed.wait(state).expect("no panic");
        }
    }

    fn finalize(&self, number: usize, signed: &Signed) -> Answer {
        assert_eq!(self.order(number)["status"], "ready");
        let request = decode(&signed.json()["csr"]);
        let mut state = self.state();
        let order = &state.orders[number];
        let account = order.account.clone();
        assert!(matches!(&signed.signer, Signer::Account(own) if *own == account));
        let [before, after] = state.conduct.lifetime;
        let forgotten = state.conduct.forgets.clone();
        let chain = self.issue(&request, &order.names, forgotten, before, after);
        state.orders[number].certificate = Some(chain);
        drop(state);
        Answer::json(200, &self.order(number))
            .with("Location", self.url(&format!("/order/{number}")))
    }

    /// Signs a request that its key has signed.
    fn issue(
        &self,
        request: &[u8],
        ordered: &[String],
        forgotten: Option<String>,
        before: Duration,
        after: Duration,
    ) -> String {
        let (_, parsed) = X509CertificationRequest::from_der(request).expect("a request");
        let inner = &parsed.certification_request_info;
        let key = SignedKey(inner.subject_pki.subject_public_key.data.to_vec());
        // Those of tests are of P-256.
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key.0)
            .verify(inner.raw, &parsed.signature_value.data)
            .expect("whoever asks has the key");
        let extensions = parsed.requested_extensions().into_iter().flatten();
        let names = extensions.filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
        let names = names.flatten().map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            other => panic!("{other}"),
        });
        let mut names: Vec<String> = names.collect();
        assert_eq!(names, ordered, "it is about the names of the order");
        names.retain(|name| Some(name) != forgotten.as_ref());
        let mut params = CertificateParams::new(names).expect("names");
        params.use_authority_key_identifier_extension = true;
        let now = SystemTime::now();
        params.not_before = (now - before).into();
        params.not_after = (now + after).into();
        self.issuing.sign(&params, &key)
    }
}

/// A public key of P-256, whose private one is the client's.
struct SignedKey(Vec<u8>);

impl rcgen::PublicKeyData for SignedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

fn time_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    since.as_secs() as i64
}

fn tls(shown: &Issued) -> ServerConfig {
    let chain = CertificateDer::from_pem_slice(shown.chain.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).expect("PEM");
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("a pair")
}

/// Its method and path, and its content; none at the end of the connection.
fn read_request(stream: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut first = String::new();
    stream.read_line(&mut first).ok().filter(|length| *length > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(": ").expect("a field");
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().expect("a length");
        }
        if name.eq_ignore_ascii_case("content-type") {
            assert_eq!(value.trim(), "application/jose+json");
        }
        if name.eq_ignore_ascii_case("user-agent") {
            assert!(value.starts_with("ringway/"), "{value}");
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    Some((format!("{method} {path}"), body))
}
