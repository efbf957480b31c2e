//! Dispatches requests.

use super::config_text::Given;
use super::explain_connection::ClientAddress;
use super::overview::Overviews;
use super::reply::{Refused, Reply, json_reply, refusal, text_reply};
use super::{
    certificates, config_text, explain, explain_connection, metrics, orders, readiness, status,
    which,
};
use crate::base::Instant;
use crate::config::values::parse_address;
use crate::config::{Transport, text_of, unmarked};
use crate::coordinator::control::Control;
use crate::coordinator::events::Event;
use crate::coordinator::fleet::{Fleet, no_pool};
use crate::coordinator::process::ReadyAnswers;
use crate::coordinator::reload::Reloads;
use crate::sys::clock;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Most bytes of a body: a configuration with the greatest number of backends.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The timeout of a body.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest wait of a request for events.
const EVENTS_WAIT_MAX: Duration = Duration::from_secs(60);

/// Most characters of a client's text in an event.
const SHOWN_MAX: usize = 200;
/// Query of a question or an order: the name of a configuration in the answer.
const FILE: &str = "file";
/// Query of the order to drain: its mode.
const MODE: &str = "mode";

const KNOWN: &str = "GET /live, /ready, /ready/POOL, /status, /metrics, /pools, /events, /explain, \
                     /which, /config; POST /plan, /reload, /drain, /undrain, \
                     /certificates/NAME/renew, /pools/POOL/backends; PUT /config, \
                     /pools/POOL/backends/ADDRESS; DELETE /pools/POOL/backends/ADDRESS";

/// State that all connections share.
pub(super) struct Shared {
    pub(super) control: Rc<RefCell<Control>>,
    pub(super) fleet: Rc<RefCell<Fleet>>,
    pub(super) reloads: Rc<Reloads>,
    /// The TCP address of the interface.
    pub(super) address: Option<SocketAddr>,
    pub(super) metrics: metrics::Kept,
    pub(super) overviews: Overviews,
}

impl Shared {
    pub(super) fn new(
        control: Rc<RefCell<Control>>,
        reloads: Rc<Reloads>,
        address: Option<SocketAddr>,
    ) -> Self {
        let fleet = control.borrow().shared_fleet();
        let (metrics, overviews) = (metrics::Kept::default(), Overviews::default());
        Self { control, fleet, reloads, address, metrics, overviews }
    }
}

/// The client, and whether it may give orders.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) name: String,
    pub(super) may_order: bool,
}

/// Answers one request. Each order is an audit event, also if it is refused.
pub(super) async fn answer(shared: Rc<Shared>, asker: Asker, request: Request<Incoming>) -> Reply {
    let is_question = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_question {
        return question(&shared, &asker, &request).await;
    }
    if !asker.may_order {
        let error = "orders are taken on the Unix socket only; this address answers questions";
        return refusal(StatusCode::FORBIDDEN, error);
    }
    // In a task: it is applied, and its audit event added, even if the client disconnects.
    let followed = tokio::task::spawn_local(async move {
        let mut what = shown(&format!("{} {}", request.method(), request.uri().path()));
        let reply = order(&shared, request, &mut what).await;
        let (who, status) = (asker.name, reply.status().as_u16());
        shared.fleet.borrow_mut().note_event(Event::Audit { who, what, status });
        reply
    });
    followed.await.expect("it does not panic, and is not aborted")
}

async fn question(shared: &Shared, asker: &Asker, request: &Request<Incoming>) -> Reply {
    let control = &shared.control;
    let now = clock::monotonic();
    let query = Query::of(request);
    match path(request).as_slice() {
        ["live"] => {
            let control = control.borrow();
            readiness::live_reply(control.shards(), control.course(), now)
        }
        ["ready"] => readiness::ready_reply(control.borrow().readiness().process()),
        ["ready", pool] => ready(control.borrow().readiness(), pool),
        ["status"] => overview(shared, |now| status(shared, now)).await,
        ["pools"] => overview(shared, |now| status::pools(&shared.fleet.borrow(), now)).await,
        ["metrics"] => {
            let render = async {
                let loaded = shared.reloads.loaded();
                metrics::text(control, &shared.fleet, &loaded, now).await
            };
            let text = shared.metrics.text(now, render).await;
            text_reply(StatusCode::OK, metrics::MEDIA_TYPE, text)
        }
        // Fields of probes may be secrets.
        ["config"] if !asker.may_order => {
            let error = "the configuration is shown on the Unix socket only";
            refusal(StatusCode::FORBIDDEN, error)
        }
        ["config"] => config_text::reply(control.borrow().config(), request.headers()),
        ["events"] => events(&shared.fleet, asker, &query).await,
        ["explain"] => {
            let method = query.value("method").unwrap_or_else(|| "GET".to_owned());
            let Some(url) = query.value("url") else {
                return refusal(
                    StatusCode::BAD_REQUEST,
                    "give the request as ?url=http://…, a connection as ?url=tcp://HOST:PORT, a \
                     flow as ?url=udp://HOST:PORT",
                );
            };
            let listener = query.value("listener");
            match explain_connection::of_url(&url) {
                Some(endpoint) => {
                    explained_connection(shared, &query, endpoint, listener.as_deref())
                }
                None => {
                    let (sni, listener) = (query.value("sni"), listener.as_deref());
                    let asked = explain::Asked { method: &method, url: &url, sni: sni.as_deref() };
                    explain::explain(&control.borrow(), &asked, listener)
                }
            }
        }
        ["which"] => match (query.value("pool"), query.value("key")) {
            (Some(pool), Some(key)) => which::which(&shared.fleet.borrow(), &pool, &key),
            _ => refusal(StatusCode::BAD_REQUEST, "give the pool and the key as ?pool=…&key=…"),
        },
        _ => unknown(request),
    }
}

fn explained_connection(
    shared: &Shared,
    query: &Query,
    (transport, address): (Transport, &str),
    listener: Option<&str>,
) -> Reply {
    let client = query.value("client").map(|text| text.parse::<ClientAddress>()).transpose();
    let client = match client {
        Ok(client) => client,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, shown(&error)),
    };
    let (sni, alpn) = (query.value("sni"), query.value("alpn"));
    let (sni, alpn) = (sni.as_deref(), alpn.as_deref());
    let question = explain_connection::Question { transport, address, sni, alpn, client, listener };
    explain_connection::explain(&shared.control.borrow(), &question)
}

async fn overview<T: Serialize + Send + 'static>(
    shared: &Shared,
    collect: impl FnOnce(Instant) -> T,
) -> Reply {
    let collect = || collect(clock::monotonic());
    text_reply(StatusCode::OK, "application/json", shared.overviews.text(collect).await)
}

fn status(shared: &Shared, now: Instant) -> status::Status {
    let loaded = shared.reloads.loaded();
    status::status(&shared.control.borrow(), loaded, shared.address, now)
}

/// Applies an order; adds its details to `what`, which has the method and path.
async fn order(shared: &Shared, request: Request<Incoming>, what: &mut String) -> Reply {
    let control = &shared.control;
    let method = request.method().clone();
    let path_text = request.uri().path().to_owned();
    let parts: Vec<&str> = path_text.split('/').filter(|part| !part.is_empty()).collect();
    match (&method, parts.as_slice()) {
        (&Method::POST, ["drain"]) => {
            let mode = Query::of(&request).value(MODE).map(|mode| shown(&mode));
            what.extend(mode.iter().map(|mode| format!(" {mode}")));
            orders::drain(&mut control.borrow_mut(), mode.as_deref())
        }
        (&Method::POST, ["undrain"]) => orders::undrain(&mut control.borrow_mut()),
        (&Method::POST, ["reload"]) => reload(shared, None, what).await,
        (&Method::PUT, ["config"]) => match body_config(request, what).await {
            Ok(Some(given)) => reload(shared, Some(&given), what).await,
            Ok(None) => {
                let error = "the body is empty; POST /reload reads the file again";
                refusal(StatusCode::BAD_REQUEST, error)
            }
            Err(refused) => *refused,
        },
        (&Method::POST, ["plan"]) => match body_config(request, what).await {
            Ok(given) => orders::plan(&shared.reloads, given.as_ref()),
            Err(refused) => *refused,
        },
        (&Method::POST, ["pools", pool, "backends"]) => {
            match body_json(request, what, orders::NEW_BACKEND_EXAMPLE).await {
                Ok(new) => orders::add_backend(control, pool, new).await,
                Err(refused) => *refused,
            }
        }
        (&Method::PUT, ["pools", pool, "backends", backend]) => {
            let example = orders::BACKEND_ORDER_EXAMPLE;
            match (body_json(request, what, example).await, address(backend)) {
                (Ok(order), Ok(backend)) => {
                    orders::change_backend(control, pool, backend, order).await
                }
                (_, Err(refused)) | (Err(refused), _) => *refused,
            }
        }
        (&Method::POST, ["certificates", name, "renew"]) => {
            certificates::renew(&mut control.borrow_mut(), &decoded(name))
        }
        (&Method::DELETE, ["pools", pool, "backends", backend]) => match address(backend) {
            Ok(backend) => orders::remove_backend(control, pool, backend).await,
            Err(refused) => *refused,
        },
        _ => unknown(&request),
    }
}

async fn reload(shared: &Shared, given: Option<&Given>, what: &mut String) -> Reply {
    let (reply, changes) = orders::reload(&shared.control, &shared.reloads, given).await;
    if let Some(changes) = changes {
        what.push_str(&format!(", {changes} changes"));
    }
    reply
}

fn ready(answers: &ReadyAnswers, pool: &str) -> Reply {
    match answers.pool(pool) {
        Some(answer) => readiness::ready_reply(answer),
        None => {
            let known: Vec<String> = answers.pool_names().map(str::to_owned).collect();
            refusal(StatusCode::NOT_FOUND, no_pool(pool, &known))
        }
    }
}

/// The events from `since` on; waits for one if there is none yet and `wait_ms` allows it.
async fn events(fleet: &RefCell<Fleet>, asker: &Asker, query: &Query) -> Reply {
    let (since, wait_ms) = match (query.number("since"), query.number("wait_ms")) {
        (Ok(since), Ok(wait_ms)) => (since.unwrap_or(0), wait_ms.unwrap_or(0)),
        (Err(refused), _) | (_, Err(refused)) => return *refused,
    };
    let wait = Duration::from_millis(wait_ms).min(EVENTS_WAIT_MAX);
    if !wait.is_zero() && !asker.may_order {
        // A waiting request holds a place that a monitor may need.
        let error = "events are waited for on the Unix socket only: leave `wait_ms` out here";
        return refusal(StatusCode::FORBIDDEN, error);
    }
    let has_news = || fleet.borrow().events().next() > since;
    let news = async {
        let pushed = fleet.borrow().events().news();
        loop {
            let pushed = pushed.notified();
            if has_news() {
                return;
            }
            pushed.await;
        }
    };
    let _ = tokio::time::timeout(wait, news).await;
    let fleet = fleet.borrow();
    let events: Vec<_> = fleet.events().since(since).collect();
    let body = serde_json::json!({ "next": fleet.events().next(), "events": events });
    json_reply(StatusCode::OK, &body)
}

fn path(request: &Request<Incoming>) -> Vec<&str> {
    request.uri().path().split('/').filter(|part| !part.is_empty()).collect()
}

/// The methods that a path takes (RFC 9110, 10.2.1); none if there is no such path.
fn allowed(path: &[&str]) -> Option<&'static str> {
    Some(match path {
        ["live" | "ready" | "status" | "metrics" | "pools" | "events" | "explain" | "which"]
        | ["ready", _] => "GET, HEAD",
        ["config"] => "GET, HEAD, PUT",
        ["plan" | "reload" | "drain" | "undrain"]
        | ["pools", _, "backends"]
        | ["certificates", _, "renew"] => "POST",
        ["pools", _, "backends", _] => "PUT, DELETE",
        _ => return None,
    })
}

fn unknown(request: &Request<Incoming>) -> Reply {
    let (method, path_text) = (request.method(), request.uri().path());
    let Some(allowed) = allowed(&path(request)) else {
        let error = format!("there is no {method} {path_text}; there is {KNOWN}");
        return refusal(StatusCode::NOT_FOUND, error);
    };
    let error = format!("{path_text} does not take {method}; it takes {allowed}");
    let mut reply = refusal(StatusCode::METHOD_NOT_ALLOWED, error);
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

fn address(text: &str) -> Result<SocketAddr, Refused> {
    let parsed = parse_address(&decoded(text));
    parsed.map_err(|error| Box::new(refusal(StatusCode::BAD_REQUEST, error)))
}

async fn body_text(request: Request<Incoming>) -> Result<String, Refused> {
    body_within(request.into_body(), BODY_TIME_MAX).await
}

async fn body_within<B>(body: B, limit: Duration) -> Result<String, Refused>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let too_slow = |_| {
        let error = format!("the body did not come within {limit:?}");
        Box::new(refusal(StatusCode::REQUEST_TIMEOUT, error))
    };
    let too_long = |_| {
        let error = format!("the body cannot be read, or has more than {BODY_BYTES_MAX} bytes");
        Box::new(refusal(StatusCode::BAD_REQUEST, error))
    };
    let body = Limited::new(body, BODY_BYTES_MAX).collect();
    let collected = tokio::time::timeout(limit, body).await.map_err(too_slow)?;
    let bytes = collected.map_err(too_long)?.to_bytes();
    text_of(bytes.to_vec()).map_err(|why| {
        let error = format!("the body cannot be read: {why}");
        Box::new(refusal(StatusCode::BAD_REQUEST, error))
    })
}

/// The configuration in a body; none if it is empty, whatever its Content-Type.
async fn body_config(
    request: Request<Incoming>,
    what: &mut String,
) -> Result<Option<Given>, Refused> {
    let format = config_text::format_of(request.headers());
    let file = Query::of(&request).value(FILE).map(|file| shown(&file));
    if let Some(file) = &file {
        what.push_str(&format!(" of {file}"));
    }
    let text = body_text(request).await?;
    if unmarked(&text).trim().is_empty() {
        return Ok(None);
    }
    let name = file.unwrap_or_else(|| "configuration".to_owned());
    Ok(Some(Given { text, format: format?, name }))
}

async fn body_json<T: DeserializeOwned>(
    request: Request<Incoming>,
    what: &mut String,
    example: &str,
) -> Result<T, Refused> {
    let text = body_text(request).await?;
    what.push_str(&format!(" {}", shown(&text)));
    let text = unmarked(&text).trim();
    let refused = |why: String| {
        let error = format!("the body {why}; write it like {example}");
        Box::new(refusal(StatusCode::BAD_REQUEST, error))
    };
    if text.is_empty() {
        return Err(refused("is empty".to_owned()));
    }
    // serde would read a list as the values of an order in their sequence.
    if !text.starts_with('{') {
        return Err(refused("is not such an order: expected an object".to_owned()));
    }
    serde_json::from_str(text).map_err(|error| refused(format!("is not such an order: {error}")))
}

/// The part of a URL behind the question mark.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(request: &Request<Incoming>) -> Self {
        let pairs = request.uri().query().unwrap_or_default().split('&');
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Self(pairs.map(pair).collect())
    }

    fn value(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Refused> {
        let parsed = |text: String| {
            text.parse().map(Some).map_err(|_| {
                let error = format!("`{}` is no number for `{name}`", shown(&text));
                Box::new(refusal(StatusCode::BAD_REQUEST, error))
            })
        };
        self.value(name).map_or(Ok(None), parsed)
    }
}

/// A client's text, on one line of bounded length.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    shown.chars().map(plain).collect()
}

/// Decodes percent-encodings; an invalid one stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::body::Frame;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// A body that never comes.
    struct Silent;

    impl Body for Silent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let limit = Duration::from_millis(1);
        let reply = body_within(Silent, limit).await.expect_err("it never comes");
        assert_eq!(reply.status(), StatusCode::REQUEST_TIMEOUT);
        let whole = body_within(Full::new(Bytes::from_static(b"whole")), BODY_TIME_MAX).await;
        assert_eq!(whole.expect("it is there"), "whole");
    }

    #[test]
    fn escapes_are_resolved_and_what_is_none_stays() {
        for (text, expected) in [("a%3Ab", "a:b"), ("100%", "100%"), ("%zz%2", "%zz%2"), ("", "")] {
            assert_eq!(decoded(text), expected);
        }
    }
}
