//! Reading files that others write, as far as they are what they should be.

use super::check;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The content of a file of at most `most` bytes. It may be a pipe: then this waits for whoever
/// writes into it.
///
/// # Errors
/// If it cannot be read, or has more bytes.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    read_open(File::open(path)?, most)
}

/// The content of a regular file of at most `most` bytes.
///
/// # Errors
/// If it cannot be read, has more bytes, or is something else: to read a pipe could take for ever.
pub fn read_regular(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    // To open a pipe would wait for somebody who writes into it.
    let file: File = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(wrong("it is not a regular file".to_owned()));
    }
    read_open(file, most)
}

/// What tells two states of a file apart, also if it was replaced by one of the same size and time
/// of modification, as `cp -p`, `rsync` and mounted configuration maps do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of the file of a path; none if there is none, or it cannot be told.
    pub fn of(path: &Path) -> Option<Self> {
        let of = std::fs::metadata(path).ok()?;
        Some(Self {
            file: (of.dev(), of.ino()),
            size: of.size(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        })
    }
}

/// What comes on standard input, of at most `most` bytes.
///
/// # Errors
/// If it cannot be read, or has more bytes.
pub fn read_stdin(most: usize) -> io::Result<Vec<u8>> {
    read_open(io::stdin().lock(), most)
}

/// Whether this process may write to a file, or make it if it is not there.
///
/// # Errors
/// Why not.
pub fn check_writable(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(wrong("it is a directory".to_owned())),
        Ok(_) => check_access(path, libc::W_OK),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = or_here(path.parent().unwrap_or(path));
            check_access(folder, libc::W_OK | libc::X_OK)
        }
        Err(error) => Err(error),
    }
}

/// Whether this process may make files in a folder.
///
/// # Errors
/// Why not.
pub fn check_folder(path: &Path) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        return Err(wrong("it is not a directory".to_owned()));
    }
    check_access(path, libc::W_OK | libc::X_OK)
}

/// The folder that an empty path stands for.
pub fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn check_access(path: &Path, mode: libc::c_int) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // JUSTIFICATION: std does not tell what this user may do with a path.
    // SAFETY: the path is a valid text that ends with a zero; the call only reads it.
    check(unsafe { libc::access(path.as_ptr(), mode) }).map(drop)
}

fn read_open(file: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(wrong(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

fn wrong(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_place_of_another_of_the_same_size_and_time_is_told_apart() {
        let path = std::env::temp_dir().join(format!("ringway-stamp-{}", std::process::id()));
        let beside = path.with_extension("new");
        assert_eq!(Stamp::of(&path), None);
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
        for (place, text) in [(&path, "one"), (&beside, "two")] {
            std::fs::write(place, text).expect("written");
            File::options().write(true).open(place).expect("open").set_modified(time).expect("set");
        }
        let before = Stamp::of(&path);
        assert_eq!(before, Stamp::of(&path));
        std::fs::rename(&beside, &path).expect("replaced");
        assert!(before.is_some() && before != Stamp::of(&path));
        std::fs::remove_file(&path).expect("it was there");
    }

    #[test]
    fn only_regular_files_are_read_and_only_short_ones() {
        let path = std::env::temp_dir().join(format!("ringway-regular-{}", std::process::id()));
        std::fs::write(&path, "four").expect("written");
        assert_eq!(read_regular(&path, 4).expect("read"), b"four");
        let error = read_regular(&path, 3).expect_err("too long").to_string();
        assert!(error.contains("more than 3 bytes"), "{error}");
        std::fs::remove_file(&path).expect("it was there");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo is installed").success());
        let error = read_regular(&path, 4).expect_err("a pipe").to_string();
        assert!(error.contains("not a regular file"), "{error}");
        std::fs::remove_file(&path).expect("it was there");
    }
}
