//! PostgreSQL: one of two servers is killed under load.

use super::*;
use crate::drilling::{record, size};
use crate::loopback::load::Operated;

const CLIENTS: usize = 8;

fn server(postgres: &Path, place: Place, data: &str) -> Daemon {
    let address = free_address();
    let mut command = place.command(postgres);
    command.args(["-D", data, "-F", "-c", "unix_socket_directories="]);
    command.args(["-c", &format!("listen_addresses={}", address.ip())]);
    command.args(["-c", &format!("port={}", address.port())]);
    Daemon::start(place, address, &mut command)
}

/// `pgbench` as it is run against an address.
fn pgbench(program: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(program);
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    command.args(["-h", &host, "-p", &port, "-U", "postgres"]).stdin(Stdio::null());
    command
}

/// Reading transactions of `CLIENTS` clients, so many of each.
fn reading(program: &Path, address: SocketAddr, transactions: usize) -> Command {
    let mut command = pgbench(program, address);
    let (clients, transactions) = (CLIENTS.to_string(), transactions.to_string());
    command.args(["-n", "-S", "-c", &clients, "-j", "2", "-t", &transactions, "postgres"]);
    command
}

/// The transactions that `pgbench` counts.
fn processed(text: &str) -> usize {
    let word = "number of transactions actually processed: ";
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    let count = line.and_then(|line| line.split('/').next()?.parse().ok());
    count.unwrap_or_else(|| panic!("no count in {text}"))
}

#[test]
fn half_of_the_clients_go_on_when_one_of_two_servers_is_killed_and_new_ones_are_served() {
    let Some([initdb, postgres, bench]) = programs(["initdb", "postgres", "pgbench"]) else {
        return;
    };
    let servers = ["one", "two"].map(|data| {
        let place = Place::new();
        let options = ["-U", "postgres", "-A", "trust", "--no-sync", "--locale=C"];
        place.run(&initdb, &[&["-D", data][..], &options].concat());
        let server = server(&postgres, place, data);
        await_that("it takes a table", || {
            let (is_made, _) =
                output(pgbench(&bench, server.address).args(["-i", "-q", "postgres"]));
            is_made
        });
        server
    });
    let [one, two] = servers;
    let operated = Operated::start(&forwarding("tcp", &[one.address, two.address], ""));
    let address = operated.ringway.address;
    let transactions = size("RINGWAY_TRANSACTIONS", 2_000, 40_000);
    let mut command = reading(&bench, address, transactions);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let on = |server: &Daemon| operated.backend(server.address)["in_flight"].as_u64();
    let half = Some(CLIENTS as u64 / 2);
    await_that("all are connected", || on(&one) == half && on(&two) == half);
    let received = || operated.metric("ringway_backend_received_bytes_total");
    let before = received();
    await_that("both answer", || received() > before + 100_000);
    // An immediate end: its children are killed too.
    two.signal("-QUIT");
    let ended = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    let aborted = text.matches(" aborted ").count();
    assert_eq!(aborted, CLIENTS / 2, "{text}");
    let count = processed(&text);
    assert!(count >= CLIENTS / 2 * transactions, "the others have lost some: {text}");
    record("pgbench, one of two servers killed", "transactions", count);
    // New clients are all served, by the one that is left.
    let (has_succeeded, text) = output(&mut reading(&bench, address, 100));
    assert!(has_succeeded, "{text}");
    assert_eq!(processed(&text), CLIENTS * 100);
    operated.await_nothing_left();
}
