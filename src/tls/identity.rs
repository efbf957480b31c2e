//! What a client's certificate says of it, as fields for a backend. Written once, when the
//! handshake is complete.
//!
//! Does not: verify; that was done by the handshake.

use super::certificate::{hex, sha256};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Bytes of the longest value that is passed on: a longer one is left out, since requests with it
/// would not fit, and it is kept as long as the connection.
const VALUE_BYTES_MAX: usize = 4096;

/// A field: its name and value.
pub(super) type Field = (&'static str, Cow<'static, str>);

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// For the head of a request.
    pub fields: Box<[Field]>,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: Arc<str>,
}

const VERIFIED: &str = "X-Client-Cert-Verified";

/// The field where a client was asked for a certificate and has shown none.
pub(super) const NO_CERTIFICATE: &[Field] = &[(VERIFIED, Cow::Borrowed("NONE"))];

impl Identity {
    /// That of the certificate with these bytes.
    pub fn of(der: &[u8]) -> Self {
        let fingerprint = hex(&sha256(der));
        let mut fields: Vec<Field> = vec![(VERIFIED, Cow::Borrowed("SUCCESS"))];
        if let Ok((_, certificate)) = X509Certificate::from_der(der) {
            let subject = name_text(certificate.subject());
            if subject.len() <= VALUE_BYTES_MAX {
                fields.push(("X-Client-Cert-Subject", subject.into()));
            }
            let names = names_text(&certificate);
            if !names.is_empty() && names.len() <= VALUE_BYTES_MAX {
                fields.push(("X-Client-Cert-SAN", names.into()));
            }
        }
        fields.push(("X-Client-Cert-Fingerprint", fingerprint.clone().into()));
        Self { fields: fields.into(), fingerprint: fingerprint.into() }
    }
}

/// A distinguished name as RFC 4514 has it: the last part first.
fn name_text(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let part = |attributes: Vec<String>| attributes.join("+");
    let texts = parts.into_iter().rev().map(|rdn| part(rdn.iter().map(attribute_text).collect()));
    texts.collect::<Vec<_>>().join(",")
}

fn attribute_text(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type();
    let short = oid2abbrev(oid, oid_registry()).ok();
    let name = short.map_or_else(|| oid.to_id_string(), str::to_owned);
    let value = match attribute.as_str() {
        Ok(text) => escaped(text),
        Err(_) => format!("#{}", hex(attribute.as_slice())),
    };
    format!("{name}={value}")
}

/// The subject's alternative names, each with its kind, separated by commas.
fn names_text(certificate: &X509Certificate<'_>) -> String {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|found| &found.value.general_names);
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{}", escaped(name))),
        GeneralName::RFC822Name(name) => Some(format!("email:{}", escaped(name))),
        GeneralName::URI(uri) => Some(format!("URI:{}", escaped(uri))),
        GeneralName::IPAddress(bytes) => address(bytes).map(|ip| format!("IP:{ip}")),
        GeneralName::DirectoryName(name) => Some(format!("DN:{}", escaped(&name_text(name)))),
        _ => None,
    };
    names.filter_map(name).collect::<Vec<_>>().join(",")
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(Into::into)
}

/// A value without a byte that could end it, or the line (RFC 4514, 2.4): what is special in a
/// name gets a backslash, what is not printable is written in hexadecimal digits behind one.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let is_outer_blank = byte == b' ' && (at == 0 || at == last);
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b'#' if at == 0 => out.push_str("\\#"),
            b' '..=b'~' if !is_outer_blank => out.push(char::from(byte)),
            _ => write!(out, "\\{byte:02X}").expect("a String takes all"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};

    fn fields(change: impl FnOnce(&mut CertificateParams)) -> Vec<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let identity = Identity::of(certificate.der());
        let line = |(name, value): &Field| format!("{name}: {value}");
        let lines: Vec<String> = identity.fields.iter().map(line).collect();
        assert!(lines.iter().all(|line| line.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
        let digits = identity.fingerprint;
        assert_eq!(lines.last(), Some(&format!("X-Client-Cert-Fingerprint: {digits}")));
        lines
    }

    #[test]
    fn it_is_written_as_fields() {
        let lines = fields(|params| {
            params.distinguished_name.push(DnType::CountryName, "DE");
            params.distinguished_name.push(DnType::OrganizationName, "Shop, Inc.");
            params.distinguished_name.push(DnType::CommonName, "till 7");
            params.subject_alt_names = vec![
                SanType::DnsName("a.test".try_into().expect("a name")),
                SanType::URI("spiffe://a.test/x,y".try_into().expect("a URI")),
                SanType::Rfc822Name("a@b.test".try_into().expect("an address")),
                SanType::IpAddress([192, 0, 2, 7].into()),
            ];
        });
        assert_eq!(lines[0], "X-Client-Cert-Verified: SUCCESS");
        assert_eq!(lines[1], "X-Client-Cert-Subject: CN=till 7,O=Shop\\, Inc.,C=DE");
        let names = "DNS:a.test,URI:spiffe://a.test/x\\,y,email:a@b.test,IP:192.0.2.7";
        assert_eq!(lines[2], format!("X-Client-Cert-SAN: {names}"));
    }

    #[test]
    fn nothing_in_a_name_ends_a_line_or_looks_like_another_part() {
        let lines = fields(|params| {
            let name = "x\r\nX-Admin: 1,CN=root\u{e9} ";
            params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(name.into()));
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        let expected = "CN=x\\0D\\0AX-Admin: 1\\,CN=root\\C3\\A9\\20";
        assert_eq!(lines[1], format!("X-Client-Cert-Subject: {expected}"));
    }

    #[test]
    fn a_list_of_names_that_is_too_long_is_left_out() {
        let lines = fields(|params| {
            let name = |number| format!("{number:060}.test").try_into().expect("a name");
            params.subject_alt_names =
                (0..70).map(|number| SanType::DnsName(name(number))).collect();
        });
        assert!(!lines.iter().any(|line| line.starts_with("X-Client-Cert-SAN")), "{lines:?}");
    }

    #[test]
    fn a_subject_that_is_too_long_is_left_out() {
        let subject = |length| {
            let name = DnValue::Utf8String("x".repeat(length));
            let lines = fields(|params| params.distinguished_name.push(DnType::CommonName, name));
            lines.into_iter().find(|line| line.starts_with("X-Client-Cert-Subject"))
        };
        assert!(subject(4_000).is_some());
        assert_eq!(subject(5_000), None);
    }
}
