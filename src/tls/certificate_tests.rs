//! Certificates: what fits together, how what does not is told, and what clients may refuse.

use super::certificate::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};

/// An authority, an intermediate one and a certificate that this has issued, with its key.
struct Chain {
    root: String,
    intermediate: String,
    own: String,
    key: KeyPair,
}

fn of_authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn chain(change: impl FnOnce(&mut CertificateParams)) -> Chain {
    let [root_key, intermediate_key, key] = [(); 3].map(|()| KeyPair::generate().expect("a key"));
    let root_params = of_authority("root");
    let root = root_params.self_signed(&root_key).expect("signed").pem();
    let root_issuer = Issuer::new(root_params, root_key);
    let intermediate_params = of_authority("between");
    let intermediate = intermediate_params.signed_by(&intermediate_key, &root_issuer);
    let intermediate = intermediate.expect("signed").pem();
    let issuer = Issuer::new(intermediate_params, intermediate_key);
    let names = ["Shop.test", "*.shop.test", "f*.shop.test", "10.0.0.1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).expect("names");
    change(&mut params);
    let own = params.signed_by(&key, &issuer).expect("signed").pem();
    Chain { root, intermediate, own, key }
}

/// A certificate with this serial number, and its key, PEM.
pub(super) fn with_serial_number(number: u64) -> (String, String) {
    let made = chain(|params| params.serial_number = Some(number.into()));
    (made.own, made.key.serialize_pem())
}

fn read(chain: &[&str], key: &str) -> Result<Certificate, CertificateFault> {
    Certificate::read(chain.concat().as_bytes(), key.as_bytes())
}

/// The file, line and words of what is wrong.
fn fault(chain: &[&str], key: &str) -> (FileOf, Option<usize>, String) {
    let CertificateFault { file, fault } = read(chain, key).expect_err("it is wrong");
    (file, fault.line, format!("{}; {}", fault.problem, fault.remedy))
}

#[test]
fn a_certificate_says_its_names_and_what_of_them_is_not_used() {
    let made = chain(|_| {});
    let key = made.key.serialize_pem();
    let certificate = read(&[&made.own, &made.intermediate, &made.root], &key).expect("it is well");
    assert_eq!(certificate.names, ["shop.test".into(), "*.shop.test".into()]);
    assert_eq!(certificate.remarks, ["its name `f*.shop.test` is not used"]);
    assert_eq!((certificate.kind, &*certificate.issuer), (KeyKind::EcdsaP256, "CN=between"));
    assert!(certificate.begins < certificate.ends);
    assert_eq!(certificate.fingerprint_text().len(), 64);
    assert!(!format!("{certificate:?}").contains("key"), "{certificate:?}");
}

#[test]
fn keys_of_every_form_and_kind_are_read() {
    for (algorithm, kind) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, KeyKind::EcdsaP256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, KeyKind::EcdsaP384),
        (&rcgen::PKCS_ECDSA_P521_SHA512, KeyKind::EcdsaP521),
        (&rcgen::PKCS_ED25519, KeyKind::Ed25519),
        (&rcgen::PKCS_RSA_SHA256, KeyKind::Rsa),
    ] {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let params = CertificateParams::new(["a.test".to_owned()]).expect("a name");
        let own = params.self_signed(&key).expect("signed").pem();
        assert_eq!(read(&[&own], &key.serialize_pem()).expect("it is well").kind, kind);
    }
}

#[test]
fn what_does_not_fit_together_is_told_with_its_file_and_line() {
    let made = chain(|_| {});
    let key = made.key.serialize_pem();
    let (file, line, words) = fault(&[&made.intermediate, &made.own], &key);
    assert_eq!((file, line), (FileOf::Chain, Some(made.intermediate.lines().count() + 1)));
    assert!(words.contains("behind its issuer's; put it first"), "{words}");
    let other = KeyPair::generate().expect("a key").serialize_pem();
    let (file, _, words) = fault(&[&made.own], &other);
    assert_eq!(file, FileOf::Key);
    assert!(words.contains("does not fit the certificate of"), "{words}");
    let (file, line, words) = fault(&[&made.own], &format!("{key}{other}"));
    assert_eq!((file, line), (FileOf::Key, Some(key.lines().count() + 1)));
    assert!(words.contains("has 2 private keys"), "{words}");
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let (_, _, words) = fault(&[&made.own], &encrypted);
    assert!(words.contains("has an encrypted key; decrypt it: `openssl pkey"), "{words}");
    let old = key.replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\n");
    assert!(fault(&[&made.own], &old).2.contains("has an encrypted key"));
    let request = made.own.replace("CERTIFICATE", "CERTIFICATE REQUEST");
    let (_, line, words) = fault(&[&request], &key);
    assert_eq!(line, Some(1));
    assert!(words.contains("give the file that it answers with"), "{words}");
}

#[test]
fn what_clients_may_not_accept_is_a_remark() {
    let remarks = |chain: &[&str], made: &Chain| {
        read(chain, &made.key.serialize_pem()).expect("it can be served").remarks.join("; ")
    };
    let made = chain(|_| {});
    let lines = made.own.lines().count() + 1;
    let skipping = remarks(&[&made.own, &made.root], &made);
    let words = format!("on line {lines} of its file has not issued the one before it, whose");
    assert!(skipping.contains(&words), "{skipping}");
    let made = chain(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let both = remarks(&[&made.own], &made);
    assert!(both.contains("(CA:TRUE)") && both.contains("no serverAuth"), "{both}");
    assert!(!both.contains("fullchain"), "a private authority may have no intermediate one");
    let made = chain(|params| {
        // id-ad-caIssuers with the URI `http://a`.
        let address = [&[0x30, 0x16, 0x30, 0x14, 6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2][..]];
        let content = [&address.concat()[..], &[0x86, 8], b"http://a"].concat();
        let access = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content);
        params.custom_extensions = vec![access];
    });
    assert!(remarks(&[&made.own], &made).contains("fullchain.pem"));
    assert!(!remarks(&[&made.own, &made.intermediate], &made).contains("fullchain.pem"));
    let made = chain(|params| params.subject_alt_names.clear());
    assert!(remarks(&[&made.own], &made).contains("no subjectAltName"));
}
