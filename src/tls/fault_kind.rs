//! Why a backend's TLS was not accepted, in as few words as a close reason has.

use super::Fault;
use rustls::{CertificateError, Error};
use std::fmt;

/// Why TLS to a backend failed.
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
    /// It refused the handshake with this alert (RFC 8446, section 6.2).
    Alert(u8),
    /// It ended the connection during the handshake.
    Closed,
    /// It broke the rules of TLS, or shares no version and cipher.
    Protocol,
}

impl FaultKind {
    /// The kind of a fault.
    pub fn of(fault: &Fault) -> Self {
        match fault {
            Fault::Handshake(Error::InvalidCertificate(error)) => Self::of_certificate(error),
            Fault::Handshake(Error::AlertReceived(alert)) => Self::Alert(u8::from(*alert)),
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
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("its certificate has expired"),
            Self::NotYetValid => f.write_str("its certificate is not valid yet"),
            Self::UnknownAuthority => {
                f.write_str("its certificate is from no authority that is trusted")
            }
            Self::OtherName => f.write_str("its certificate is for other names"),
            Self::Revoked => f.write_str("its certificate was revoked"),
            Self::BadCertificate => f.write_str("its certificate is not accepted"),
            Self::Alert(alert) => write!(f, "it refused the TLS handshake with alert {alert}"),
            Self::Closed => f.write_str("it ended the connection during the TLS handshake"),
            Self::Protocol => f.write_str("the TLS handshake failed"),
        }
    }
}
