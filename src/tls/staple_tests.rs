//! Answers of OCSP: what they say, and what is none.

use super::staple::*;
use super::{Certificate, certificate_tests};

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match content.len() {
        length @ 0..=0x7f => vec![length as u8],
        length => vec![0x82, (length >> 8) as u8, length as u8],
    };
    [&[tag][..], &length, &content].concat()
}

/// An answer about the certificate with this serial number; the status by its tag.
pub(crate) fn answer(serial: &[u8], status: u8, begins: &str, ends: Option<&str>) -> Vec<u8> {
    let time = |text: &str| der(0x18, &[text.as_bytes()]);
    let revoked = time("20200101000000Z");
    let status = der(status, &[if status == 0xa1 { &revoked } else { &[] }]);
    let algorithm = der(0x30, &[&der(0x06, &[&[0x2b, 0x0e, 3, 2, 0x1a]])]);
    let id = [der(0x04, &[&[1; 20]]), der(0x04, &[&[2; 20]]), der(0x02, &[serial])].concat();
    let id = der(0x30, &[&algorithm, &id]);
    let ends = ends.map(|ends| der(0xa0, &[&time(ends)])).unwrap_or_default();
    let single = der(0x30, &[&id, &status, &time(begins), &ends]);
    let responder = der(0xa2, &[&der(0x04, &[&[3; 20]])]);
    let data = der(0x30, &[&responder, &time(begins), &der(0x30, &[&single])]);
    let basic = der(0x30, &[&data, &algorithm, &der(0x03, &[&[0, 1]])]);
    let kind = der(0x06, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]]);
    let bytes = der(0x30, &[&kind, &der(0x04, &[&basic])]);
    der(0x30, &[&der(0x0a, &[&[0]]), &der(0xa0, &[&bytes])])
}

const BEGINS: &str = "20260101000000Z";
const ENDS: &str = "20260108000000Z";
/// 2026-01-01.
const BEGIN_S: i64 = 1_767_225_600;
const WEEK_S: i64 = 7 * 86_400;

fn certificate() -> Certificate {
    let (chain, key) = certificate_tests::with_serial_number(7);
    Certificate::read(chain.as_bytes(), key.as_bytes()).expect("it is well")
}

#[test]
fn an_answer_is_sent_while_it_is_valid_for_its_certificate() {
    let certificate = certificate();
    let state = |serial: &[u8], status, ends, wall_s| {
        let staple = Staple::read(&answer(serial, status, BEGINS, ends)).expect("an answer");
        staple.state(&certificate, wall_s)
    };
    let good = |wall_s| state(&[7], 0x80, Some(ENDS), wall_s);
    assert_eq!(good(BEGIN_S - 1), StapleState::NotYetValid);
    assert_eq!(good(BEGIN_S), StapleState::Stapled);
    assert_eq!(good(BEGIN_S + WEEK_S - 1), StapleState::Stapled);
    assert_eq!(good(BEGIN_S + WEEK_S), StapleState::Expired);
    assert_eq!(state(&[7], 0x80, None, BEGIN_S + 100 * WEEK_S), StapleState::Stapled);
    assert_eq!(state(&[8], 0x80, Some(ENDS), BEGIN_S), StapleState::OfAnother);
    assert_eq!(state(&[7], 0xa1, Some(ENDS), BEGIN_S), StapleState::NotGood);
    assert_eq!(state(&[7], 0x82, Some(ENDS), BEGIN_S), StapleState::NotGood);
}

#[test]
fn what_is_no_answer_is_refused_wherever_it_is_cut() {
    let whole = answer(&[7], 0x80, BEGINS, Some(ENDS));
    assert_eq!(Staple::read(&whole).expect("an answer").der(), whole);
    for end in 0..whole.len() {
        assert!(Staple::read(&whole[..end]).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
            let mut changed = whole.clone();
            changed[at] = byte;
            let _ = Staple::read(&changed);
        }
    }
    let refusal = Staple::read(&[0x30, 3, 0x0a, 1, 6]).expect_err("unauthorized");
    assert!(refusal.problem.contains("refusal of a responder"), "{refusal:?}");
    let none = Staple::read(b"-----BEGIN").expect_err("text");
    assert!(none.problem.contains("no answer of OCSP"), "{none:?}");
}
