//! HTTPS without a file: `cert self-signed`, `run --protocol https`.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

fn cert(folder: &TempFolder, arguments: &[&str]) -> Output {
    let mut command = command();
    command.current_dir(&folder.0).args(["cert", "self-signed"]).args(arguments);
    command.output().expect("it runs")
}

fn run(folder: &TempFolder, backend: &Origin, arguments: &[&str]) -> Command {
    let mut command = command();
    command.current_dir(&folder.0).args(["run", "--listen", "127.0.0.1:0", "--backend"]);
    command.arg(backend.address.to_string()).args(["--admin", "", "--protocol", "https"]);
    command.args(arguments);
    command
}

#[test]
fn a_certificate_that_is_made_serves_by_flags_alone() {
    let folder = TempFolder::new();
    let made = cert(&folder, &["localhost", "127.0.0.1"]);
    assert!(made.status.success(), "{made:?}");
    let text = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(text.contains("curl --cacert localhost.pem https://localhost:8443/"), "{text}");
    let mode = |name: &str| {
        let found = std::fs::metadata(folder.0.join(name)).expect("it was made");
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode("localhost.key"), 0o600);
    let backend = Origin::saying("hello");
    let flags = ["--tls-cert", "localhost.pem", "--tls-key", "localhost.key"];
    let ringway = Ringway::spawn(run(&folder, &backend, &flags), None);
    let trusted = folder.0.join("localhost.pem");
    let trusted = ["--cacert", trusted.to_str().expect("text")];
    for name in ["localhost", "127.0.0.1"] {
        assert_eq!(curl(ringway.address, name, "/", &trusted), "hello", "{name}");
    }
    let again = cert(&folder, &["localhost"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot make `localhost.key`") && said.contains("--chain"), "{said}");
}

#[test]
fn flags_that_do_not_fit_are_told_so() {
    let folder = TempFolder::new();
    let made = cert(&folder, &["a.test", "--chain", "both.pem", "--key", "key.pem"]);
    assert!(made.status.success(), "{made:?}");
    let backend = Origin::saying("hello");
    for (flags, code, part) in [
        (&[][..], 2, "needs a certificate: give --tls-cert FILE"),
        (&["--tls-key", "key.pem"], 2, "needs a certificate: give --tls-cert FILE"),
        (&["--tls-cert", "missing.pem"], 1, "missing.pem`: No such file"),
        (&["--tls-cert", "both.pem"], 1, "line 1, has a CERTIFICATE and no private key: give"),
    ] {
        let output = run(&folder, &backend, flags).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {said}");
        assert!(said.contains(part), "{flags:?}: {said}");
    }
    let [chain, key] = ["both.pem", "key.pem"].map(|name| folder.0.join(name));
    let both = std::fs::read_to_string(&key).expect("read")
        + &std::fs::read_to_string(&chain).expect("read");
    std::fs::write(&chain, both).expect("written");
    let ringway = Ringway::spawn(run(&folder, &backend, &["--tls-cert", "both.pem"]), None);
    let trusted = ["--cacert", chain.to_str().expect("text")];
    assert_eq!(curl(ringway.address, "a.test", "/", &trusted), "hello");
}
