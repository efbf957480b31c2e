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
    /// No buffer is left here for what came from it, or for what is to be sent to it.
    OutOfBuffers,
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

    /// True if something is short here, which says nothing of the backend.
    pub fn is_of_own_shortage(self) -> bool {
        let resources = [Failure::OutOfDescriptors, Failure::OutOfResources, Failure::NoBuffers];
        match self {
            Self::Network(failure) => resources.contains(&failure),
            Self::Tls(_) => false,
            Self::OutOfBuffers => true,
        }
    }

    /// The fault of the backend; `of_network` unless it is of TLS. None if it is none of it.
    pub fn of_backend(self, of_network: BackendFault) -> Option<BackendFault> {
        match self {
            fault if fault.is_of_own_shortage() => None,
            Self::Network(_) | Self::OutOfBuffers => Some(of_network),
            Self::Tls(kind) => Some(BackendFault::Tls(kind)),
        }
    }

    /// What a session ends for; `of_network` unless it is of TLS, or of a shortage here.
    pub fn reason(self, of_network: CloseReason) -> CloseReason {
        match self {
            fault if fault.is_of_own_shortage() => CloseReason::OutOfBuffers,
            Self::Network(_) | Self::OutOfBuffers => of_network,
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
