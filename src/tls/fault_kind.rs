//! Why TLS with a backend failed, in as few words as a close reason has.

use super::Fault;
use rustls::{CertificateError, Error};
use std::fmt;

/// Why TLS with a backend failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Its certificate is no longer valid.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is from no authority that is trusted.
    UnknownAuthority,
    /// Its certificate is for other names.
    OtherName,
    /// Its certificate was revoked.
    Revoked,
    /// Its certificate is not accepted for another reason.
    BadCertificate,
    /// It supports no version, cipher suite or protocol that is offered.
    NothingInCommon,
    /// It ended TLS with this alert (RFC 8446, section 6.2).
    Alert(u8),
    /// It ended the connection during the handshake.
    Closed,
    /// The handshake was not complete in time.
    TimedOut,
    /// It did not agree on HTTP/2.
    NoHttp2,
    /// It broke the rules of TLS, or does not speak it.
    Protocol,
}

/// The alerts that backends send, with their names.
const ALERTS: [(u8, &str); 25] = [
    (10, "unexpected message"),
    (20, "bad record mac"),
    (22, "record overflow"),
    (40, "handshake failure"),
    (42, "bad certificate"),
    (43, "unsupported certificate"),
    (44, "certificate revoked"),
    (45, "certificate expired"),
    (46, "certificate unknown"),
    (47, "illegal parameter"),
    (48, "unknown CA"),
    (49, "access denied"),
    (50, "decode error"),
    (51, "decrypt error"),
    (70, "protocol version"),
    (71, "insufficient security"),
    (80, "internal error"),
    (86, "inappropriate fallback"),
    (90, "user canceled"),
    (109, "missing extension"),
    (110, "unsupported extension"),
    (112, "unrecognized name"),
    (113, "bad certificate status response"),
    (116, "certificate required"),
    (120, "no application protocol"),
];

impl FaultKind {
    /// The kind of a fault.
    pub fn of(fault: &Fault) -> Self {
        match fault {
            Fault::Handshake(Error::InvalidCertificate(error)) => Self::of_certificate(error),
            Fault::Handshake(Error::AlertReceived(alert)) => Self::Alert(u8::from(*alert)),
            Fault::Handshake(Error::PeerIncompatible(_) | Error::NoApplicationProtocol)
            | Fault::UnsupportedCipher => Self::NothingInCommon,
            Fault::PeerAlert(alert) => Self::Alert(*alert),
            Fault::Closed => Self::Closed,
            _ => Self::Protocol,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::OtherName
            }
            CertificateError::Revoked => Self::Revoked,
            _ => Self::BadCertificate,
        }
    }

    /// True if it demands a certificate, or does not accept the one that it was shown.
    pub fn is_of_own_certificate(self) -> bool {
        matches!(self, Self::Alert(42..=46 | 48 | 49 | 116))
    }

    /// True if both sides support nothing in common, whichever of them has found that.
    pub fn is_of_nothing_in_common(self) -> bool {
        matches!(self, Self::NothingInCommon | Self::Alert(40 | 70 | 71 | 120))
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its certificate has expired",
            Self::NotYetValid => "its certificate is not valid yet",
            Self::UnknownAuthority => "its certificate is from no authority that is trusted",
            Self::OtherName => "its certificate is for other names",
            Self::Revoked => "its certificate was revoked",
            Self::BadCertificate => "its certificate is not accepted",
            Self::NothingInCommon => {
                "it supports no version, cipher suite or protocol of TLS that is offered"
            }
            Self::Alert(alert) => {
                let known = ALERTS.iter().find(|(number, _)| number == alert);
                let name = known.map_or("unknown", |(_, name)| name);
                return write!(f, "it ended TLS with the alert \"{name}\" ({alert})");
            }
            Self::Closed => "it ended the connection during the TLS handshake",
            Self::NoHttp2 => "it did not agree on HTTP/2 in the TLS handshake",
            Self::TimedOut => "the TLS handshake with it timed out",
            Self::Protocol => "the TLS handshake with it failed: does it speak TLS?",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_rfc() {
        for (number, name) in ALERTS {
            let of_library = format!("{:?}", rustls::AlertDescription::from(number));
            let of_library = of_library.to_lowercase().replace("recognised", "recognized");
            assert_eq!(
                of_library.replace("cancelled", "canceled"),
                name.replace(' ', "").to_lowercase()
            );
        }
        let required = FaultKind::Alert(116);
        assert_eq!(
            required.to_string(),
            "it ended TLS with the alert \"certificate required\" (116)"
        );
        assert!(required.is_of_own_certificate() && !required.is_of_nothing_in_common());
        assert!(FaultKind::Alert(70).is_of_nothing_in_common());
    }
}
