//! Backends over TLS that agree on HTTP/2, or do not: nghttpd, and OpenSSL, which speaks HTTP/1.

use super::*;
use crate::loopback::https::Authority;

/// A pool over TLS of one server.
fn pool(name: &str, http: &str, root: &Path, address: SocketAddr) -> String {
    format!(
        "[[route]]\nhost = \"{name}\"\npool = \"{name}\"\n[pool.{name}]\nhttp = \"{http}\"\n\
         health = {{ protocol = \"none\" }}\n[[pool.{name}.backend]]\naddress = \"{address}\"\n\
         [pool.{name}.tls]\nsni = \"one.example\"\nca = \"{}\"\n",
        root.display()
    )
}

/// The status and content of an answer to curl, with more arguments.
fn asked(curl: &Path, at: SocketAddr, host: &str, path: &str, more: &[&str]) -> (String, String) {
    let url = format!("http://{at}{path}");
    let host = format!("Host: {host}");
    let mut command = Command::new(curl);
    command.args(["-sS", "--max-time", "60", "-w", "\n%{response_code}", "-H", &host, &url]);
    let (_, text) = output(command.args(more));
    let (content, status) = text.rsplit_once('\n').expect("a status");
    (status.to_owned(), content.to_owned())
}

#[test]
fn a_backend_is_asked_over_the_version_that_it_agrees_on() {
    let Some([nghttpd, openssl, curl]) = programs(["nghttpd", "openssl", "curl"]) else { return };
    let issued = Authority::new();
    let one = issued.issue(&["one.example"]);
    let place = || {
        let place = Place::new();
        for (name, text) in [("root.pem", &issued.pem), ("chain.pem", &one.chain)] {
            place.0.write(name, text);
        }
        place.0.write("key.pem", &one.key);
        place.0.write("large.html", &"large ".repeat(500_000));
        place
    };
    let (new, address) = (place(), free_address());
    let mut command = new.command(&nghttpd);
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    command.args(["-a", &ip, "-d", ".", &port, "key.pem", "chain.pem"]);
    let new = Daemon::start(new, address, &mut command);
    let (old, address) = (place(), free_address());
    let mut command = old.command(&openssl);
    command.args(["s_server", "-WWW", "-cert", "chain.pem", "-key", "key.pem", "-accept"]);
    let old = Daemon::start(old, address, command.arg(address.to_string()));
    let root = new.place.file("root.pem");
    let text = [
        "[[listener]]\nname = \"a\"\naddress = \"LISTEN\"\n[runtime]\nshards = 1\n".to_owned(),
        pool("new-auto", "auto", &root, new.address),
        pool("new-two", "2", &root, new.address),
        pool("old-auto", "auto", &root, old.address),
        pool("old-two", "2", &root, old.address),
    ];
    let ringway = Ringway::with_config(&text.concat());
    for host in ["new-auto", "new-two", "old-auto"] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            for round in 0..3 {
                let (status, content) =
                    asked(&curl, ringway.address, host, "/large.html", &[version]);
                assert_eq!((status.as_str(), content.len()), ("200", 3_000_000), "{host} {round}");
            }
        }
    }
    let (status, content) = asked(&curl, ringway.address, "old-two", "/large.html", &[]);
    assert_eq!(status, "502", "it does not agree on HTTP/2: {content}");
}
