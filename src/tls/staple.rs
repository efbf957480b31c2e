//! An answer of OCSP (RFC 6960) that is sent with a certificate: what it says, and for how long.
//! Its signature is the clients' to verify.
//!
//! Does not: fetch answers, or know the time.

use super::certificate::Certificate;
use super::pem::FileFault;
use aws_lc_rs::digest::{SHA256, digest};
use std::fmt;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

/// What an answer says of its certificate (RFC 6960, 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Good,
    Revoked,
    Unknown,
}

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Staple {
    der: Vec<u8>,
    serial: Vec<u8>,
    status: Status,
    /// It is valid from then on, seconds since 1970.
    begins: i64,
    /// It is valid until then, seconds since 1970; none: a newer one is always to be had.
    ends: Option<i64>,
}

/// Whether a staple is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StapleState {
    /// It is.
    Stapled,
    /// It is no longer valid.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It does not say that the certificate is good: to send it would end the handshake.
    NotGood,
    /// It is about another certificate.
    OfAnother,
}

impl StapleState {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stapled => "stapled",
            Self::Expired => "expired",
            Self::NotYetValid => "not yet valid",
            Self::NotGood => "not good",
            Self::OfAnother => "of another certificate",
        }
    }
}

impl Staple {
    /// The answer in the content of a file, DER.
    ///
    /// # Errors
    /// It is none, or not about one certificate.
    pub fn read(der: &[u8]) -> Result<Self, FileFault> {
        read(der).ok_or_else(|| {
            let remedy = "give what `openssl ocsp -respout FILE` writes";
            let problem = match der {
                [0x30, _, _, 0x0a, 1, status, ..] | [0x30, _, 0x0a, 1, status, ..]
                    if *status != 0 =>
                {
                    "is the refusal of a responder of OCSP"
                }
                _ => "is no answer of OCSP in DER",
            };
            FileFault::of_file(problem, remedy)
        })
    }

    /// The bytes that are sent.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What tells it from others.
    pub fn digest(&self) -> [u8; 32] {
        digest(&SHA256, &self.der).as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Whether it is sent with this certificate at a time, seconds since 1970.
    pub fn state(&self, certificate: &Certificate, wall_s: i64) -> StapleState {
        match self.status {
            _ if self.serial != certificate.serial => StapleState::OfAnother,
            Status::Revoked | Status::Unknown => StapleState::NotGood,
            Status::Good if wall_s < self.begins => StapleState::NotYetValid,
            Status::Good if self.ends.is_some_and(|ends| wall_s >= ends) => StapleState::Expired,
            Status::Good => StapleState::Stapled,
        }
    }
}

impl fmt::Debug for Staple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staple").field("status", &self.status).field("ends", &self.ends).finish()
    }
}

/// The bytes of one value, as they are read.
struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    /// The content of the next value, if it has this tag.
    fn next(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (found, content, _) = self.any()?;
        (found == tag).then_some(content)
    }

    /// The tag and the content of the next value, and all of it.
    fn any(&mut self) -> Option<(u8, &'d [u8], &'d [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            // Of no length, or of one that does not matter here.
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Some((*tag, content, whole))
    }

    /// True if the next value has this tag.
    fn is_next(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    fn time(&mut self) -> Option<i64> {
        let (_, _, whole) = self.any()?;
        let (_, time) = ASN1Time::from_der(whole).ok()?;
        Some(time.timestamp())
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
const EXPLICIT_0: u8 = 0xa0;

/// 1.3.6.1.5.5.7.48.1.1, id-pkix-ocsp-basic.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];

fn read(der: &[u8]) -> Option<Staple> {
    let mut response = Reader(Reader(der).next(SEQUENCE)?);
    if response.next(ENUMERATED)? != [0] {
        return None;
    }
    let mut bytes = Reader(Reader(response.next(EXPLICIT_0)?).next(SEQUENCE)?);
    if bytes.next(OBJECT)? != BASIC {
        return None;
    }
    let basic = bytes.next(OCTETS)?;
    let mut data = Reader(Reader(Reader(basic).next(SEQUENCE)?).next(SEQUENCE)?);
    if data.is_next(EXPLICIT_0) {
        data.any()?; // the version
    }
    data.any()?; // the responder
    data.any()?; // the time at which it was produced
    let mut responses = Reader(data.next(SEQUENCE)?);
    let mut single = Reader(responses.next(SEQUENCE)?);
    let mut id = Reader(single.next(SEQUENCE)?);
    id.next(SEQUENCE)?;
    id.next(OCTETS)?;
    id.next(OCTETS)?;
    let serial = id.next(INTEGER)?.to_vec();
    let status = match single.any()?.0 {
        0x80 => Status::Good,
        0xa1 => Status::Revoked,
        _ => Status::Unknown,
    };
    let begins = single.time()?;
    let ends = match single.is_next(EXPLICIT_0) {
        true => Some(Reader(single.next(EXPLICIT_0)?).time()?),
        false => None,
    };
    // Of several, it is not known which one a client looks for.
    responses.0.is_empty().then(|| Staple { der: der.to_vec(), serial, status, begins, ends })
}
