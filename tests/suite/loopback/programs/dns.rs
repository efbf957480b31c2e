//! DNS: a real server behind a listener of UDP, and one of TCP.

use super::*;
use crate::drilling::{record, size};
use crate::loopback::load::Operated;
use std::fmt::Write as _;

/// Names of the zone that have an address.
const HOSTS: usize = 50;

fn zone() -> String {
    let mut text = String::from(
        "$ORIGIN example.test.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\n\
         ns A 192.0.2.53\n",
    );
    for host in 0..HOSTS {
        writeln!(text, "h{host} A 192.0.2.{host}").expect("a string");
    }
    // An answer of more than one packet of Ethernet, and one that UDP is too small for.
    for (name, records) in [("long", 12), ("tcp", 40)] {
        for record in 0..records {
            let content = format!("{record} ").repeat(60);
            writeln!(text, "{name} TXT \"{content}\"").expect("a string");
        }
    }
    text
}

fn server(knotd: &Path) -> Daemon {
    let (place, address) = (Place::new(), free_address());
    place.0.write("zone", &zone());
    let folder = place.0.0.display();
    let text = format!(
        "server:\n  listen: {}@{}\n  rundir: {folder}\n  udp-max-payload: 4096\n\
         database:\n  storage: {folder}/db\n\
         zone:\n  - domain: example.test\n    file: {folder}/zone\n    journal-content: none\n\
         \x20   zonefile-sync: -1\n",
        address.ip(),
        address.port()
    );
    let configuration = place.0.write("knot.conf", &text);
    let mut command = place.command(knotd);
    Daemon::start(place, address, command.arg("-c").arg(configuration))
}

struct Dig(PathBuf);

impl Dig {
    /// What is answered to a question, in short.
    fn ask(&self, address: SocketAddr, question: &[&str]) -> String {
        let (at, port) = (format!("@{}", address.ip()), address.port().to_string());
        let mut command = Command::new(&self.0);
        command.args([&at, "-p", &port, "+short", "+tries=1", "+time=60"]);
        output(command.args(question)).1
    }
}

#[test]
fn a_server_of_dns_is_asked_over_udp_and_over_tcp() {
    let Some([knotd, dig, dnsperf]) = programs(["knotd", "dig", "dnsperf"]) else { return };
    let dig = Dig(dig);
    let servers = [server(&knotd), server(&knotd)];
    for server in &servers {
        await_that("it has the zone", || {
            dig.ask(server.address, &["h7.example.test"]) == "192.0.2.7\n"
        });
    }
    let backends = servers.each_ref().map(|server| server.address);
    let operated = Operated::start(&forwarding("udp", &backends, "requests = 1\nresponses = 1"));
    let at = operated.ringway.address;
    for host in [1, 9, 49] {
        let asked = format!("h{host}.example.test");
        assert_eq!(dig.ask(at, &[&asked]), format!("192.0.2.{host}\n"));
    }
    let long = dig.ask(at, &["+bufsize=4096", "+notcp", "+ignore", "long.example.test", "TXT"]);
    assert_eq!(long.lines().count(), 12, "{long}");
    // The answer is truncated, and asked for again over TCP, at the same address.
    let both = forwarding("tcp", &backends, "").replace("LISTEN", &at.to_string());
    let _tcp = Ringway::with_config(&both);
    assert_eq!(dig.ask(at, &["tcp.example.test", "TXT"]).lines().count(), 40);

    let questions: String = (0..HOSTS).map(|host| format!("h{host}.example.test A\n")).collect();
    let file = servers[0].place.0.write("questions", &questions);
    let rounds = size("RINGWAY_QUESTIONS", 5_000, 200_000) / HOSTS;
    let (address, port, count) = (at.ip().to_string(), at.port().to_string(), rounds.to_string());
    let mut command = Command::new(dnsperf);
    command.args(["-s", &address, "-p", &port, "-n", &count, "-c", "20", "-q", "50", "-t", "60"]);
    let (_, text) = output(command.arg("-d").arg(file));
    let wanted = rounds * HOSTS;
    let completed = format!("Queries completed:    {wanted} (100.00%)");
    assert!(text.contains(&completed) && text.contains("NOERROR"), "{text}");
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Queries per second:"));
    record("dnsperf", "questions answered", wanted);
    record("dnsperf", "each second", rate.unwrap_or_default().trim());
}
