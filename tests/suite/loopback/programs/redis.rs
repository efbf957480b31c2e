//! Redis: many connections with one command in flight, and with many.

use super::*;
use crate::drilling::{record, size};
use crate::loopback::load::Operated;

#[test]
fn redis_takes_its_benchmark_and_loses_no_command() {
    let names = ["redis-server", "redis-benchmark", "redis-cli"];
    let Some([server, benchmark, cli]) = programs(names) else { return };
    let (place, address) = (Place::new(), free_address());
    let mut command = place.command(&server);
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    command.args(["--bind", &ip, "--port", &port, "--save", "", "--appendonly", "no"]);
    let redis = Daemon::start(place, address, &mut command);
    let operated = Operated::start(&forwarding("tcp", &[redis.address], ""));
    let port = operated.ringway.address.port().to_string();
    let ask = |arguments: &[&str]| {
        let (_, text) = output(Command::new(&cli).args(["-p", &port]).args(arguments));
        text
    };
    assert_eq!(ask(&["set", "key", "value"]), "OK\n");
    assert_eq!(ask(&["get", "key"]), "value\n");
    let commands = size("RINGWAY_COMMANDS", 10_000, 500_000);
    for pipeline in ["1", "16"] {
        let count = commands.to_string();
        let arguments = ["-p", &port, "-c", "200", "-P", pipeline, "-n", &count, "-t", "set,get"];
        let (has_succeeded, text) =
            output(Command::new(&benchmark).args(arguments).args(["-r", "1000", "--csv"]));
        assert!(has_succeeded && !text.contains("rror"), "-P {pipeline}: {text}");
        for test in ["SET", "GET"] {
            let line = text.lines().find(|line| line.starts_with(&format!("\"{test}\",")));
            let line = line.unwrap_or_else(|| panic!("-P {pipeline}: {text}"));
            let rate = line.split('"').nth(3).expect("a rate").to_owned();
            record(&format!("redis-benchmark -c 200 -P {pipeline} {test}"), "each second", rate);
        }
    }
    let statistics = ask(&["info", "stats"]);
    let line = statistics.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    let seen: usize = line.expect("it counts").trim().parse().expect("a number");
    assert!(seen >= 4 * commands, "{seen} of {} commands", 4 * commands);
    operated.await_nothing_left();
}
