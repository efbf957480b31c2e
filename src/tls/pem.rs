//! The sections of a PEM file (RFC 7468), each with the line that it begins on, so that a fault has
//! its place. Does not: read files, or know what is in a section.

use rustls::pki_types::pem::PemObject;
use std::fmt;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

/// One section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section<'p> {
    /// As `CERTIFICATE`.
    pub(super) label: &'p str,
    /// The line of its beginning, from 1.
    pub(super) line: usize,
    text: &'p [u8],
}

/// What is wrong with a file, and its line if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// From 1.
    pub line: Option<usize>,
    /// As the end of a sentence that begins with the name of the file.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl FileFault {
    pub(super) fn of_file(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line: None, problem: problem.into(), remedy: remedy.into() }
    }

    /// What is wrong, with the name of the file.
    pub fn message(&self, file: &dyn fmt::Display) -> String {
        let line = self.line.map(|line| format!(", line {line},")).unwrap_or_default();
        format!("`{file}`{line} {}", self.problem)
    }

    /// The same with the remedy.
    pub fn sentence(&self, file: &dyn fmt::Display) -> String {
        format!("{}: {}", self.message(file), self.remedy)
    }

    pub(super) fn at(line: usize, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::of_file(problem, remedy) }
    }
}

impl Section<'_> {
    /// True if this line is in the section.
    pub(super) fn has_header(&self, header: &str) -> bool {
        let mut lines = self.text.split(|byte| *byte == b'\n');
        lines.any(|line| line.trim_ascii() == header.as_bytes())
    }

    /// The content, if the section is of this kind.
    pub(super) fn decode<T: PemObject>(&self) -> Result<T, FileFault> {
        T::from_pem_slice(self.text).map_err(|error| {
            let problem = format!("has a {} that cannot be decoded: {error}", self.label);
            FileFault::at(self.line, problem, "copy the file anew: it is cut off or was changed")
        })
    }
}

/// Every section of a file.
pub(super) fn sections(pem: &[u8]) -> Result<Vec<Section<'_>>, FileFault> {
    let pem = pem.strip_prefix(BYTE_ORDER_MARK).unwrap_or(pem);
    let mut found = Vec::new();
    let mut open: Option<(&str, usize, usize)> = None;
    let mut at = 0;
    for (index, line) in pem.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let start = at;
        at += line.len();
        let marker = line.trim_ascii();
        if let Some(label) = label_of(marker, BEGIN) {
            if let Some((label, line, _)) = open {
                return Err(without_end(label, line));
            }
            open = Some((label, number, start + line.len() - line.trim_ascii_start().len()));
        } else if let (Some(label), Some((opened, line, from))) = (label_of(marker, END), open) {
            if label != opened {
                return Err(without_end(opened, line));
            }
            found.push(Section { label, line, text: &pem[from..at] });
            open = None;
        }
    }
    match open {
        Some((label, line, _)) => Err(without_end(label, line)),
        None if found.is_empty() => Err(no_section(pem)),
        None => Ok(found),
    }
}

/// The label in the marker of a beginning or an end.
fn label_of<'l>(line: &'l [u8], marker: &[u8]) -> Option<&'l str> {
    let label = line.strip_prefix(marker)?.strip_suffix(b"-----")?;
    std::str::from_utf8(label).ok()
}

fn without_end(label: &str, line: usize) -> FileFault {
    let problem = format!("has a {label} without its end");
    FileFault::at(line, problem, "copy the file anew: it is cut off")
}

fn no_section(bytes: &[u8]) -> FileFault {
    // The tag of a SEQUENCE in DER, with which certificates, keys and PKCS #12 begin.
    if bytes.first() == Some(&0x30) {
        let remedy = "convert it: `openssl x509 -inform der` for a certificate, `openssl pkey \
                      -inform der` for a key, `openssl pkcs12 -nodes` for a file of both";
        return FileFault::of_file("is not PEM, but DER or PKCS #12", remedy);
    }
    let problem = if bytes.trim_ascii().is_empty() { "is empty" } else { "is not PEM" };
    FileFault::of_file(problem, "give a file with \"-----BEGIN …-----\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;

    const TWO: &str = "subject: x\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\n\
        -----BEGIN PRIVATE KEY-----\r\nBBBB\r\n-----END PRIVATE KEY-----";

    #[test]
    fn sections_have_the_line_that_they_begin_on() {
        let found = sections(TWO.as_bytes()).expect("it is PEM");
        let lines: Vec<_> = found.iter().map(|one| (one.label, one.line)).collect();
        assert_eq!(lines, [("CERTIFICATE", 2), ("PRIVATE KEY", 6)]);
        assert_eq!(found[0].decode::<CertificateDer<'_>>().expect("base64").as_ref(), [0; 3]);
        let marked = format!("\u{feff}{}", TWO.split_once('\n').expect("lines").1);
        let found = sections(marked.as_bytes()).expect("a byte order mark is skipped");
        assert_eq!(found[0].decode::<CertificateDer<'_>>().expect("base64").as_ref(), [0; 3]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let fault = |text: &str| sections(text.as_bytes()).expect_err(text);
        let cut = TWO.replace("-----END PRIVATE KEY-----", "");
        assert_eq!(
            (fault(&cut).line, &*fault(&cut).problem),
            (Some(6), "has a PRIVATE KEY without its end")
        );
        let crossed = TWO.replace("-----END CERTIFICATE-----", "");
        assert_eq!(fault(&crossed).line, Some(2));
        assert!(fault("").problem.contains("is empty"));
        assert!(fault("hello").problem.contains("is not PEM"));
        assert!(fault("0\u{2}\u{1}").problem.contains("DER"));
        let broken = TWO.replace("AAAA", "A=A");
        let found = sections(broken.as_bytes()).expect("the markers are there");
        let fault = found[0].decode::<CertificateDer<'_>>().expect_err("no base64");
        assert_eq!(fault.line, Some(2));
        assert!(fault.problem.contains("cannot be decoded"), "{fault:?}");
    }
}
