//! Reading files that others write, as far as they are what they should be.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
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

fn read_open(file: File, most: usize) -> io::Result<Vec<u8>> {
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
