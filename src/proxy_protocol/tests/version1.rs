//! Version 1.

use super::*;
use crate::base::Prng;
use crate::limits::PROXY_V1_BYTES_MAX;

#[test]
fn addresses_of_both_families_are_read() {
    for (line, source, destination) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443", "192.0.2.1:56324", "198.51.100.2:443"),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535",
            "255.255.255.255:65535",
            "255.255.255.255:65535",
        ),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0", "0.0.0.0:0", "0.0.0.0:0"),
        ("PROXY TCP6 2001:db8::1 ::1 1 2", "[2001:db8::1]:1", "[::1]:2"),
        ("PROXY TCP6 2001:DB8::A :: 1 2", "[2001:db8::a]:1", "[::]:2"),
        (
            "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 1 2",
            "[::ffff:192.0.2.1]:1",
            "[::ffff:198.51.100.2]:2",
        ),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
             ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
        ),
    ] {
        check_header(format!("{line}\r\n").as_bytes(), Some(pair(source, destination)));
    }
}

#[test]
fn unknown_keeps_the_addresses_of_the_connection() {
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
         ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), PROXY_V1_BYTES_MAX);
    for line in [
        UNKNOWN_V1,
        b"PROXY UNKNOWN a b c d\r\n",
        b"PROXY UNKNOWN \r\n",
        b"PROXY UNKNOWN 1.2.3.4\r\n",
        b"PROXY UNKNOWN \xff\0\r!\r\n",
        longest.as_bytes(),
    ] {
        check_header(line, None);
    }
}

#[test]
fn lines_that_are_not_exactly_of_the_form_are_refused() {
    for (line, fault) in [
        ("PROXY \r\n", Fault::LineProtocol),
        ("PROXY TCP\r\n", Fault::LineProtocol),
        ("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", Fault::LineProtocol),
        ("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", Fault::LineProtocol),
        ("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Fault::LineProtocol),
        ("PROXY UNKNOWNS\r\n", Fault::LineProtocol),
        ("PROXY unknown\r\n", Fault::LineProtocol),
        ("PROXY TCP4\r\n", Fault::LineWords),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", Fault::LineWords),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", Fault::LineWords),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", Fault::LineWords),
        ("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", Fault::LineWords),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1  2\r\n", Fault::LineWords),
        ("PROXY TCP4\t1.2.3.4 5.6.7.8 1 2\r\n", Fault::LineProtocol),
        ("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", Fault::LineAddress),
        ("PROXY TCP4 1.2.3.4 5.6.7.256 1 2\r\n", Fault::LineAddress),
        ("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", Fault::LineAddress),
        ("PROXY TCP4 1.2.3.4\t5.6.7.8 1 2 3\r\n", Fault::LineAddress),
        ("PROXY TCP4 ::1 ::2 1 2\r\n", Fault::LineAddress),
        ("PROXY TCP4 1.2.3.4 ::2 1 2\r\n", Fault::LineAddress),
        ("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", Fault::LineAddress),
        ("PROXY TCP6 ::1 5.6.7.8 1 2\r\n", Fault::LineAddress),
        ("PROXY TCP6 ::1 fe80::2%eth0 1 2\r\n", Fault::LineAddress),
        ("PROXY TCP6 [::1] ::2 1 2\r\n", Fault::LineAddress),
        ("PROXY TCP6 1::2::3 ::2 1 2\r\n", Fault::LineAddress),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", Fault::LinePort),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 -2\r\n", Fault::LinePort),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", Fault::LinePort),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", Fault::LinePort),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 00\r\n", Fault::LinePort),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 0x2\r\n", Fault::LinePort),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n", Fault::LinePort),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", Fault::LineEnd),
        ("PROXY TCP4 1.2.3.4\n 5.6.7.8 1 2\r\n", Fault::LineEnd),
        ("PROXY UNKNOWN\n", Fault::LineEnd),
        ("PROXY \n", Fault::LineEnd),
    ] {
        check(line.as_bytes(), &Err(fault));
    }
}

#[test]
fn a_line_ends_within_107_bytes() {
    let of = |length: usize| format!("PROXY UNKNOWN {:1$}\r\n", "", length - 16);
    assert_eq!(of(107).len(), 107);
    check_header(of(107).as_bytes(), None);
    for length in [108, 109, 400] {
        check(of(length).as_bytes(), &Err(Fault::LineTooLong));
    }
    let endless = [&b"PROXY TCP4 "[..], &[b'1'; 96]].concat();
    check(&endless, &Err(Fault::LineTooLong));
    check(&endless[..106], &Ok(None));
}

/// Bytes of valid lines changed, removed or added: the same verdict whatever follows.
#[test]
fn damaged_lines_get_one_verdict() {
    let mut prng = Prng::new(4);
    let bases = ["PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "PROXY TCP6 ::1 ::2 1 2\r\n"];
    for round in 0..2_000 {
        let mut bytes = bases[round % 2].as_bytes().to_vec();
        for _ in 0..=prng.below(2) {
            let at = prng.below(bytes.len() as u32) as usize;
            let byte = b" .:0129\r\nTCPx"[prng.below(13) as usize];
            match prng.below(3) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, byte),
                _ => bytes[at] = byte,
            }
        }
        let verdict = read(&bytes);
        if let Ok(Some(header)) = &verdict {
            assert_eq!(bytes[header.length - 2..header.length], *b"\r\n");
            check(&bytes[..header.length], &verdict);
        } else {
            check(&bytes, &verdict);
        }
    }
}
