//! Malformed requests, made by rule: every place of a request that has a rule of RFC 9112 is
//! broken in every way that is known to have fooled somebody.

use ringway::head::Rules;
use ringway::limits::{FIELDS_MAX, TRAILER_BYTES_MAX};

/// Longest head, bytes: as little as may be configured, so that what is too long is quickly split
/// at every byte.
pub const HEAD_BYTES_MAX: usize = 1024;

/// Longest target, bytes: half a head, as the snapshot has it.
const TARGET_BYTES_MAX: usize = HEAD_BYTES_MAX / 2;

/// The rules that these requests break.
pub fn rules() -> Rules {
    Rules { head_bytes_max: HEAD_BYTES_MAX, target_bytes_max: TARGET_BYTES_MAX, ..Rules::default() }
}

/// Where a request breaks its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In its head: nothing of it goes to a backend.
    Head,
    /// In its body: a backend may get what came before, and never a whole request.
    Body,
}

/// A request, the rule that it breaks, and the status that it is answered with.
pub struct Malformed {
    pub rule: &'static str,
    pub status: u16,
    pub place: Place,
    pub bytes: Vec<u8>,
}

struct Maker(Vec<Malformed>);

impl Maker {
    fn add(&mut self, rule: &'static str, bytes: impl Into<Vec<u8>>) {
        self.add_for(400, rule, bytes);
    }

    /// One that has another answer than 400.
    fn add_for(&mut self, status: u16, rule: &'static str, bytes: impl Into<Vec<u8>>) {
        self.0.push(Malformed { rule, status, place: Place::Head, bytes: bytes.into() });
    }

    /// One with this body, which breaks the rule.
    fn add_body(&mut self, status: u16, rule: &'static str, body: &str) {
        let head = "POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bytes = [head, body].concat().into_bytes();
        self.0.push(Malformed { rule, status, place: Place::Body, bytes });
    }

    /// A request with these field lines besides Host, and a body.
    fn with_fields(&mut self, rule: &'static str, fields: &[u8], body: &[u8]) {
        for method in ["GET", "POST"] {
            let head = format!("{method} /x HTTP/1.1\r\nHost: test\r\n");
            self.add(rule, [head.as_bytes(), fields, b"\r\n\r\n", body].concat());
        }
    }

    fn with_target(&mut self, rule: &'static str, target: &[u8]) {
        self.add(rule, [b"GET ", target, b" HTTP/1.1\r\nHost: test\r\n\r\n"].concat());
    }
}

/// Control bytes and DEL, without TAB, CR and LF.
fn control_bytes() -> impl Iterator<Item = u8> {
    (0..0x20).filter(|byte| !b"\t\r\n".contains(byte)).chain([0x7f])
}

/// All of them; at least a thousand.
pub fn all() -> Vec<Malformed> {
    let mut maker = Maker(Vec::new());
    start_lines(&mut maker);
    targets(&mut maker);
    field_lines(&mut maker);
    lengths(&mut maker);
    transfer_encodings(&mut maker);
    hosts(&mut maker);
    chunks(&mut maker);
    trailers(&mut maker);
    limits(&mut maker);
    not_served(&mut maker);
    maker.0
}

fn start_lines(maker: &mut Maker) {
    let rule = "request line: METHOD SP target SP version CRLF";
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
        "GET / HTTP/1.1 x",
        "GET /",
        "GET",
        "GET / ",
        "/ HTTP/1.1",
        "GET HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/ 1.1",
        "GET / HTTP /1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/1.10",
        "GET / HTTP/1.1.1",
        "GET / HTTP/01.1",
        "GET / HTTP/1.01",
        "GET / HTTP/a.b",
        "GET / HTTP/11",
        "GET / HTTP/1,1",
        "GET / HTTQ/1.1",
        "GET / XHTTP/1.1",
        "GET / HTTP/1.1\u{b}",
        "GET /a b HTTP/1.1",
        "G ET / HTTP/1.1",
        "GET:/ HTTP/1.1",
        "(GET) / HTTP/1.1",
        "GET, / HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET[ / HTTP/1.1",
        "\"GET\" / HTTP/1.1",
        "GÉT / HTTP/1.1",
    ] {
        maker.add(rule, format!("{line}\r\nHost: test\r\n\r\n"));
    }
    for byte in control_bytes() {
        for place in 0..4 {
            let mut parts: [&[u8]; 5] = [b"G", b"ET /", b"p HTTP/1.", b"1", b""];
            let bad = [byte];
            let mut line: Vec<u8> = Vec::new();
            for (at, part) in parts.iter_mut().enumerate() {
                line.extend_from_slice(part);
                if at == place {
                    line.extend_from_slice(&bad);
                }
            }
            maker.add(
                "no control byte in the request line",
                [&line[..], b"\r\nHost: test\r\n\r\n"].concat(),
            );
        }
    }
    for start in ["\r", " \r\n", "\r\n ", "\t", "\r\r\n", "\n\r"] {
        maker.add(
            "nothing but line ends before",
            format!("{start}GET / HTTP/1.1\r\nHost: test\r\n\r\n"),
        );
    }
    maker.add(
        "method of at most 32 bytes",
        format!("{} / HTTP/1.1\r\nHost: test\r\n\r\n", "M".repeat(33)),
    );
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\x00\x00\x00\x00",
        b"\xff\xfe\xfd",
        b"SSH-2.0-x\r\n\r\n",
        b"{\"a\":1}\r\n\r\n",
        b"<xml/>\r\n\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n\r\n",
    ] {
        maker.add("another protocol", garbage);
    }
}

fn targets(maker: &mut Maker) {
    for byte in control_bytes().chain(0x80..=0xff).chain(*b"\"#<>\\^`{}") {
        maker.with_target("no such byte in a path", &[b"/a", &[byte][..], b"b"].concat());
    }
    for byte in control_bytes().chain(*b"#") {
        maker.with_target("no such byte in a query", &[b"/a?b", &[byte][..], b"c"].concat());
    }
    for path in [
        "/.",
        "/..",
        "/a/..",
        "/a/../b",
        "/./a",
        "/a/.",
        "/%2e",
        "/%2E%2e/a",
        "/.%2e/a",
        "/%2e./a",
        "/a/%2E",
        "/../../etc",
    ] {
        maker.with_target("no dot segments", path.as_bytes());
    }
    for path in ["/%", "/%4", "/%zz", "/%4g", "/a%00b", "/%0", "/%-1", "/%4?"] {
        maker
            .with_target("percent-encoding is two hexadecimal digits and not NUL", path.as_bytes());
    }
    for target in [
        "a",
        "test",
        "test:80",
        "*",
        "?a",
        "//@:",
        "http:/x",
        "http:x",
        "http://",
        "http:///x",
        "http://?x",
        "http://test#x",
        "http://u@test/",
        "http://test:x/",
        "http://te st/",
        "1http://test/",
        "://test/",
        "http//test/",
        "http://test\\x/",
    ] {
        if target != "//@:" {
            maker.with_target("a target of a known form", target.as_bytes());
        }
    }
    for target in [
        "http://other/",
        "http://test:81/",
        "http://test.example/",
        "http://tes/",
        "http://test:8/",
        "http://test:800/",
    ] {
        maker.with_target("absolute-form agrees with Host", target.as_bytes());
    }
}

fn field_lines(maker: &mut Maker) {
    for byte in control_bytes() {
        let bad = [byte];
        maker.with_fields("no control byte in a value", &[b"X-A: a", &bad[..], b"b"].concat(), b"");
        maker.with_fields("no control byte in a name", &[b"X-", &bad[..], b"A: b"].concat(), b"");
    }
    for byte in *b" \t\"(),/;<=>?@[\\]{}" {
        let bad = [byte];
        maker.with_fields("a name is a token", &[b"X-", &bad[..], b"A: b"].concat(), b"");
        maker.with_fields("a name is a token", &[b"X-A", &bad[..], b": b"].concat(), b"");
    }
    for byte in 0x80..=0xffu8 {
        maker.with_fields("a name is ASCII", &[b"X-", &[byte][..], b": b"].concat(), b"");
    }
    for line in [
        "X-A",
        ": b",
        ":",
        " X-A: b",
        "\tX-A: b",
        "X-A : b",
        "X-A\t: b",
        "X-A: b\r\n c",
        "X-A: b\r\n\tc",
        "X-A:\r\n b",
        " ",
        "\t",
    ] {
        maker.with_fields("a field line is `name: value`, not folded", line.as_bytes(), b"");
    }
    for line in [
        "X-A: b\nX-B: c",
        "X-A: b\rX-B: c",
        "X-A: b\n\r",
        "X-A: \rb",
        "X-A: b\r\r",
        "X-A: b\n",
        "\nX-A: b",
        "X\nA: b",
        "X\rA: b",
    ] {
        maker.with_fields("lines end with CRLF and nothing else", line.as_bytes(), b"");
    }
    maker.add("lines end with CRLF", "GET / HTTP/1.1\nHost: test\n\n");
    maker.add("lines end with CRLF", "GET / HTTP/1.1\nHost: test\r\n\r\n");
    maker.add("lines end with CRLF", "GET / HTTP/1.1\r\nHost: test\n\r\n");
    maker.add("lines end with CRLF", "GET / HTTP/1.1\r\nHost: test\r\n\n");
    maker.add("lines end with CRLF", "GET / HTTP/1.1\rHost: test\r\r");
    for essential in ["host", "Content-Length", "close, transfer-encoding", "HOST, close"] {
        maker.with_fields(
            "Connection names no essential field",
            format!("Connection: {essential}").as_bytes(),
            b"",
        );
    }
}

fn lengths(maker: &mut Maker) {
    for value in [
        "",
        " ",
        "+5",
        "-5",
        "5.0",
        "0x5",
        "5 5",
        "5,5",
        "5, 5",
        "5,",
        ",5",
        "five",
        "5a",
        "a5",
        "5;",
        "\"5\"",
        "1e1",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999",
        "5\t5",
        "٥",
        "00x5",
        "5_0",
        "½",
    ] {
        maker.with_fields(
            "Content-Length is 1*DIGIT below 2^63",
            format!("Content-Length: {value}").as_bytes(),
            b"hello",
        );
    }
    for (one, two) in [("5", "5"), ("5", "6"), ("0", "5"), ("5", "0"), ("5", "x"), ("", "5")] {
        let fields = format!("Content-Length: {one}\r\nContent-Length: {two}");
        maker.with_fields("one Content-Length", fields.as_bytes(), b"hello");
        let fields = format!("content-length: {one}\r\nX: y\r\nCONTENT-LENGTH: {two}");
        maker.with_fields("one Content-Length", fields.as_bytes(), b"hello");
    }
}

fn transfer_encodings(maker: &mut Maker) {
    let body = b"5\r\nhello\r\n0\r\n\r\n";
    for value in [
        "",
        "identity",
        "gzip",
        "chunked, gzip",
        "gzip, chunked",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked;q=1",
        "chunked; x",
        "xchunked",
        "chunkedx",
        "chunk",
        "\"chunked\"",
        "'chunked'",
        "chunked\tx",
        "identity, chunked",
        "chunked identity",
        "cHuNkEd,identity",
        "chunked,identity",
        "chun ked",
        "chunKed\u{212a}",
    ] {
        maker.with_fields(
            "Transfer-Encoding is exactly chunked",
            format!("Transfer-Encoding: {value}").as_bytes(),
            body,
        );
    }
    for (one, two) in [
        ("chunked", "chunked"),
        ("chunked", "identity"),
        ("identity", "chunked"),
        ("gzip", "chunked"),
        ("", "chunked"),
    ] {
        let fields = format!("Transfer-Encoding: {one}\r\nTransfer-Encoding: {two}");
        maker.with_fields("one Transfer-Encoding", fields.as_bytes(), body);
    }
    for length in ["0", "5", "15", "100"] {
        for fields in [
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
            format!("transfer-encoding: CHUNKED\r\nX: y\r\ncontent-length: {length}"),
        ] {
            maker.with_fields(
                "not both Content-Length and Transfer-Encoding",
                fields.as_bytes(),
                body,
            );
        }
    }
    for method in ["GET", "POST", "PUT"] {
        let head =
            format!("{method} / HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        maker.add("no Transfer-Encoding in HTTP/1.0", [head.as_bytes(), body].concat());
    }
}

fn hosts(maker: &mut Maker) {
    for method in ["GET", "POST", "OPTIONS", "HEAD"] {
        maker.add("HTTP/1.1 has a Host", format!("{method} / HTTP/1.1\r\n\r\n"));
        maker.add("HTTP/1.1 has a Host", format!("{method} / HTTP/1.1\r\nX: y\r\n\r\n"));
        for (one, two) in [("test", "test"), ("test", "other"), ("", "test"), ("test", "")] {
            maker.add(
                "one Host",
                format!("{method} / HTTP/1.1\r\nHost: {one}\r\nhost: {two}\r\n\r\n"),
            );
        }
    }
    for host in [
        "",
        "a b",
        "a,b",
        "a/b",
        "u@h",
        "a:b",
        "a:80:80",
        "a:",
        "[::1",
        "::1",
        "a\"b",
        "a<b",
        "[x]",
        "a?b",
        "a#b",
        "a:999999",
        "[::1]x",
        "ä",
        "a\\b",
        "a|b",
        "a^b",
        "a`b",
        "a{b",
        "[]",
        ":80",
        "a:-1",
        "a:+80",
        "a:65536",
        "[::1]:99999",
        "a:000080",
    ] {
        if host != "a:" {
            maker.add(
                "Host is a host with an optional port",
                format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            );
        }
    }
}

fn chunks(maker: &mut Maker) {
    let rule = "a chunk is 1*HEXDIG [;ext] CRLF data CRLF";
    for body in [
        "\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello",
        "0x5\r\nhello",
        "-5\r\nhello",
        "+5\r\nhello",
        " 5\r\nhello",
        "5 \nhello",
        "5\t5\r\nhello",
        "5\nhello",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloX\r\n",
        "5\r\nhello\r0\r\n",
        "5\r\r\nhello",
        "5 5\r\nhello",
        "5,5\r\nhello",
        "5.\r\nhello",
        "ffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "8000000000000000\r\n",
        "fffffffffffffffff\r\n",
        "5;a\nb\r\nhello",
        "5;a\rb\r\nhello",
        "5;\u{0}\r\nhello",
        "5;\u{7f}\r\nhello",
        ";\r\nhello",
        "5\"\r\nhello",
        "5:\r\nhello",
        "x",
        "\n5\r\nhello",
    ] {
        maker.add_body(400, rule, body);
        maker.add_body(400, rule, &format!("3\r\nabc\r\n{body}"));
    }
    for byte in control_bytes() {
        let bad = char::from(byte);
        maker.add_body(
            400,
            "no control byte in an extension",
            &format!("5;a={bad}\r\nhello\r\n0\r\n\r\n"),
        );
        maker.add_body(400, "no control byte in a size", &format!("5{bad}\r\nhello\r\n0\r\n\r\n"));
    }
    maker.add_body(400, "a size line has a limit", &format!("5;{}\r\nhello", "x".repeat(300)));
    maker.add_body(400, "a size line has a limit", &format!("{}5\r\nhello", "0".repeat(300)));
}

fn trailers(maker: &mut Maker) {
    let rule = "a trailer section has only fields that may be there";
    for name in [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Connection",
        "Trailer",
        "Content-Type",
        "Content-Encoding",
        "Content-Range",
        "Authorization",
        "Set-Cookie",
        "Via",
        "Upgrade",
        "TE",
        "Expect",
        "Forwarded",
        "Proxy-Connection",
        "Cache-Control",
        "Keep-Alive",
    ] {
        maker.add_body(400, rule, &format!("1\r\nx\r\n0\r\n{name}: 1\r\n\r\n"));
        maker.add_body(400, rule, &format!("0\r\nX-Ok: 1\r\n{}: 1\r\n\r\n", name.to_lowercase()));
    }
    for section in [
        "X-A\r\n\r\n",
        "X-A: 1\n\r\n",
        "X-A: 1\r\n\n",
        "\n",
        "\rX",
        ": 1\r\n\r\n",
        "X A: 1\r\n\r\n",
        "X-A : 1\r\n\r\n",
        " X-A: 1\r\n\r\n",
        "X-A: 1\r\n folded\r\n\r\n",
        "X-A: \u{0}\r\n\r\n",
        "X-A: a\rb\r\n\r\n",
    ] {
        maker.add_body(400, "a trailer line is a field line", &format!("0\r\n{section}"));
    }
}

/// A head of exactly so many bytes.
fn head_of(length: usize) -> String {
    let start = "GET / HTTP/1.1\r\nHost: test\r\nX-Long: ";
    format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4))
}

fn limits(maker: &mut Maker) {
    let host = "Host: test\r\n";
    for more in [1, 2, 200] {
        let target = "a".repeat(TARGET_BYTES_MAX - 1 + more);
        let head = format!("GET /{target} HTTP/1.1\r\n{host}\r\n");
        maker.add_for(414, "a target has a limit", head);
        maker.add_for(431, "a head has a limit", head_of(HEAD_BYTES_MAX + more));
        let fields = "x:y\r\n".repeat(FIELDS_MAX - 1 + more.min(50));
        let head = format!("GET / HTTP/1.1\r\n{host}{fields}\r\n");
        maker.add_for(431, "fields have a limit", head);
    }
    let fields = "x:y\r\n".repeat(FIELDS_MAX + 1);
    maker.add_body(431, "trailers have a limit", &format!("0\r\n{fields}\r\n"));
    let value = "x".repeat(TRAILER_BYTES_MAX);
    maker.add_body(431, "a trailer section has a limit", &format!("0\r\nX: {value}\r\n\r\n"));
}

/// Well-formed, and yet not for us.
fn not_served(maker: &mut Maker) {
    let host = "Host: test\r\n";
    for version in ["0.9", "1.2", "1.9", "2.0", "3.0", "9.9"] {
        let head = format!("GET / HTTP/{version}\r\n{host}\r\n");
        maker.add_for(505, "the version is 1.0 or 1.1", head);
    }
    let preface = "PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n";
    maker.add_for(505, "the version is 1.0 or 1.1", preface);
    for scheme in ["https", "ftp", "HTTPS", "h2"] {
        let head = format!("GET {scheme}://test/ HTTP/1.1\r\n{host}\r\n");
        maker.add_for(421, "the scheme is that of the listener", head);
    }
    let head = format!("TRACE / HTTP/1.1\r\n{host}Max-Forwards: 0\r\n\r\n");
    maker.add_for(405, "TRACE is not allowed", head);
    let head = format!("CONNECT test:443 HTTP/1.1\r\n{host}\r\n");
    maker.add_for(501, "CONNECT is not allowed", head);
    for expected in ["magic", "", "100-continue, magic", "200-ok"] {
        let head = format!("PUT / HTTP/1.1\r\n{host}Expect: {expected}\r\n\r\n");
        maker.add_for(417, "Expect is 100-continue", head);
    }
}
