//! Probes over TLS, and the TLS origin.

use super::*;
use crate::config::TlsProbe;
use crate::coordinator::probing::protocol::ProbeStage;
use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate for `shop.test` that nobody trusts unless told to.
pub(super) struct Identity {
    certified: CertifiedKey<KeyPair>,
    pub(super) file: PathBuf,
}

impl Identity {
    pub(super) fn of(names: &[&str]) -> Self {
        Self::made(names, IsCa::NoCa)
    }

    fn made(names: &[&str], is_ca: IsCa) -> Self {
        static FILES: AtomicU32 = AtomicU32::new(0);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut parameters = CertificateParams::new(names).expect("names");
        parameters.is_ca = is_ca;
        let signing_key = KeyPair::generate().expect("a key");
        let cert = parameters.self_signed(&signing_key).expect("a certificate");
        let certified = CertifiedKey { cert, signing_key };
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringway-probe-{}-{number}.pem", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, certified.cert.pem()).expect("written");
        Self { certified, file }
    }

    pub(super) fn acceptor(&self, protocol: &[u8]) -> TlsAcceptor {
        let key = PrivatePkcs8KeyDer::from(self.certified.signing_key.serialize_der());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.certified.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
            .expect("a key");
        if !protocol.is_empty() {
            config.alpn_protocols = vec![protocol.to_vec()];
        }
        TlsAcceptor::from(Arc::new(config))
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Answers one request with 200; tells which name was asked for.
async fn serve(acceptor: TlsAcceptor) -> (SocketAddr, tokio::task::JoinHandle<Option<String>>) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = acceptor.accept(stream).await.ok()?;
        let name = stream.get_ref().1.server_name().map(str::to_owned);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut request).await.ok().filter(|length| *length > 0)?;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let _ = stream.flush().await;
        name
    });
    (address, task)
}

fn https(host: Option<&str>, tls: TlsProbe) -> Probe {
    let host = host.map(str::to_owned);
    let body = Some("ok".to_owned());
    probe_of(ProbeKind::Http(HttpProbe { host, body, tls: Some(tls), ..HttpProbe::default() }))
}

fn trusting(identity: &Identity) -> TlsProbe {
    TlsProbe { ca_file: Some(identity.file.clone()), ..TlsProbe::default() }
}

#[tokio::test]
async fn a_trusted_certificate_for_the_name_passes() {
    let identity = Identity::of(&["shop.test"]);
    for (host, sni) in [
        (Some("shop.test"), None),
        (Some("shop.test:8443"), None),
        (Some("other.test"), Some("shop.test")),
        (None, Some("shop.test")),
    ] {
        let (address, served) = serve(identity.acceptor(b"http/1.1")).await;
        let tls = TlsProbe { sni: sni.map(str::to_owned), ..trusting(&identity) };
        assert_eq!(ask(&https(host, tls), address).await, Ok(()), "{host:?} {sni:?}");
        assert_eq!(served.await.expect("served").as_deref(), Some("shop.test"));
    }
}

#[tokio::test]
async fn without_a_name_the_address_is_verified() {
    let identity = Identity::of(&["127.0.0.1"]);
    for host in [None, Some("127.0.0.1:443")] {
        let (address, _) = serve(identity.acceptor(b"")).await;
        assert_eq!(ask(&https(host, trusting(&identity)), address).await, Ok(()));
    }
}

#[tokio::test]
async fn another_name_or_an_unknown_issuer_fails() {
    let (identity, stranger) = (Identity::of(&["shop.test"]), Identity::of(&["shop.test"]));
    for (host, trusted) in
        [(Some("bank.test"), &identity), (None, &identity), (Some("shop.test"), &stranger)]
    {
        let (address, _) = serve(identity.acceptor(b"http/1.1")).await;
        let result = ask(&https(host, trusting(trusted)), address).await;
        let text = match result {
            Err(ProbeFailure::Tls(text)) => text,
            other => panic!("{host:?} {other:?}"),
        };
        let is_debug = text.contains("::") || text.contains("Error(") || text.contains("UnknownI");
        assert!(!is_debug && text.contains("certificate"), "in words: {text}");
    }
}

#[tokio::test]
async fn a_certificate_of_an_authority_fails_with_the_remedy() {
    let authority = IsCa::Ca(BasicConstraints::Unconstrained);
    let identity = Identity::made(&["shop.test"], authority);
    let (address, _) = serve(identity.acceptor(b"http/1.1")).await;
    let failure = ask(&https(Some("shop.test"), trusting(&identity)), address).await;
    let text = failure.expect_err("no server may have it").to_string();
    assert!(text.contains("CA:TRUE") && text.contains("CA:FALSE"), "{text}");
}

#[tokio::test]
async fn without_verification_anything_passes() {
    let identity = Identity::of(&["bank.test"]);
    let (address, _) = serve(identity.acceptor(b"http/1.1")).await;
    let tls = TlsProbe { verify: false, ..TlsProbe::default() };
    assert_eq!(ask(&https(Some("shop.test"), tls), address).await, Ok(()));
}

#[tokio::test]
async fn what_is_no_tls_fails_as_tls() {
    let tls = TlsProbe { verify: false, ..TlsProbe::default() };
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let (address, _) = origin(|mut stream| say(&mut stream, answer));
        let result = ask(&https(None, tls.clone()), address).await;
        assert!(matches!(result, Err(ProbeFailure::Tls(_))), "{result:?}");
    }
}

#[tokio::test]
async fn silence_times_out_in_the_handshake() {
    let (address, _) = origin(stay_silent);
    let mut probe = https(None, TlsProbe { verify: false, ..TlsProbe::default() });
    probe.rules.timeout = HASTE;
    let timed_out = ProbeFailure::TimedOut { stage: ProbeStage::Handshake };
    assert_eq!(ask(&probe, address).await, Err(timed_out));
}

#[test]
fn a_file_is_read_once_for_all_probes_that_are_made_together() {
    let identity = Identity::of(&["shop.test"]);
    let probe = https(None, trusting(&identity));
    let mut trusted = Trusted::default();
    Prober::new(&probe, &mut trusted).expect("it is read");
    std::fs::write(&identity.file, "no certificate").expect("written");
    Prober::new(&probe, &mut trusted).expect("it is not read again");
    let made = Prober::new(&probe, &mut Trusted::default()).map(drop);
    made.expect_err("the next ones have it as it is");
}

#[test]
fn certificates_and_names_are_to_be_mended() {
    let over = |tls| ProbeKind::Http(HttpProbe { tls: Some(tls), ..HttpProbe::default() });
    let missing = TlsProbe { ca_file: Some("/nonexistent.pem".into()), ..TlsProbe::default() };
    assert!(mend(over(missing)).contains("`ca_file` /nonexistent.pem cannot be read"));

    let identity = Identity::of(&["shop.test"]);
    std::fs::write(&identity.file, "no certificate").expect("written");
    assert!(mend(over(trusting(&identity))).contains("is not PEM"));

    let sni = Some("not a name".to_owned());
    let tls = TlsProbe { sni, verify: false, ca_file: None };
    assert!(mend(over(tls)).contains("`sni`"));
}
