//! Warnings about certificates that can be served all the same: what clients may refuse, dates, and
//! keys that everybody may read.

use super::findings::{Finding, warning};
use ringway::base::calendar::Civil;
use ringway::config::{ClientCertificates, Config};
use ringway::sys::clock;
use ringway::tls;
use std::fs;
use std::os::unix::fs::MetadataExt;

const DAY_S: i64 = 24 * 3600;

/// The permission of everybody to read a file.
const READ_BY_OTHERS: u32 = 0o004;

/// What follows from the certificates and the time.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let wall_s = i64::try_from(clock::wall_seconds()).unwrap_or(i64::MAX);
    let mut findings = Vec::new();
    for one in &config.certificates {
        let path = one.chain.display();
        let found = |what: &str| warning("certificate.chain", format!("`{path}`: {what}"));
        let Some(loaded) = &one.loaded else { continue };
        findings.extend(loaded.remarks.iter().map(|remark| found(remark)));
        findings.extend(dates(loaded, wall_s, "clients").map(|date| found(&date)));
        if one.acme.is_some() {
            // It is fetched for other names once these have changed.
            continue;
        }
        for name in one.names.iter().filter(|name| !is_covered(loaded, name)) {
            let message = format!("`{name}` is not in `{path}`: clients refuse it for this name");
            findings.push(warning("certificate.names", message));
        }
    }
    let is_late = |one: &&ClientCertificates| {
        let renewed_by = one.loaded.as_ref().and_then(|loaded| loaded.renewed_by);
        renewed_by.is_some_and(|renewed_by| wall_s >= renewed_by)
    };
    for one in config.client_certificates().filter(is_late) {
        let paths: Vec<_> = one.crl.iter().map(|path| path.display().to_string()).collect();
        let message = format!(
            "a list of revoked certificates in `{}` is out of date: its clients are refused; get \
             the authority's newest one",
            paths.join("`, `")
        );
        findings.push(warning("client_crl", message));
    }
    findings
}

/// What `peers` say to its dates.
pub(super) fn dates(certificate: &tls::Certificate, wall_s: i64, peers: &str) -> Option<String> {
    let (begins, ends) = (certificate.begins, certificate.ends);
    let date = |seconds: i64| {
        let Civil { year, month, day, .. } = Civil::at(u64::try_from(seconds).unwrap_or(0));
        format!("{year:04}-{month:02}-{day:02}")
    };
    if wall_s >= ends {
        return Some(format!("it has expired on {}: {peers} refuse it; renew it", date(ends)));
    }
    if wall_s < begins {
        let begins = date(begins);
        return Some(format!(
            "it is valid only from {begins} on, and {peers} refuse it until then"
        ));
    }
    let left = (ends - wall_s) / DAY_S;
    (left < 7 && ends - begins > 21 * DAY_S)
        .then(|| format!("it expires on {}: renew it", date(ends)))
}

/// Whether a name is one of the certificate's, or covered by a wildcard of it.
fn is_covered(certificate: &tls::Certificate, name: &str) -> bool {
    let parent = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
    let names = &certificate.names;
    names.iter().any(|known| **known == *name || Some(&**known) == parent.as_deref())
}

/// Keys that everybody on this machine may read.
pub(super) fn readable_keys(config: &Config) -> Vec<Finding> {
    let certificates = config.certificates.iter();
    let keys = certificates.map(|one| ("certificate.key", &one.key));
    let tickets = config.tls.ticket_keys_file.iter().map(|file| ("tls.ticket_keys_file", file));
    let of_pools = config.pools.iter().filter_map(|pool| pool.tls.as_ref());
    let of_pools = of_pools.filter_map(|tls| {
        Some(("pool.tls.client_key", tls.client_key.as_ref().or(tls.client_certificate.as_ref())?))
    });
    let found = keys.chain(tickets).chain(of_pools).filter_map(|(key, path)| {
        let mode = fs::metadata(path).ok()?.mode();
        (mode & READ_BY_OTHERS != 0).then(|| {
            let path = path.display();
            warning(key, format!("every user of this machine may read `{path}`: `chmod o= {path}`"))
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::self_signed::make;
    use ringway::config::Certificate;

    fn found(days: u32, names: &[&str]) -> Vec<String> {
        let made = make(&["a.test".to_owned(), "*.b.test".to_owned()], days).expect("made");
        let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let text = format!(
            "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:443\"\nprotocol = \"https\"\n\
             [[certificate]]\nchain = \"a.pem\"\nnames = [{}]\n\
             [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n",
            names.join(", ")
        );
        let load = |_: &std::path::Path| Ok((made.chain.clone() + &made.key).into_bytes());
        let config = Config::parse(&text, "test.toml", &load);
        let config = config.map_err(|error| error.to_string()).expect("it is well");
        findings(&config).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_and_dates_that_clients_refuse_are_warnings() {
        assert_eq!(found(90, &[]), Vec::<String>::new());
        let names = found(90, &["a.test", "x.b.test", "b.test", "x.y.b.test"]);
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[0].contains("`b.test` is not in `a.pem`"), "{names:?}");
        let made = make(&["a.test".to_owned()], 90).expect("made");
        let load = |_: &std::path::Path| Ok((made.chain.clone() + &made.key).into_bytes());
        let one = Certificate::load("a.pem".into(), "a.pem".into(), &load).expect("it fits");
        let loaded = one.loaded.as_ref().expect("it was read");
        let at = |wall_s: i64| dates(loaded, wall_s, "clients").unwrap_or_default();
        let (begins, ends) = (loaded.begins, loaded.ends);
        assert!(at(begins - 1).contains("valid only from"), "{}", at(begins - 1));
        assert_eq!(at(begins), "");
        assert!(at(ends - DAY_S).contains("it expires on"), "{}", at(ends - DAY_S));
        assert!(at(ends).contains("it has expired on"), "{}", at(ends));
    }
}
