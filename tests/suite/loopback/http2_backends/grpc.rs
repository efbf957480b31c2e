//! Calls of gRPC, over HTTP/2 on both sides.

use super::client::Http2Client;
use super::*;

#[test]
fn a_call_has_its_fields_its_messages_and_its_trailers() {
    let origin = Http2Origin::start();
    let ringway = Ringway::with_config(&config(&[origin.address], "", ""));
    let client = Http2Client::connect(ringway.address);
    let told = client.calls("/head", &[("grpc-timeout", "5S")], b"").expect("an answer");
    let told = String::from_utf8(told.body).expect("text");
    for field in ["te: trailers\n", "content-type: application/grpc\n", "grpc-timeout: 5S\n"] {
        assert!(told.contains(field), "{field} is missing in {told}");
    }
    let message = b"\0\0\0\0\x05hello";
    let answered = client.calls("/trailers", &[], message).expect("an answer");
    assert_eq!((answered.status.as_u16(), &answered.body[..]), (200, &message[..]));
    assert_eq!(answered.trailers["x-of-origin"], "at the end");
    let many = message.repeat(50_000);
    let echoed = client.calls("/echo", &[], &many).expect("an answer");
    assert!(echoed.body == many, "messages go both ways at once");
}

#[test]
fn our_own_answers_are_in_the_terms_of_grpc() {
    let (_held, nobody) = refusing();
    let text = config(&[nobody], "", "[http]\nrequest_body_max = \"1KiB\"\n");
    let ringway = Ringway::with_config(&text);
    let client = Http2Client::connect(ringway.address);
    let status = |message: &[u8]| {
        let answered = client.calls("/a.B/C", &[], message).expect("an answer");
        assert_eq!((answered.status.as_u16(), answered.body.len()), (200, 0));
        assert_eq!(answered.field("content-type"), Some("application/grpc"));
        answered.field("grpc-status").expect("a status").to_owned()
    };
    assert_eq!(status(b"\0\0\0\0\0"), "14", "UNAVAILABLE");
    assert_eq!(status(&[0; 2_000]), "8", "RESOURCE_EXHAUSTED");
    let plain = client.asks("POST", "/a.B/C", &[], b"", None).expect("an answer");
    assert_eq!(plain.status.as_u16(), 503, "a request that is no call");
}

#[test]
fn a_deadline_is_kept_whatever_the_backend_does() {
    let origin = Http2Origin::start();
    let ringway = Ringway::with_config(&config(&[origin.address], "", ""));
    let client = Http2Client::connect(ringway.address);
    let answered = client.calls("/held", &[("grpc-timeout", "300m")], b"").expect("an answer");
    assert_eq!(answered.field("grpc-status"), Some("4"), "DEADLINE_EXCEEDED");
    assert_eq!(client.gets("/").body, b"hello", "the connection goes on");
}
