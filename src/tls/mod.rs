//! TLS, without sockets, files or a clock: certificates and what answers with them, and the session
//! of one connection, bytes in and bytes out.
//!
//! `pem` and `certificate` read certificates, `policy` has versions and suites, `serving` builds
//! what answers clients, a `site`, `names` finds it by server name, `challenge` is the answer to
//! one of ACME, `staple` is an answer of OCSP, `client_trust` verifies
//! certificates of clients, `identity` writes what one says, `client_side` is what a client's
//! connection has shown, `tickets` resumes sessions; `backend` is TLS towards backends, `trust` has
//! whose certificates are accepted of them, `sessions` what can be resumed; `handshake`, `record`
//! and `session` are one connection, `fault_kind` sorts why one fails.

mod backend;
mod certificate;
mod challenge;
mod client_side;
mod client_trust;
mod fault_kind;
mod handshake;
mod identity;
mod names;
mod pem;
mod policy;
mod record;
mod serving;
mod session;
mod sessions;
mod site;
mod staple;
mod tickets;
mod trust;

pub use backend::{BackendNames, BackendTerms, BackendTls, Trust, server_name};
pub use certificate::{Certificate, CertificateFault, FileOf, KeyKind, is_server_name};
pub use challenge::{CHALLENGE_PROTOCOL, challenge_site};
pub use client_side::ClientSide;
pub use client_trust::{ClientPolicy, ClientTrust, TrustFault, TrustFile};
pub use fault_kind::FaultKind;
pub use handshake::{Facts, Handshake};
pub use identity::Identity;
pub use names::{Answer, ServerNames};
pub use pem::FileFault;
pub use policy::{Policy, Suite};
pub use record::{CONTENT_BYTES_MAX, ContentType, OVERHEAD_BYTES_MAX, RecordFault, Version};
pub use serving::{Shown, Terms};
pub use session::{Fault, Received, Session};
pub use site::Site;
pub use staple::{Staple, StapleState};
pub use tickets::{TICKET_LIFETIME_S, TicketKeys, TicketSecret};
pub use trust::Authorities;

#[cfg(test)]
mod certificate_tests;
#[cfg(test)]
pub(crate) mod staple_tests;
#[cfg(test)]
mod tests;
