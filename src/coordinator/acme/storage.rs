//! The folder of an account: its key, its certificates, and what was tried for each. Everything is
//! for its owner alone, and is written whole or not at all. Blocks: call it on another thread.

use crate::config::FILE_BYTES_MAX;
use crate::coordinator::process::Tried;
use crate::sys::file::{Stamp, or_here, read_regular};
use instant_acme::AccountCredentials;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const ACCOUNT: &str = "account.json";
const TRIED: &str = "tried.json";
const ASKED: &str = "challenges.json";

/// A challenge with what it is answered by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Asked {
    /// By http-01.
    Http {
        /// The token.
        token: String,
        /// The key authorization.
        answer: String,
    },
    /// By tls-alpn-01.
    Tls {
        /// The name, in lower case.
        name: String,
        /// The digest of the key authorization.
        digest: Vec<u8>,
    },
}

/// The account with an authority.
#[derive(Serialize, Deserialize)]
pub(super) struct Account {
    /// The directory that it is with.
    pub(super) directory: String,
    /// The addresses that the authority has.
    pub(super) contact: Vec<String>,
    /// Its key and URL.
    pub(super) credentials: AccountCredentials,
}

/// What was tried, by the names of the certificates' files.
pub(super) type AllTried = BTreeMap<PathBuf, Tried>;

/// The account in a folder; none if there is none yet.
///
/// # Errors
/// A sentence with the file and the remedy.
pub(super) fn read_account(folder: &Path) -> Result<Option<Account>, String> {
    let path = folder.join(ACCOUNT);
    read_json(&path).map_err(|error| {
        let path = path.display();
        format!("the account in {path} cannot be read: {error}; remove the file for a new account")
    })
}

/// Keeps an account.
///
/// # Errors
/// A sentence with the file.
pub(super) fn write_account(folder: &Path, account: &Account) -> Result<(), String> {
    let text = serde_json::to_vec_pretty(account).map_err(|error| error.to_string())?;
    write(&folder.join(ACCOUNT), &text)
}

/// Forgets an account.
pub(super) fn remove_account(folder: &Path) {
    // Without it there is nothing to forget.
    let _ = fs::remove_file(folder.join(ACCOUNT));
}

/// What was tried. A file that cannot be read is as none.
pub(super) fn read_tried(folder: &Path) -> AllTried {
    let path = folder.join(TRIED);
    read_json(&path)
        .unwrap_or_else(|error| {
            tracing::warn!("{} is not used: {error}", path.display());
            None
        })
        .unwrap_or_default()
}

/// Keeps what was tried.
///
/// # Errors
/// A sentence with the file.
pub(super) fn write_tried(folder: &Path, tried: &AllTried) -> Result<(), String> {
    let text = serde_json::to_vec_pretty(tried).map_err(|error| error.to_string())?;
    write(&folder.join(TRIED), &text)
}

/// Keeps challenges for processes that read.
///
/// # Errors
/// A sentence with the file.
pub(super) fn write_asked(folder: &Path, asked: &[Asked]) -> Result<(), String> {
    let text = serde_json::to_vec(asked).map_err(|error| error.to_string())?;
    write(&folder.join(ASKED), &text)
}

/// The challenges of the process that fetches; none in a file that cannot be read.
pub(super) fn read_asked(folder: &Path) -> Vec<Asked> {
    read_json(&folder.join(ASKED)).ok().flatten().unwrap_or_default()
}

/// What tells whether they have changed.
pub(super) fn stamp_of_asked(folder: &Path) -> Option<Stamp> {
    Stamp::of(&folder.join(ASKED))
}

/// Forgets challenges.
pub(super) fn remove_asked(folder: &Path) {
    // Without them there is nothing to forget.
    let _ = fs::remove_file(folder.join(ASKED));
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match read_regular(path, FILE_BYTES_MAX) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file beside its place, and moves it there once it is on the disk. The folder is made
/// if it is not there.
///
/// # Errors
/// A sentence with the file.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    try_write(path, content).map_err(|error| {
        format!("cannot write {}: {error}; is `storage` a folder of this user?", path.display())
    })
}

fn try_write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = or_here(path.parent().unwrap_or(path));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // One that was left by a process that died may have another mode.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn files_are_for_their_owner_alone_and_replaced_as_a_whole() {
        let folder = std::env::temp_dir().join(format!("ringway-acme-{}", std::process::id()));
        let inner = folder.join("a/b");
        let path = inner.join("shop.test.pem");
        assert!(read_account(&inner).expect("none is well").is_none());
        assert!(read_tried(&inner).is_empty());
        for content in ["one", "two"] {
            write(&path, content.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("it is there"), content);
            // Left by a process that died.
            fs::write(inner.join("shop.test.pem.new"), "half").expect("written");
        }
        let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
        assert_eq!((mode(&path), mode(&inner), mode(&folder)), (0o600, 0o700, 0o700));
        let tried = Tried { failures: 3, ..Tried::default() };
        let tried = AllTried::from([("shop.test.pem".into(), tried)]);
        write_tried(&inner, &tried).expect("written");
        assert_eq!(read_tried(&inner), tried);
        let asked = vec![Asked::Tls { name: "a.test".to_owned(), digest: vec![1, 2] }];
        assert_eq!((read_asked(&inner), stamp_of_asked(&inner)), (Vec::new(), None));
        write_asked(&inner, &asked).expect("written");
        assert!(read_asked(&inner) == asked && stamp_of_asked(&inner).is_some());
        remove_asked(&inner);
        assert_eq!(read_asked(&inner), []);
        fs::write(inner.join(TRIED), "{").expect("written");
        assert!(read_tried(&inner).is_empty());
        fs::write(inner.join(ACCOUNT), "{}").expect("written");
        let wrong = read_account(&inner).err().expect("it is none");
        assert!(wrong.contains("account.json") && wrong.contains("remove the file"), "{wrong}");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
