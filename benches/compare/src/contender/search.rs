//! Finds the programs to compare: the product (built first, unless given), the peers on this
//! machine, and the engines of the relay.

use super::{Contender, Kind};
use crate::arguments::{Arguments, Named};
use crate::sys::signal;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every contender in the order of the results: Ringway first, the bare relays last. Peers that
/// are not installed are reported on standard error and left out.
pub fn find_all(arguments: &Arguments) -> Result<Vec<Contender>> {
    let mut found = find_ringway(arguments)?;
    found.extend(find_peers("nginx", &Kind::Nginx, "-v", &arguments.peer_nginx)?);
    found.extend(find_peers("haproxy", &Kind::Haproxy, "-v", &arguments.peer_haproxy)?);
    if let Some(program) = &arguments.relay {
        found.extend(find_relays(program, &arguments.relay_engine)?);
    }
    if found.is_empty() {
        bail!("nothing to compare: --no-ringway was given and no peer is installed");
    }
    check_labels(&found)?;
    Ok(found)
}

fn find_ringway(arguments: &Arguments) -> Result<Vec<Contender>> {
    if arguments.no_ringway {
        return Ok(Vec::new());
    }
    if arguments.ringway.is_empty() {
        let program = build_ringway()?;
        return Ok(vec![with_profile(contender("ringway", Kind::Ringway, program, "--version")?)]);
    }
    let given = arguments.ringway.iter();
    let named = |named| from_named(named, "ringway", &Kind::Ringway, "--version");
    given.map(named).map(|found| found.map(with_profile)).collect()
}

/// Says with the version how the program was built: Cargo names the folder after the profile.
fn with_profile(mut contender: Contender) -> Contender {
    let folder = contender.program.parent().and_then(Path::file_name);
    let profile = match folder.and_then(|folder| folder.to_str()) {
        Some(profile @ ("dist" | "release" | "debug")) => format!("profile {profile}"),
        _ => "profile unknown: not in a folder of Cargo".to_owned(),
    };
    contender.version = format!("{}, {profile}", contender.version);
    contender
}

/// The product as given, or built.
pub fn find_ringway_program(given: Option<&Path>) -> Result<PathBuf> {
    let Some(program) = given else { return build_ringway() };
    // Absolute, because the children run elsewhere.
    program.canonicalize().with_context(|| format!("there is no program {}", program.display()))
}

/// The peer as given; or the one in PATH, if there is one.
fn find_peers(name: &str, kind: &Kind, flag: &str, given: &[Named]) -> Result<Vec<Contender>> {
    if !given.is_empty() {
        return given.iter().map(|named| from_named(named, name, kind, flag)).collect();
    }
    match find_in_path(name) {
        Some(program) => Ok(vec![contender(name, kind.clone(), program, flag)?]),
        None => {
            eprintln!("skipped: {name} is not in PATH (--peer-{name} names another place)");
            Ok(Vec::new())
        }
    }
}

fn find_relays(program: &Path, wanted: &[String]) -> Result<Vec<Contender>> {
    let listed = read_output(program, "list")?;
    let engines = listed.split_whitespace().collect::<Vec<_>>();
    if let Some(unknown) = wanted.iter().find(|name| !engines.contains(&name.as_str())) {
        bail!("the relay has no engine `{unknown}`; it has: {}", engines.join(", "));
    }
    let is_wanted = |engine: &&str| wanted.is_empty() || wanted.iter().any(|name| name == engine);
    let relay = |engine: &str| Contender {
        label: format!("relay-{engine}"),
        kind: Kind::Relay(engine.to_owned()),
        program: program.to_owned(),
        version: "benches/engines".to_owned(),
    };
    Ok(engines.iter().copied().filter(is_wanted).map(relay).collect())
}

fn from_named(named: &Named, default: &str, kind: &Kind, flag: &str) -> Result<Contender> {
    let label = named.label.as_deref().unwrap_or(default);
    contender(label, kind.clone(), named.path.clone(), flag)
}

fn contender(label: &str, kind: Kind, program: PathBuf, flag: &str) -> Result<Contender> {
    // Absolute, because the children run elsewhere.
    let program = program
        .canonicalize()
        .with_context(|| format!("there is no program {} for {label}", program.display()))?;
    let version = read_output(&program, flag)?.lines().next().unwrap_or("unknown").to_owned();
    Ok(Contender { label: label.to_owned(), kind, program, version })
}

/// What a program prints for one argument, on whichever stream: nginx uses standard error.
pub(super) fn read_output(program: &Path, argument: &str) -> Result<String> {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let mut bytes = output.stdout;
    bytes.extend(output.stderr);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&bytes).into_owned();
        bail!("`{} {argument}` failed: {said}", program.display());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian keeps nginx and HAProxy where only root's PATH looks.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Builds the product and returns where cargo says that the program is.
fn build_ringway() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    eprintln!("building Ringway, profile dist (--ringway PATH takes one that is built already)");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--profile=dist",
            "--bin",
            "ringway",
            "--message-format=json-render-diagnostics",
        ])
        .current_dir(&root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    // An interrupt also ends cargo, which is then not to blame.
    signal::check_interrupt()?;
    if !output.status.success() {
        bail!("Ringway does not build; mend that, or give --ringway PATH or --no-ringway");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message = serde_json::from_str::<serde_json::Value>(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executables.next_back().context("cargo did not say where it put the program")
}

fn check_labels(contenders: &[Contender]) -> Result<()> {
    for (index, contender) in contenders.iter().enumerate() {
        // A label is also the name of a folder.
        if !contender.label.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            bail!("`{}` is no label: letters, digits, `-`, `_` and `.`", contender.label);
        }
        if contenders[..index].iter().any(|other| other.label == contender.label) {
            bail!(
                "two proxies are called `{0}`; give one a label: --ringway LABEL=PATH",
                contender.label
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_says_which_profile_was_measured() {
        let version = |program: &str| {
            let (label, version) = ("ringway".to_owned(), "ringway 0.1.0".to_owned());
            let program = PathBuf::from(program);
            with_profile(Contender { label, kind: Kind::Ringway, program, version }).version
        };
        assert_eq!(version("/a/target/dist/ringway"), "ringway 0.1.0, profile dist");
        assert_eq!(version("/a/target/release/ringway"), "ringway 0.1.0, profile release");
        assert!(version("/usr/bin/ringway").contains("profile unknown"));
    }
}
