//! Notes what the program is built from, for `ringway --version` and the metrics. Nothing of it
//! depends on the time or the place of the build.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RINGWAY_COMMIT");
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = output("git", &["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    // Packages are built outside a repository: whoever builds one may say what it is of.
    let given = std::env::var("RINGWAY_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| output("git", &["rev-parse", "--short=12", "HEAD"]));
    let of_cargo = |name| std::env::var(name).unwrap_or_else(|_| "unknown".to_owned());
    let rustc = output(&of_cargo("RUSTC"), &["--version"]);
    for (name, value) in [
        ("RINGWAY_COMMIT", commit.unwrap_or_else(|| "unknown".to_owned())),
        ("RINGWAY_RUSTC", rustc.unwrap_or_else(|| "unknown".to_owned())),
        ("RINGWAY_TARGET", of_cargo("TARGET")),
        ("RINGWAY_PROFILE", profile(&of_cargo("OUT_DIR"), &of_cargo("PROFILE"))),
    ] {
        println!("cargo::rustc-env={name}={value}");
    }
}

/// The profile that is built: cargo tells of the one that it inherits from (debug or release), but
/// puts what this makes in `PROFILE/build/ringway-HASH/out`.
fn profile(out_dir: &str, inherited: &str) -> String {
    let mut folders = Path::new(out_dir).ancestors();
    let (build, own) = (folders.nth(2), folders.next());
    let is_build = build.and_then(Path::file_name).is_some_and(|name| name == "build");
    let own = own.filter(|_| is_build).and_then(Path::file_name);
    own.map_or_else(|| inherited.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// What a program prints, if it can be run and succeeds.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
