//! Signed requests of ACME (RFC 8555, 6.2), as an authority reads them: everything about them is
//! checked.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("text");
    URL_SAFE_NO_PAD.decode(text).expect("base64 of URLs without padding")
}

/// The public key of an account, on P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk(Value);

impl Jwk {
    fn of(value: &Value) -> Self {
        let ["EC", "P-256"] = [&value["kty"], &value["crv"]].map(|one| one.as_str().expect("text"))
        else {
            panic!("another key: {value}")
        };
        Self(value.clone())
    }

    /// RFC 7638.
    pub fn thumbprint(&self) -> String {
        let [x, y] = ["x", "y"].map(|key| self.0[key].as_str().expect("text"));
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        encode(digest(&SHA256, text.as_bytes()).as_ref())
    }

    fn verify(&self, signed: &str, signature: &[u8]) {
        let point = [vec![4], decode(&self.0["x"]), decode(&self.0["y"])].concat();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(signed.as_bytes(), signature).expect("it is signed with this key");
    }
}

/// Who has signed a request.
pub enum Signer {
    /// A key: only for a new account.
    Key(Jwk),
    /// The URL of an account.
    Account(String),
}

/// A request before its signature is verified.
pub struct Signed {
    pub signer: Signer,
    pub nonce: String,
    pub url: String,
    /// Empty: POST as GET.
    pub payload: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
}

impl Signed {
    pub fn read(body: &[u8]) -> Self {
        let whole: Value = serde_json::from_slice(body).expect("JSON");
        let header: Value = serde_json::from_slice(&decode(&whole["protected"])).expect("JSON");
        assert_eq!(header["alg"], "ES256");
        let signer = match (&header["jwk"], &header["kid"]) {
            (Value::Null, Value::String(account)) => Signer::Account(account.clone()),
            (jwk, Value::Null) => Signer::Key(Jwk::of(jwk)),
            both => panic!("a key and an account: {both:?}"),
        };
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Self {
            signer,
            nonce: text(&header["nonce"]),
            url: text(&header["url"]),
            payload: decode(&whole["payload"]),
            signed: format!("{}.{}", text(&whole["protected"]), text(&whole["payload"])),
            signature: decode(&whole["signature"]),
        }
    }

    pub fn verify(&self, key: &Jwk) {
        key.verify(&self.signed, &self.signature);
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).expect("JSON")
    }
}

/// Whether the binding to an external account is right (RFC 8555, 7.3.4).
pub fn is_bound(binding: &Value, url: &str, account: &Jwk, id: &str, key: &[u8]) -> bool {
    let header: Value = serde_json::from_slice(&decode(&binding["protected"])).expect("JSON");
    assert_eq!(header, json!({ "alg": "HS256", "kid": header["kid"], "url": url }));
    let payload: Value = serde_json::from_slice(&decode(&binding["payload"])).expect("JSON");
    assert_eq!(payload, account.0, "it is about the key of the account");
    let [protected, payload] =
        ["protected", "payload"].map(|part| binding[part].as_str().expect("text"));
    let signed = format!("{protected}.{payload}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let signature = decode(&binding["signature"]);
    header["kid"] == id && hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
}
