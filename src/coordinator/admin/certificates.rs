//! The certificates in force, and the files of TLS that cannot be used.

use super::metrics::Text;
use crate::config::Choice;
use crate::coordinator::control::Control;
use crate::coordinator::process::days_left;
use crate::sys::clock;
use serde::Serialize;

/// A certificate that clients are shown.
#[derive(Serialize)]
pub(super) struct CertificateStatus {
    chain: String,
    /// The only listener that it counts on; none: all of HTTPS.
    listener: Option<String>,
    /// The names that it is served for.
    names: Vec<String>,
    default: bool,
    /// Whether an answer of OCSP is sent with it; none: there is none.
    ocsp: Option<&'static str>,
    /// Whether clients show a certificate for these names; none: as the listener has it.
    client_certificate: Option<&'static str>,
    key: &'static str,
    subject: String,
    issuer: String,
    begins_ms: i64,
    ends_ms: i64,
    /// Whole days until its end; none if it is over.
    days_left: Option<u64>,
    /// SHA-256 of the certificate.
    fingerprint: String,
    remarks: Vec<String>,
}

/// Files that have changed and cannot be used.
#[derive(Serialize)]
pub(super) struct FailingFiles {
    files: String,
    reason: String,
}

pub(super) fn certificates(control: &Control) -> Vec<CertificateStatus> {
    let config = control.config();
    let wall_s = i64::try_from(clock::wall_seconds()).unwrap_or(i64::MAX);
    let status = |one: &crate::config::Certificate| {
        let loaded = &one.loaded;
        CertificateStatus {
            chain: one.chain.display().to_string(),
            listener: one.listener.map(|at| config.listeners[at.0].name.clone()),
            names: one.served_names().map(str::to_owned).collect(),
            default: one.is_default,
            ocsp: one.staple.as_ref().map(|staple| staple.state(loaded, wall_s).word()),
            client_certificate: one.clients.as_ref().map(|clients| clients.mode.word()),
            key: loaded.kind.word(),
            subject: loaded.subject.clone(),
            issuer: loaded.issuer.clone(),
            begins_ms: loaded.begins.saturating_mul(1_000),
            ends_ms: loaded.ends.saturating_mul(1_000),
            days_left: days_left(loaded.ends, wall_s),
            fingerprint: loaded.fingerprint_text(),
            remarks: loaded.remarks.clone(),
        }
    };
    config.certificates.iter().map(status).collect()
}

pub(super) fn failing(control: &Control) -> Vec<FailingFiles> {
    let failures = control.tls_failures().iter();
    let failing = failures
        .map(|(files, reason)| FailingFiles { files: files.to_string(), reason: reason.clone() });
    failing.collect()
}

/// The metrics of both.
pub(super) fn metrics(text: &mut Text, control: &Control) {
    let config = control.config();
    if config.certificates.is_empty() {
        return;
    }
    let name = "ringway_certificate_not_after_timestamp_seconds";
    text.family(name, "gauge", "The end of a certificate, seconds since 1970.");
    for one in &config.certificates {
        let listener = one.listener.map_or("", |at| &config.listeners[at.0].name);
        let (chain, first) = (one.chain.display().to_string(), one.served_names().next());
        let labels =
            [("chain", &*chain), ("listener", listener), ("name", first.unwrap_or_default())];
        text.sample(name, &labels, one.loaded.ends);
    }
    let name = "ringway_tls_files_failing";
    text.family(name, "gauge", "1 for files of TLS that have changed and cannot be used.");
    for files in config.tls_files() {
        let is_failing = control.tls_failures().contains_key(&files);
        text.sample(name, &[("files", &files.to_string())], u8::from(is_failing));
    }
}
