//! The examples of RFC 7541, faults, and what an encoder writes read by a decoder.

use super::{Decoder, Encoder};
use crate::base::Prng;
use crate::http2::error::ErrorCode;
use crate::http2::section::{FieldRoom, Kind, Pseudo, Section, SectionLimits, State};

const LIMITS: SectionLimits = SectionLimits { bytes: 16 * 1024, fields: 100 };

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16);
    digits.chunks(2).map(|pair| byte(pair).expect("digits")).collect()
}

/// The fields of a block, one a line, pseudo-fields first.
fn decode(decoder: &mut Decoder, kind: Kind, block: &[u8]) -> Result<String, ErrorCode> {
    let mut section = Section::new();
    section.begin(kind, LIMITS);
    decoder.decode(block, &mut section).map_err(|fault| fault.code)?;
    section.end();
    assert_eq!(section.state(), State::Valid);
    let mut lines = Vec::new();
    for (name, pseudo) in [
        (":method", Pseudo::Method),
        (":scheme", Pseudo::Scheme),
        (":path", Pseudo::Path),
        (":authority", Pseudo::Authority),
        (":status", Pseudo::Status),
    ] {
        if let Some(value) = section.pseudo(pseudo) {
            lines.push(format!("{name}: {}", value.escape_ascii()));
        }
    }
    for field in section.fields(&mut FieldRoom::new()) {
        lines.push(format!("{}: {}", field.name, field.value.escape_ascii()));
    }
    Ok(lines.join("\n"))
}

#[test]
fn the_requests_of_appendix_c_3_and_c_4() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let huffman = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new();
        for (block, expected) in blocks.into_iter().zip([
            ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com",
            ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n\
             cache-control: no-cache",
            ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\n\
             custom-key: custom-value",
        ]) {
            let text = decode(&mut decoder, Kind::Request, &bytes(block));
            assert_eq!(text.as_deref(), Ok(expected));
        }
    }
}

/// The examples have a table of 256 bytes, so that entries are evicted.
#[test]
fn the_responses_of_appendix_c_5_and_c_6() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a
         3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04
         677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49
         553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let huffman = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e
         919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
         821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed
         4ee5 b106 3d50 07",
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new();
        let resize = [&[0x3f, 0xe1, 0x01][..], &bytes(blocks[0])].concat();
        let first = decode(&mut decoder, Kind::Response, &resize);
        let second = decode(&mut decoder, Kind::Response, &bytes(blocks[1]));
        let third = decode(&mut decoder, Kind::Response, &bytes(blocks[2]));
        let rest = "cache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n\
                    location: https://www.example.com";
        assert_eq!(first, Ok(format!(":status: 302\n{rest}")));
        assert_eq!(second, Ok(format!(":status: 307\n{rest}")));
        assert_eq!(
            third.as_deref(),
            Ok(":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\n\
                location: https://www.example.com\ncontent-encoding: gzip\nset-cookie: \
                foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1")
        );
    }
}

#[test]
fn the_literals_of_appendix_c_2() {
    for (block, expected) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key: custom-header",
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path"),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret"),
        ("82", ":method: GET"),
    ] {
        let text = decode(&mut Decoder::new(), Kind::Request, &bytes(block));
        assert_eq!(text.as_deref(), Ok(expected));
    }
}

#[test]
fn faults_end_the_connection() {
    for (rule, block) in [
        ("§6.1: index 0", "80"),
        ("§2.3.3: an index without entry", "be"),
        ("§2.3.3: a name without entry", "7f00 0161"),
        ("§2.3.3: far beyond", "ffff ffff 0f"),
        ("§5.1: an integer without end", "ffff ffff ffff ffff ffff"),
        ("§5.1: incomplete", "ff"),
        ("a string without length", "40"),
        ("a string that ends early", "4003 6161"),
        ("a value that is missing", "4001 61"),
        ("§5.2: padding longer than seven bits", "0085 f2b2 4a84 ff84 49509fff"),
        ("§5.2: padding by zeros", "0085 f2b2 4a84 ff83 49509f 00"),
        ("§5.2: EOS", "0085 f2b2 4a87 ff87 ffffffff 497ca58ae819aafb50938ec415305a99567b"),
        ("§6.3: beyond the limit", "3fe2 1f"),
        ("§4.2: behind a field", "8220"),
    ] {
        let text = decode(&mut Decoder::new(), Kind::Request, &bytes(block));
        assert_eq!(text, Err(ErrorCode::COMPRESSION_ERROR), "{rule}");
    }
}

#[test]
fn several_size_updates_may_be_at_the_start() {
    let text = decode(&mut Decoder::new(), Kind::Request, &bytes("20 3f e1 1f 82"));
    assert_eq!(text.as_deref(), Ok(":method: GET"));
    let text = decode(&mut Decoder::new(), Kind::Request, &bytes("20"));
    assert_eq!(text.as_deref(), Ok(""));
}

const NAMES: [&str; 14] = [
    "content-type",
    "Server",
    "x-a",
    "X-Request-ID",
    "cache-control",
    "accept-encoding",
    "etag",
    "authorization",
    "x-longer-name-of-a-field-that-is-longer-than-sixty-four-bytes-by-some-more",
    "set-cookie",
    "date",
    "vary",
    "!#$%&'*+-.^_`|~09az",
    "AbC",
];

fn random_value(random: &mut Prng) -> Vec<u8> {
    let words = ["gzip, deflate", "text/html", "a", "no-cache", "", "1234", "a b\tc", "\u{e4}"];
    let word = words[random.below(words.len() as u32) as usize];
    match random.below(4) {
        0 => format!("{word}{}x", random.below(1_000)).into_bytes(),
        1 if random.one_in(40) => vec![b'a' + random.below(26) as u8; random.below(3_000) as usize],
        _ => word.as_bytes().to_vec(),
    }
}

#[test]
fn what_is_encoded_is_decoded_by_a_table_in_step() {
    for seed in 0..30 {
        let mut random = Prng::new(seed);
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for _ in 0..400 {
            let mut block = Vec::new();
            while random.one_in(10) {
                encoder.set_peer_table_size([0, 100, 4_096, 1 << 20][random.below(4) as usize]);
            }
            encoder.begin(&mut block);
            let mut expected = vec![":status: 200".to_owned()];
            encoder.static_entry(8, &mut block);
            for _ in 0..random.below(12) {
                let name = NAMES[random.below(NAMES.len() as u32) as usize];
                let value = random_value(&mut random);
                encoder.field(name.as_bytes(), &value, random.one_in(20), &mut block);
                expected.push(format!("{}: {}", name.to_lowercase(), value.escape_ascii()));
            }
            let text = decode(&mut decoder, Kind::Response, &block);
            assert_eq!(text, Ok(expected.join("\n")), "seed {seed}");
        }
    }
}

#[test]
fn fields_that_come_again_are_a_byte_and_secrets_never() {
    let mut encoder = Encoder::new();
    let mut first = Vec::new();
    for out in [&mut first, &mut Vec::new()] {
        encoder.begin(out);
        encoder.field(b"User-Agent", b"one of the longer ones", false, out);
        encoder.field(b"x-custom", b"1", false, out);
    }
    let mut again = Vec::new();
    encoder.field(b"user-agent", b"one of the longer ones", false, &mut again);
    encoder.field(b"X-Custom", b"1", false, &mut again);
    assert_eq!(again, [0x80 + 63, 0x80 + 62]);
    for (name, index) in [("Authorization", 23), ("cookie", 32), ("set-cookie", 55)] {
        for _ in 0..2 {
            let mut out = Vec::new();
            encoder.field(name.as_bytes(), b"!", false, &mut out);
            assert_eq!(out, [0x1f, index - 15, 1, b'!'], "{name}");
        }
    }
    let mut out = Vec::new();
    encoder.field(b"x-custom", b"1", true, &mut out);
    assert_eq!(out, [0x1f, 62 - 15, 1, b'1'], "the name alone");
}

#[test]
fn a_smaller_table_is_announced_with_the_smallest_size() {
    let mut encoder = Encoder::new();
    let block = |encoder: &mut Encoder| {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        out
    };
    encoder.set_peer_table_size(4_096);
    assert_eq!(block(&mut encoder), b"", "it is the size");
    encoder.set_peer_table_size(1 << 30);
    assert_eq!(block(&mut encoder), b"", "no more than ours");
    encoder.set_peer_table_size(0);
    assert_eq!(block(&mut encoder), [0x20]);
    assert_eq!(block(&mut encoder), b"");
    encoder.set_peer_table_size(100);
    encoder.set_peer_table_size(10);
    encoder.set_peer_table_size(50);
    assert_eq!(block(&mut encoder), bytes("20 3f13"), "from 0 to 50, by way of 0");
    encoder.set_peer_table_size(10);
    encoder.set_peer_table_size(50);
    assert_eq!(block(&mut encoder), bytes("2a 3f13"));
}
