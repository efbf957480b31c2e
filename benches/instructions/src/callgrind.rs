//! Runs this program under callgrind and reads how many instructions it took. Does not keep
//! callgrind's profile: only the sum counts here.

use std::error::Error;
use std::io::ErrorKind;
use std::process::Command;

const NOT_INSTALLED: &str = "valgrind is not installed, and nothing can be counted without it: \
                             sudo apt-get install valgrind";

/// Instructions of one run of a case, the start of the process included.
pub fn instructions(case: &str, operations: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["run", case, &operations.to_string()])
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => NOT_INSTALLED.to_owned(),
            _ => format!("cannot start valgrind: {error}"),
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("callgrind failed at `{case}`; it said:\n{said}").into());
    }
    collected(&said).ok_or_else(|| format!("callgrind gave no count; it said:\n{said}").into())
}

/// The number in `==123== Collected : 456789`.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("Collected"))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found() {
        let said = "==7== \n==7== Events    : Ir\n==7== Collected : 2241\n==7== \n";
        assert_eq!(collected(said), Some(2241));
        assert_eq!(collected("==7== no such program"), None);
    }
}
