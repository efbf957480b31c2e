//! Why a connection to a backend could not be made, or broke: what is reported of the backend, and
//! what a session ends for.

use crate::engine::Failure;
use crate::mailbox::BackendFault;
use crate::stats::CloseReason;
use crate::tls::FaultKind;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The network, the backend or this system.
    Network(Failure),
    /// TLS with it.
    Tls(FaultKind),
}

impl From<Failure> for ConnectionFault {
    fn from(failure: Failure) -> Self {
        Self::Network(failure)
    }
}

impl ConnectionFault {
    /// The time to connect is over. `is_securing`: what was left is the TLS handshake.
    pub fn timed_out(is_securing: bool) -> Self {
        match is_securing {
            true => Self::Tls(FaultKind::TimedOut),
            false => Self::Network(Failure::TimedOut),
        }
    }

    /// The fault of the backend where it is one; `of_network` unless it is of TLS.
    pub fn of_backend(self, of_network: BackendFault) -> BackendFault {
        match self {
            Self::Network(_) => of_network,
            Self::Tls(kind) => BackendFault::Tls(kind),
        }
    }

    /// What a session ends for; `of_network` unless it is of TLS.
    pub fn reason(self, of_network: CloseReason) -> CloseReason {
        match self {
            Self::Network(_) => of_network,
            Self::Tls(kind) => reason_of(kind),
        }
    }

    /// True if it took time to notice.
    pub(super) fn is_silent(self) -> bool {
        matches!(self, Self::Network(Failure::TimedOut) | Self::Tls(FaultKind::TimedOut))
    }
}

/// What a session ends for whose TLS with a backend failed.
pub(super) fn reason_of(kind: FaultKind) -> CloseReason {
    match kind {
        FaultKind::Expired => CloseReason::BackendTlsExpired,
        FaultKind::NotYetValid => CloseReason::BackendTlsNotYetValid,
        FaultKind::UnknownAuthority => CloseReason::BackendTlsUnknownCa,
        FaultKind::OtherName => CloseReason::BackendTlsWrongName,
        FaultKind::Revoked | FaultKind::BadCertificate => CloseReason::BackendTlsBadCertificate,
        FaultKind::TimedOut => CloseReason::BackendTlsTimeout,
        kind if kind.is_of_own_certificate() => CloseReason::BackendTlsClientCertificate,
        FaultKind::NoHttp2 => CloseReason::BackendTlsNothingInCommon,
        kind if kind.is_of_nothing_in_common() => CloseReason::BackendTlsNothingInCommon,
        FaultKind::Alert(_) => CloseReason::BackendTlsAlert,
        FaultKind::NothingInCommon | FaultKind::Closed | FaultKind::Protocol => {
            CloseReason::BackendTlsFailed
        }
    }
}
