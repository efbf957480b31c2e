//! `ringway explain`: where a request, a connection or a flow would go.

use super::client::Client;
use super::{Access, answer, escaped, show};
use crate::cli::Failed;
use clap::Args;
use serde_json::Value;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

pub(super) const EXAMPLES: &str = "\
Examples:
  ringway explain GET http://shop.example.com/checkout
  ringway explain POST http://10.0.0.1:8080/ --listener web --expect-pool app
  ringway explain GET https://shop.example.com/ --sni www.example.com
  ringway explain tcp://10.0.0.1:443 --sni shop.example.com --client 192.0.2.7
  ringway explain udp://10.0.0.1:53 --client 192.0.2.7:40000";

/// The beginning of what stands for a connection.
const TCP: &str = "tcp://";
/// The beginning of what stands for a flow.
const UDP: &str = "udp://";

/// The request, connection or flow that is asked about.
#[derive(Debug, Args)]
pub(in crate::cli) struct Question {
    /// GET, POST and so on; or tcp://HOST:PORT: a connection to a listener of tcp or
    /// tls-passthrough; or udp://HOST:PORT: a new flow to one of udp.
    #[arg(value_name = "METHOD|tcp://HOST:PORT|udp://HOST:PORT")]
    method: String,
    /// The URL of a request, with host and path.
    url: Option<String>,
    /// The server name that a client of TLS asks for; with tcp://, or for a request to https://,
    /// that comes on a connection for another name.
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// The protocols that a client of TLS offers, as h2,http/1.1; only with tcp://.
    #[arg(long, value_name = "NAMES")]
    alpn: Option<String>,
    /// The address that the connection or flow comes from; only with tcp:// and udp://.
    #[arg(long, value_name = "IP[:PORT]", value_parser = client)]
    client: Option<String>,
    /// Only on this listener.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// Status 1 also if a listener would not pass it to this pool: for tests of routes.
    #[arg(long, value_name = "POOL")]
    expect_pool: Option<String>,
}

/// Asks, and prints the answer.
pub(super) fn execute(
    access: &Access,
    question: &Question,
    out: &mut dyn Write,
) -> Result<(), Failed> {
    let query = query(question).map_err(Failed::Usage)?;
    let reply = Client::new(&access.admin)?.get(&query)?;
    let is_expected = leads(&reply.value, question.expect_pool.as_deref());
    answer(access, reply, out, show::explain)?;
    if is_expected { Ok(()) } else { Err(Failed::Shown) }
}

/// The question as of the admin interface; the error is a sentence for the user.
fn query(question: &Question) -> Result<String, String> {
    let Question { method, url, sni, alpn, client, .. } = question;
    let of_connection = [("sni", sni), ("alpn", alpn), ("client", client)];
    let mut keys: Vec<(&str, &str)> = Vec::new();
    let is_given = |key: &&(&str, &Option<String>)| key.1.is_some();
    if method.starts_with(UDP)
        && let Some((key, _)) = of_connection[..2].iter().find(is_given)
    {
        return Err(format!("--{key} is for connections: `explain {TCP}HOST:PORT`"));
    }
    let place = method.strip_prefix(TCP).or_else(|| method.strip_prefix(UDP));
    match (place.is_some(), url) {
        (true, None) if !place.is_some_and(has_port) => {
            return Err(format!("`{method}` has no port: write {method}:PORT"));
        }
        (true, None) => {
            keys.push(("url", method));
            let given = of_connection.into_iter();
            keys.extend(given.filter_map(|(key, value)| Some((key, value.as_deref()?))));
        }
        (true, Some(_)) => {
            return Err(format!("give either METHOD and URL or {method}, not both"));
        }
        (false, None) => {
            return Err(format!(
                "the URL is missing: write `explain {method} http://HOST/PATH`, for a \
                 connection `explain {TCP}HOST:PORT`, or for a flow `explain {UDP}HOST:PORT`"
            ));
        }
        (false, Some(url)) => {
            let is_secure = url.get(..8).is_some_and(|it| it.eq_ignore_ascii_case("https://"));
            let of_request = usize::from(is_secure);
            if let Some((key, _)) = of_connection[of_request..].iter().find(is_given) {
                return Err(format!("--{key} is for connections: `explain {TCP}HOST:PORT`"));
            }
            keys.extend([("method", &**method), ("url", url)]);
            keys.extend(sni.as_deref().map(|name| ("sni", name)));
        }
    }
    keys.extend(question.listener.as_deref().map(|name| ("listener", name)));
    let keys: Vec<String> =
        keys.into_iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
    Ok(format!("/explain?{}", keys.join("&")))
}

/// True if a host is followed by a port. An IPv6 address has brackets then.
fn has_port(place: &str) -> bool {
    place.rsplit_once(':').is_some_and(|(host, port)| {
        let is_address = host.contains(':') && !host.ends_with(']');
        !host.is_empty() && !is_address && port.parse::<u16>().is_ok()
    })
}

/// The address of a client, with or without a port, as it was written.
fn client(text: &str) -> Result<String, String> {
    let is_one = text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok();
    let wrong = || "write an IP address, as 192.0.2.7, or with a port, as 192.0.2.7:40000";
    if is_one { Ok(text.to_owned()) } else { Err(wrong().to_owned()) }
}

/// Whether what was explained reaches a pool on a listener, or the expected one on all.
fn leads(explained: &Value, expected: Option<&str>) -> bool {
    let listeners = explained["listeners"].as_array().into_iter().flatten();
    let mut pools = listeners.map(|listener| listener["outcome"]["pool"].as_str());
    match expected {
        Some(expected) => pools.all(|pool| pool == Some(expected)),
        None => pools.any(|pool| pool.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        question: Question,
    }

    fn asked(line: &str) -> Result<String, String> {
        let words = std::iter::once("explain").chain(line.split(' '));
        query(&Line::try_parse_from(words).map_err(|error| error.to_string())?.question)
    }

    #[test]
    fn a_question_is_about_a_request_or_a_connection() {
        for (line, expected) in [
            ("GET http://a/b", "/explain?method=GET&url=http%3A%2F%2Fa%2Fb"),
            ("GET http://a --listener web", "/explain?method=GET&url=http%3A%2F%2Fa&listener=web"),
            ("GET https://a --sni b", "/explain?method=GET&url=https%3A%2F%2Fa&sni=b"),
            ("tcp://a:1", "/explain?url=tcp%3A%2F%2Fa%3A1"),
            (
                "tcp://a:1 --sni b.test --alpn h2,x --client 192.0.2.7",
                "/explain?url=tcp%3A%2F%2Fa%3A1&sni=b.test&alpn=h2%2Cx&client=192.0.2.7",
            ),
            (
                "udp://a:1 --client [2001:db8::1]:5",
                "/explain?url=udp%3A%2F%2Fa%3A1&client=%5B2001%3Adb8%3A%3A1%5D%3A5",
            ),
        ] {
            assert_eq!(asked(line), Ok(expected.to_owned()), "{line}");
        }
        for (line, part) in [
            ("udp://a:1 --sni b.test", "--sni is for connections"),
            ("udp://a:1 http://a", "not both"),
            ("udp://a", "`udp://a` has no port: write udp://a:PORT"),
            ("tcp://[::1]", "`tcp://[::1]` has no port"),
            ("udp://::1", "no port"),
            ("udp://:53", "no port"),
            ("GET", "the URL is missing"),
            ("tcp://a:1 http://a", "not both"),
            ("GET http://a --sni b.test", "--sni is for connections"),
            ("tcp://a:1 --client here", "write an IP address"),
        ] {
            let error = asked(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
