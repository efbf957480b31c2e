//! Hellos in several records, and long ones.

use super::*;
use crate::base::Prng;
use crate::limits::TLS_HELLO_BYTES_MAX;

fn place_of(part: &[u8], bytes: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("it is there")
}

#[test]
fn a_hello_of_1_800_bytes_comes_in_any_segments() {
    let extensions = [key_shares(), server_name(b"www.example.com"), alpn(&[b"h2"]), padding(400)];
    let bytes = in_one_record(&extensions);
    assert!((1_750..1_900).contains(&bytes.len()), "{}", bytes.len());
    assert_eq!(verdict(&bytes), hello(Some("www.example.com"), &[b"h2"]));
}

#[test]
fn a_name_is_read_across_records() {
    let name = b"WWW.cut-inside.Example";
    let message = message(&[key_shares(), server_name(name), alpn(&[b"h2"])]);
    let expected = hello(Some("www.cut-inside.example"), &[b"h2"]);
    let at = place_of(name, &message);
    assert_eq!(verdict(&records(&message, &[at + 3])), expected);
    assert_eq!(verdict(&records(&message, &[1, at, at + 1, at + 10])), expected);
    for end in 1..message.len() {
        assert_eq!(whole(&records(&message, &[end])), expected, "cut at {end}");
    }
    let each: Vec<usize> = (1..message.len()).collect();
    assert_eq!(whole(&records(&message, &each)), expected, "a record for each byte");
}

#[test]
fn every_split_of_records_into_segments_gives_the_same_verdict() {
    let message = message(&[server_name(b"a.example"), alpn(&[b"h2", b"http/1.1"])]);
    let expected = hello(Some("a.example"), &[b"h2", b"http/1.1"]);
    for end in [1, 2, 3, 4, 5, 40, message.len() - 1] {
        assert_eq!(verdict(&records(&message, &[end])), expected, "cut at {end}");
    }
    let each: Vec<usize> = (1..message.len()).collect();
    assert_eq!(verdict(&records(&message, &each)), expected);
}

#[test]
fn the_first_record_may_end_anywhere_and_have_more_behind_the_hello() {
    let message = message(&[server_name(b"a.example")]);
    let with_more = [&message[..], &[11, 0, 0, 5, 1, 2, 3]].concat();
    assert_eq!(verdict(&records(&with_more, &[])), named("a.example"));
    assert_eq!(verdict(&records(&with_more, &[20])), named("a.example"));
}

#[test]
fn long_hellos_are_read_up_to_64_kib() {
    let with = |bytes| message(&[padding(bytes), server_name(b"a.example")]);
    let overhead = with(0).len();
    let of_16_kib = with(16 * 1024 - overhead);
    assert_eq!(of_16_kib.len(), 16 * 1024);
    assert_eq!(verdict(&records(&of_16_kib, &[])), named("a.example"), "in one record");
    assert_eq!(verdict(&records(&of_16_kib, &[9_000])), named("a.example"));

    let cuts = [16_384, 2 * 16_384, 3 * 16_384];
    let longest = with(TLS_HELLO_BYTES_MAX - overhead - 4 * 5);
    let bytes = records(&longest, &cuts);
    assert_eq!(bytes.len(), TLS_HELLO_BYTES_MAX);
    assert_eq!(verdict(&bytes), named("a.example"));

    let longer = with(TLS_HELLO_BYTES_MAX - overhead - 4 * 5 + 1);
    let too_long = Outcome::Malformed(Malformed::TooLong);
    assert_eq!(verdict(&records(&longer, &cuts)), too_long);
}

#[test]
fn a_hello_that_cannot_end_in_time_is_not_waited_for() {
    let too_long = Outcome::Malformed(Malformed::TooLong);
    assert_eq!(verdict(&[22, 3, 1, 0x40, 0, 1, 1, 0, 0]), too_long);
    assert_eq!(verdict(&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff]), too_long);
    let of_one_byte_each: Vec<usize> = (1..11_000).collect();
    let endless = [&[1, 0, 0xf0, 0][..], &vec![0; 10_999]].concat();
    let bytes = records(&endless, &of_one_byte_each);
    assert_eq!(whole(&bytes[..TLS_HELLO_BYTES_MAX - 1]), Outcome::Incomplete);
    assert_eq!(whole(&bytes), too_long);
}

#[test]
fn any_records_and_segments_give_the_verdict_of_the_message() {
    let mut prng = Prng::new(1);
    let message = message(&[
        (0x1a1a, Vec::new()),
        key_shares(),
        server_name(b"Any.Example"),
        alpn(&[b"h2"]),
        padding(300),
    ]);
    let expected = hello(Some("any.example"), &[b"h2"]);
    for round in 0..400 {
        let mut ends = |below: usize, most: u32| {
            let count = prng.below(most);
            let mut ends: Vec<usize> =
                (0..count).map(|_| 1 + prng.below(below as u32 - 1) as usize).collect();
            ends.sort_unstable();
            ends.dedup();
            ends
        };
        let bytes = records(&message, &ends(message.len(), 12));
        check_pieces(&bytes, &ends(bytes.len(), 20), &expected);
        assert_eq!(whole(&bytes), expected, "round {round}");
    }
}
