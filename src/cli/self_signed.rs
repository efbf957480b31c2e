//! Certificates that sign themselves: for a first look, and for machines that are told to trust
//! them.

use super::Failed;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use ringway::base::calendar::Civil;
use ringway::tls::is_server_name;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The beginning lies so far back: the clock of a client may be behind.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// A certificate and its key, PEM.
pub(super) struct Made {
    pub(super) chain: String,
    pub(super) key: String,
}

/// A name or an address that a certificate can be for. The error is a sentence for the user.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if lower.parse::<IpAddr>().is_ok() || is_server_name(&lower) {
        return Ok(lower);
    }
    Err(format!(
        "`{}` is no name of a server: write it like \"localhost\", \"*.example.com\" or \
         \"192.0.2.1\"",
        text.escape_debug()
    ))
}

/// A certificate for these names, from [`parse_name`], that is valid for so many days. It is no
/// certification authority, so that libraries take it as a server's.
pub(super) fn make(names: &[String], days: u32) -> Result<Made, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + lifetime(days)).into();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.distinguished_name.push(DnType::CommonName, "Ringway, self-signed");
    let chain = params.self_signed(&key)?.pem();
    Ok(Made { chain, key: key.serialize_pem() })
}

fn lifetime(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}

/// Writes a file that is not there yet; `mode` is that of the file.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

/// `ringway cert self-signed`: makes both files, or none, and prints what to do with them.
pub(super) fn self_signed(
    names: &[String],
    days: u32,
    files: (Option<PathBuf>, Option<PathBuf>),
    out: &mut dyn Write,
) -> Result<(), Failed> {
    let stem = names[0].replace('*', "wildcard").replace(':', "-");
    let chain = files.0.unwrap_or_else(|| format!("{stem}.pem").into());
    let key = files.1.unwrap_or_else(|| format!("{stem}.key").into());
    let made = make(names, days).map_err(|error| Failed::Error(error.into()))?;
    write(&key, &made.key, 0o600)?;
    if let Err(failed) = write(&chain, &made.chain, 0o644) {
        // Only one of them would be of no use.
        let _ = fs::remove_file(&key);
        return Err(failed);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let Civil { year, month, day, .. } = Civil::at((since + lifetime(days)).as_secs());
    let [host, first] = hosts(&names[0]);
    let (chain, key) = (chain.display(), key.display());
    writeln!(out, "{chain}: the certificate, valid until {year:04}-{month:02}-{day:02}")?;
    writeln!(out, "{key}: its key, which only you may read\n")?;
    writeln!(out, "Nobody trusts it who was not told to. To look at it with a server of yours:\n")?;
    writeln!(
        out,
        "  ringway run --listen {host}:8443 --backend 127.0.0.1:9001 --protocol https \\\n    \
         --tls-cert {chain} --tls-key {key}\n  curl --cacert {chain} https://{first}:8443/"
    )?;
    writeln!(out, "\nOr in a file, where a listener has `protocol = \"https\"`:\n")?;
    writeln!(out, "  [[certificate]]\n  chain = \"{chain}\"\n  key = \"{key}\"")?;
    Ok(())
}

/// The address to listen on for a name, and the host of its URL.
fn hosts(name: &str) -> [String; 2] {
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => [format!("[{address}]"), format!("[{address}]")],
        Ok(address) => [address.to_string(), address.to_string()],
        Err(_) => ["127.0.0.1".to_owned(), name.replace('*', "www")],
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failed> {
    write_new(path, text, mode).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AlreadyExists => "remove it, or write another file by --chain and --key",
            _ => "write another file by --chain and --key",
        };
        Failed::Error(format!("cannot make `{}`: {error}: {remedy}", path.display()).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway::tls::Certificate;

    #[test]
    fn what_is_made_can_be_served_and_is_for_the_names() {
        let names = ["Localhost", "*.example.com", "192.0.2.1", "::1"];
        let names: Result<Vec<String>, String> = names.into_iter().map(parse_name).collect();
        let made = make(&names.expect("they are names"), 30).expect("made");
        let read = Certificate::read(made.chain.as_bytes(), made.key.as_bytes());
        let certificate = read.expect("they fit");
        assert_eq!(certificate.names, ["localhost".into(), "*.example.com".into()]);
        assert_eq!(certificate.remarks, Vec::<String>::new());
        assert_eq!((certificate.ends - certificate.begins) / 86_400, 31);
        for wrong in ["", "a b", "https://a", "a*.test"] {
            assert!(parse_name(wrong).is_err(), "{wrong}");
        }
    }
}
