//! Probes that send bytes and expect bytes.

use super::*;
use crate::config::PROBE_ANSWER_BYTES_MAX;
use crate::coordinator::probing::protocol::ProbeStage;
use crate::coordinator::probing::protocol::deadline::Deadline;
use crate::coordinator::probing::protocol::exchange::Exchange;

fn ping() -> ProbeKind {
    ProbeKind::Exchange { send: b"PING\r\n".to_vec(), expect: b"+PONG".to_vec() }
}

/// What the probe makes of these pieces, each sent by itself.
async fn after(pieces: &'static [&'static [u8]]) -> Result<(), ProbeFailure> {
    let (address, origin) = origin(|mut stream| {
        let seen = read_until(&mut stream, b"\r\n");
        pieces.iter().for_each(|piece| say(&mut stream, piece));
        seen
    });
    let result = ask(&probe_of(ping()), address).await;
    assert_eq!(origin.join().expect("served"), b"PING\r\n");
    result
}

#[tokio::test]
async fn what_is_expected_passes_however_it_is_split() {
    assert_eq!(after(&[b"+PONG\r\n"]).await, Ok(()));
    assert_eq!(after(&[b"hello +P", b"O", b"NG"]).await, Ok(()));
}

#[tokio::test]
async fn something_else_is_shown() {
    let shown = Err(ProbeFailure::Unexpected("-NOAUTH\\r\\n".to_owned()));
    assert_eq!(after(&[b"-NOAUTH\r\n"]).await, shown);
}

#[tokio::test]
async fn an_early_end_is_told_apart() {
    assert_eq!(after(&[]).await, Err(ProbeFailure::ClosedEarly));
}

#[tokio::test]
async fn a_banner_needs_no_question() {
    let (address, _) = origin(|mut stream| {
        say(&mut stream, b"220 mail.test ESMTP\r\n");
        stay_silent(stream);
    });
    let kind = ProbeKind::Exchange { send: Vec::new(), expect: b"220 ".to_vec() };
    assert_eq!(ask(&probe_of(kind), address).await, Ok(()));
}

#[tokio::test]
async fn an_endless_answer_is_given_up() {
    let (address, _) = origin(|mut stream| {
        let endless = vec![b'-'; PROBE_ANSWER_BYTES_MAX];
        say(&mut stream, &endless);
        stay_silent(stream);
    });
    let result = ask(&probe_of(ping()), address).await;
    assert!(matches!(result, Err(ProbeFailure::Unexpected(_))), "{result:?}");
}

#[tokio::test]
async fn silence_times_out() {
    let (address, _) = origin(stay_silent);
    let timed_out = ProbeFailure::TimedOut { stage: ProbeStage::Answering };
    assert_eq!(ask(&hasty(ping()), address).await, Err(timed_out));
}

#[tokio::test]
async fn what_was_said_before_silence_is_shown() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    let asking = tokio::net::TcpStream::connect(address).await.expect("connected");
    let (mut origin, _) = listener.accept().expect("a connection");
    // Before the probe's time begins, so that it comes in time on the busiest machine.
    say(&mut origin, b"-LOADING");
    let exchange = Exchange::new(b"PING\r\n", b"+PONG", None).expect("a good one");
    let result = exchange.ask(asking, &asked(address), Deadline::after(HASTE)).await;
    assert_eq!(result, Err(ProbeFailure::Unexpected("-LOADING".to_owned())));
}

#[test]
fn an_empty_expectation_is_to_be_mended() {
    let kind = ProbeKind::Exchange { send: Vec::new(), expect: Vec::new() };
    assert!(mend(kind).contains("`expect`"));
}
