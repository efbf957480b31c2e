//! Warnings about certificates by ACME: where the authority would find nobody, and folders that
//! cannot be written.

use super::findings::{Finding, warning};
use ringway::config::{Acme, AcmeChallenge, AcmeRole, Config, Protocol};
use ringway::sys::file;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The permissions of others than the owner of a folder.
const OF_OTHERS: u32 = 0o077;

/// What follows from the configuration alone.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let fetching = config.acme.iter().filter(|acme| acme.role == AcmeRole::Fetch);
    fetching.filter_map(|acme| unreachable(config, acme)).collect()
}

/// Authorities connect to these ports alone (RFC 8555, 8.3; RFC 8737, 3).
fn unreachable(config: &Config, acme: &Acme) -> Option<Finding> {
    let (protocol, port) = match acme.challenge {
        AcmeChallenge::Http01 => (Protocol::Http, 80),
        AcmeChallenge::TlsAlpn01 => (Protocol::Https, 443),
    };
    let mut listeners = config.listeners.iter().filter(|listener| listener.protocol == protocol);
    let key = format!("acme.{}.challenge", acme.name);
    let message = match listeners.next() {
        None => format!(
            "{} is answered by listeners of protocol `{protocol}` on port {port}, and there is \
             none: add one",
            acme.challenge
        ),
        Some(first) if first.address.port() == port => return None,
        Some(_) if listeners.any(|one| one.address.port() == port) => return None,
        Some(first) => format!(
            "the authority connects to port {port} of each name, and no listener of `{protocol}` \
             has it: forward that port to {}, or no certificate is issued",
            first.address
        ),
    };
    Some(warning(key, message))
}

/// Folders that cannot be written, or that others may look into.
pub(super) fn folders(config: &Config) -> Vec<Finding> {
    let folder = |acme: &Acme| {
        let path = acme.storage.display();
        let key = format!("acme.{}.storage", acme.name);
        let is_fetching = acme.role == AcmeRole::Fetch;
        if let Some(error) = check(&acme.storage).err().filter(|_| is_fetching) {
            let message = format!(
                "`{path}` cannot be written ({error}): make it a folder of the user that runs this"
            );
            return Some(warning(key, message));
        }
        let mode = fs::metadata(&acme.storage).ok()?.mode();
        (mode & OF_OTHERS != 0).then(|| {
            let message = format!("others may look into `{path}`: `chmod 700 {path}`");
            warning(key, message)
        })
    };
    config.acme.iter().filter_map(folder).collect()
}

/// Whether a folder can be written, or made: then the nearest one above it counts.
fn check(folder: &Path) -> std::io::Result<()> {
    match file::check_folder(file::or_here(folder)) {
        Err(error) if error.kind() == ErrorKind::NotFound => match folder.parent() {
            Some(above) => check(above),
            None => Err(error),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listeners: &str, keys: &str) -> Config {
        let text = format!(
            "{listeners}\n[acme.a]\naccept_terms_of_service = true\n{keys}\n\
             [[certificate]]\nacme = \"a\"\nnames = [\"a.test\"]\n\
             [pool.app]\n[[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n"
        );
        let load = |_: &Path| Err(ErrorKind::NotFound.into());
        Config::parse(&text, "test.toml", &load).map_err(|why| why.to_string()).expect("it is well")
    }

    fn listener(name: &str, port: u16, protocol: &str) -> String {
        format!(
            "[[listener]]\nname = \"{name}\"\naddress = \"0.0.0.0:{port}\"\n\
             protocol = \"{protocol}\"\n"
        )
    }

    #[test]
    fn the_port_of_the_challenge_is_looked_for() {
        let said = |listeners: &str, keys: &str| {
            let keys = format!("storage = \"/nowhere\"\n{keys}");
            let found = findings(&config(listeners, &keys));
            found.iter().map(ToString::to_string).collect::<String>()
        };
        let (secure, other) = (listener("a", 443, "https"), listener("b", 8443, "https"));
        assert_eq!(said(&(other.clone() + &secure), ""), "");
        let why = said(&other, "");
        assert!(why.contains("port 443") && why.contains("to 0.0.0.0:8443"), "{why}");
        let by_http = "challenge = \"http-01\"";
        let why = said(&secure, by_http);
        assert!(why.contains("`http` on port 80, and there is none"), "{why}");
        assert_eq!(said(&(secure + &listener("c", 80, "http")), by_http), "");
        assert_eq!(said(&other, "role = \"read\""), "");
    }

    #[test]
    fn a_folder_is_one_of_this_user_alone() {
        let place = std::env::temp_dir().join(format!("ringway-check-acme-{}", std::process::id()));
        let said = |storage: &Path| {
            let keys = format!("storage = \"{}\"", storage.display());
            let found = folders(&config(&listener("a", 443, "https"), &keys));
            found.iter().map(ToString::to_string).collect::<String>()
        };
        assert_eq!(said(&place.join("a/b")), "", "it can be made");
        fs::create_dir(&place).expect("made");
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&place, everybody).expect("set");
        let why = said(&place);
        assert!(why.contains("acme.a.storage") && why.contains("chmod 700"), "{why}");
        let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&place, only_us).expect("set");
        assert_eq!(said(&place), "");
        fs::remove_dir(&place).expect("removed");
        fs::write(&place, "no folder").expect("written");
        let why = said(&place);
        assert!(why.contains("cannot be written (it is not a directory)"), "{why}");
        fs::remove_file(&place).expect("removed");
    }
}
