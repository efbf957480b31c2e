//! Warnings about TLS to backends: certificates that nobody verifies, or that are verified by an
//! address; those that are shown to backends.

use super::certificates::dates;
use super::findings::{Finding, warning};
use ringway::config::{Config, Pool, PoolTls, PoolUses};
use ringway::sys::clock;

/// All of them.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let wall_s = i64::try_from(clock::wall_seconds()).unwrap_or(i64::MAX);
    let pools = config.pools.iter().zip(config.uses_of_pools());
    let pools = pools.filter_map(|(pool, uses)| Some((pool, pool.tls.as_ref()?, uses)));
    let found = pools.flat_map(|(pool, tls, uses)| {
        let found = [unverified(pool, tls), by_address(pool, tls), twice(pool, uses)];
        found.into_iter().chain([shown(pool, tls, wall_s)]).flatten()
    });
    found.collect()
}

fn of(pool: &Pool, key: &str, message: impl Into<String>) -> Finding {
    warning(format!("pool.{}.tls{key}", pool.name), message)
}

fn unverified(pool: &Pool, tls: &PoolTls) -> Option<Finding> {
    let message = "NO CERTIFICATE OF A BACKEND IS VERIFIED: whoever is on the way can pose as one, \
                   and read and change everything; give the certificate of their authority as \
                   `ca`, and the name in theirs as `sni`";
    (!tls.verify).then(|| of(pool, ".verify", message))
}

/// Few certificates are for addresses.
fn by_address(pool: &Pool, tls: &PoolTls) -> Option<Finding> {
    if !tls.verify || tls.sni.is_some() {
        return None;
    }
    let of_srv = pool.names.iter().find(|entry| entry.lookup.host().is_none());
    let of_srv = of_srv.map(|entry| format!("what `{}` leads to", entry.lookup));
    let address = pool.backends.first().map(|backend| backend.address.ip().to_string());
    let from_file =
        pool.backends_file.as_ref().map(|file| format!("what {} lists", file.display()));
    let what = address.or(of_srv).or(from_file)?;
    let message = format!(
        "certificates are verified by address, as {what} has no name: if they are for a name, give \
         it as `sni`"
    );
    Some(of(pool, ".sni", message))
}

/// The TLS of clients that is forwarded unread goes into that of the pool.
fn twice(pool: &Pool, uses: PoolUses) -> Option<Finding> {
    let message = "a listener of `tls-passthrough` leads to this pool: its backends get the TLS of \
                   clients within that of the pool; remove [pool.NAME.tls], unless that is meant";
    uses.names.then(|| of(pool, "", message))
}

fn shown(pool: &Pool, tls: &PoolTls, wall_s: i64) -> Option<Finding> {
    let path = tls.client_certificate.as_ref()?.display();
    let date = dates(tls.certificate.as_deref()?, wall_s, "backends")?;
    Some(of(pool, ".client_certificate", format!("`{path}`: {date}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::self_signed::make;

    fn found(listener: &str, pool: &str, days: u32) -> Vec<String> {
        let made = make(&["a.test".to_owned()], days).expect("made");
        let load = |_: &std::path::Path| Ok((made.chain.clone() + &made.key).into_bytes());
        let text = format!(
            "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:443\"\nprotocol = \"{listener}\"\n\
             {pool}"
        );
        let config = Config::parse(&text, "test.toml", &load);
        let config = config.map_err(|error| error.to_string()).expect("it is well");
        findings(&config).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_backend_may_not_be_known_by_is_a_warning() {
        let address = "[[pool.app.backend]]\naddress = \"10.0.0.1:443\"\n";
        let name = "[[pool.app.backend]]\naddress = \"a.test:443\"\n";
        let srv = "[[pool.app.backend]]\nsrv = \"_https._tcp.a.test\"\n";
        let tls = |keys: &str| format!("[pool.app.tls]\n{keys}");
        for (listener, pool, days, expected) in [
            ("http", format!("{address}{}", tls("sni = \"a.test\"")), 90, ""),
            ("http", format!("{name}{}", tls("")), 90, ""),
            ("tcp", format!("{address}{}", tls("")), 90, "as 10.0.0.1 has no name"),
            ("http", format!("{srv}{}", tls("")), 90, "what `_https._tcp.a.test` leads to"),
            ("http", format!("{name}{}", tls("verify = false")), 90, "NO CERTIFICATE"),
            ("tls-passthrough", format!("{name}{}", tls("")), 90, "within that of the pool"),
            (
                "http",
                format!("{name}{}", tls("client_certificate = \"a.pem\"")),
                0,
                "backends refuse it",
            ),
        ] {
            let found = found(listener, &pool, days);
            assert_eq!(found.len(), usize::from(!expected.is_empty()), "{pool}: {found:?}");
            assert!(found.iter().all(|one| one.contains(expected)), "{pool}: {found:?}");
        }
    }
}
