//! The certificates in force, where those by ACME stand, and the files of TLS that cannot be used.

use super::metrics::Text;
use super::reply::{Reply, json_reply, refusal};
use crate::config::{AcmeRole, Certificate, Choice};
use crate::coordinator::control::Control;
use crate::coordinator::process::{Issuance, days_left};
use crate::sys::clock;
use crate::tls;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;

/// A certificate that clients are shown, or will be.
#[derive(Serialize)]
pub(super) struct CertificateStatus {
    chain: String,
    /// The only listener that it counts on; none: all of HTTPS.
    listener: Option<String>,
    /// The names that it is served for.
    names: Vec<String>,
    default: bool,
    /// How it is fetched; none: its files are the operator's.
    acme: Option<AcmeStatus>,
    /// Whether an answer of OCSP is sent with it; none: there is none.
    ocsp: Option<&'static str>,
    /// Whether clients show a certificate for these names; none: as the listener has it.
    client_certificate: Option<&'static str>,
    /// None of these before it was fetched for the first time.
    key: Option<&'static str>,
    subject: Option<String>,
    issuer: Option<String>,
    begins_ms: Option<i64>,
    ends_ms: Option<i64>,
    /// Whole days until its end; none if it is over too.
    days_left: Option<u64>,
    /// SHA-256 of the certificate.
    fingerprint: Option<String>,
    remarks: Vec<String>,
}

/// Where a certificate by ACME stands.
#[derive(Serialize)]
pub(super) struct AcmeStatus {
    account: String,
    /// Whether this process fetches it.
    role: &'static str,
    challenge: &'static str,
    state: &'static str,
    /// Failures in a row.
    failures: u32,
    last_error: Option<String>,
    /// When it is fetched next; none: another process does that.
    next_attempt_ms: Option<u64>,
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
    let status = |one: &Certificate| {
        let loaded = one.loaded.as_deref();
        let staple = one.staple.as_ref().zip(loaded);
        CertificateStatus {
            chain: one.chain.display().to_string(),
            listener: one.listener.map(|at| config.listeners[at.0].name.clone()),
            names: one.served_names().map(str::to_owned).collect(),
            default: one.is_default,
            acme: acme(control, one),
            ocsp: staple.map(|(staple, loaded)| staple.state(loaded, wall_s).word()),
            client_certificate: one.clients.as_ref().map(|clients| clients.mode.word()),
            key: loaded.map(|loaded| loaded.kind.word()),
            subject: loaded.map(|loaded| loaded.subject.clone()),
            issuer: loaded.map(|loaded| loaded.issuer.clone()),
            begins_ms: loaded.map(|loaded| loaded.begins.saturating_mul(1_000)),
            ends_ms: loaded.map(|loaded| loaded.ends.saturating_mul(1_000)),
            days_left: loaded.and_then(|loaded| days_left(loaded.ends, wall_s)),
            fingerprint: loaded.map(tls::Certificate::fingerprint_text),
            remarks: loaded.map(|loaded| loaded.remarks.clone()).unwrap_or_default(),
        }
    };
    config.certificates.iter().map(status).collect()
}

/// Where a certificate stands; none if it is not by ACME.
fn acme(control: &Control, one: &Certificate) -> Option<AcmeStatus> {
    let account = &control.config().acme[one.acme?.0];
    let issuance = control.issuance(&one.chain).cloned().unwrap_or_default();
    let state = issuance.word(one.loaded.is_some());
    let Issuance { tried, due_s, .. } = issuance;
    Some(AcmeStatus {
        account: account.name.clone(),
        role: account.role.word(),
        challenge: account.challenge.word(),
        state,
        failures: tried.failures,
        last_error: (!tried.last_error.is_empty()).then_some(tried.last_error),
        next_attempt_ms: due_s.map(|due_s| due_s.saturating_mul(1_000)),
    })
}

/// Has the certificates by ACME for a name fetched now, whenever they are due.
pub(super) fn renew(control: &mut Control, name: &str) -> Reply {
    let name = name.to_ascii_lowercase();
    let config = control.config();
    let all = || config.certificates.iter().filter(|one| one.acme.is_some());
    let found: Vec<&Certificate> = all().filter(|one| one.names.contains(&name)).collect();
    let Some(first) = found.first() else {
        let known: Vec<&str> = all().filter_map(|one| Some(&**one.names.first()?)).collect();
        let error = match known.is_empty() {
            true => "no certificate is by ACME".to_owned(),
            false => {
                format!("no certificate by ACME is for `{name}`; it can be {}", known.join(", "))
            }
        };
        return refusal(StatusCode::NOT_FOUND, error);
    };
    let is_read = |one: &&Certificate| {
        one.acme.is_some_and(|account| config.acme[account.0].role == AcmeRole::Read)
    };
    if found.iter().any(is_read) {
        let error = "another process fetches it (`role = \"read\"`): give the order there";
        return refusal(StatusCode::CONFLICT, error);
    }
    let body = json!({ "certificate": first.chain.display().to_string(), "names": first.names });
    let paths: Vec<PathBuf> = found.iter().map(|one| one.chain.clone()).collect();
    paths.iter().for_each(|path| control.issuance_mut(path).is_ordered = true);
    json_reply(StatusCode::OK, &body)
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
        if let Some(loaded) = &one.loaded {
            text.sample(name, &labels, loaded.ends);
        }
    }
    acme_metrics(text, control);
    let name = "ringway_tls_files_failing";
    text.family(name, "gauge", "1 for files of TLS that have changed and cannot be used.");
    for files in config.tls_files() {
        let is_failing = control.tls_failures().contains_key(&files);
        text.sample(name, &[("files", &files.to_string())], u8::from(is_failing));
    }
}

/// The metrics of certificates by ACME; none without one.
fn acme_metrics(text: &mut Text, control: &Control) {
    let all = control.config().certificates.iter();
    let all = all.filter_map(|one| Some((one, acme(control, one)?)));
    let all: Vec<(&Certificate, AcmeStatus)> = all.collect();
    if all.is_empty() {
        return;
    }
    let mut family = |name, help, value: &dyn Fn(&Certificate, &AcmeStatus) -> Option<u64>| {
        text.family(name, "gauge", help);
        for (one, status) in &all {
            let chain = one.chain.display().to_string();
            let first = one.names.first().map(String::as_str).unwrap_or_default();
            let labels = [("chain", &*chain), ("account", &*status.account), ("name", first)];
            if let Some(value) = value(one, status) {
                text.sample(name, &labels, value);
            }
        }
    };
    family(
        "ringway_acme_certificate_awaited",
        "1 for a certificate that was not fetched yet: its clients are refused.",
        &|one, _| Some(u64::from(one.loaded.is_none())),
    );
    family(
        "ringway_acme_failures",
        "Failed attempts to fetch a certificate since one succeeded.",
        &|_, status| Some(u64::from(status.failures)),
    );
    family(
        "ringway_acme_next_attempt_timestamp_seconds",
        "When a certificate is fetched next, seconds since 1970.",
        &|_, status| status.next_attempt_ms.map(|next_ms| next_ms / 1_000),
    );
}
