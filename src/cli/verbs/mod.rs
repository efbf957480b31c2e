//! The commands that use the admin socket of a running process.
//!
//! Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 no process answers on the socket; 4
//! the order was taken, but not every shard has applied it in time.

mod backend;
mod client;
mod explain;
mod place;
mod show;
mod top;
mod which;

use super::Failed;
use backend::BackendVerb;
use clap::{Args, Subcommand};
use client::{Client, Reply};
use explain::Question;
use ringway::config::units::parse_duration;
use ringway::config::{ADMIN_SOCKET_DEFAULT, FILE_BYTES_MAX, text_of, unmarked};
use ringway::sys::file;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use which::Keyed;

/// Of verbs that are answered at once.
const STATUSES: &str =
    "Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 no process answers on the socket.";

/// Of orders that are answered when every shard has applied them.
const ORDER_STATUSES: &str = "\
Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 no process answers on the socket; 4
taken, but not applied by every shard in time.";

const DRAIN_STATUSES: &str = "\
Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 no process answers on the socket; 4
taken, but not applied by every shard in time, or something was still in flight after --wait.";

const BACKEND_EXAMPLES: &str = "\
Examples:
  ringway backend list app
  ringway backend drain app 10.0.0.11:8080 --wait 60s
  ringway backend drain --all 10.0.0.11 --wait    # each pool, each port
  ringway backend ready app 10.0.0.11:8080
  ringway backend weight app 10.0.0.11:8080 5
  ringway backend add app 10.0.0.13:8080 --weight 2";

const RELOAD_EXAMPLES: &str = "\
Examples:
  ringway check /etc/ringway/ringway.toml && ringway plan /etc/ringway/ringway.toml
  ringway reload
  ringway reload --file new.toml";

/// What stands below the help of a command.
fn below(examples: &str, statuses: &str) -> String {
    format!("{examples}\n\n{statuses}")
}

/// The admin socket, and the form of the answer.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Access {
    /// The admin socket of the process.
    #[arg(long, value_name = "SOCKET", env = "RINGWAY_ADMIN", default_value = ADMIN_SOCKET_DEFAULT)]
    admin: PathBuf,
    /// Print JSON, also for errors: {"error": "…"}.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Verb {
    /// Show listeners, pools, backends and the configuration in force.
    #[command(after_help = STATUSES)]
    Status {
        #[command(flatten)]
        access: Access,
    },
    /// Live view of listeners, shards, pools and backends.
    ///
    /// With --json: one JSON object a line at each refresh.
    #[command(after_help = STATUSES)]
    Top {
        #[command(flatten)]
        access: Access,
        /// Print once and end, for scripts.
        #[arg(long)]
        once: bool,
        /// Between two refreshes.
        #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1s")]
        interval: Duration,
    },
    /// List, drain, weigh, add and remove backends.
    ///
    /// A change is answered when every shard has applied it.
    #[command(after_help = BACKEND_EXAMPLES)]
    Backend {
        #[command(subcommand)]
        command: BackendVerb,
    },
    /// Fetch a certificate by ACME now, whenever it is due.
    ///
    /// Events tell what becomes of it. Mind the limits of authorities.
    #[command(after_help = STATUSES)]
    Renew {
        #[command(flatten)]
        access: Access,
        /// One of its names.
        name: String,
    },
    /// Read the configuration again; an invalid one changes nothing.
    #[command(after_help = below(RELOAD_EXAMPLES, ORDER_STATUSES))]
    Reload {
        #[command(flatten)]
        access: Access,
        /// This file in place of the one that the process was started with. Relative paths in it
        /// count from the folder of that one, while for `ringway check` they do from its own.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show what a reload of a file would change; changes nothing.
    #[command(after_help = STATUSES)]
    Plan {
        #[command(flatten)]
        access: Access,
        /// The file. Relative paths in it count from the folder of the file that the process was
        /// started with, while for `ringway check` they do from its own.
        file: PathBuf,
    },
    /// Show recent events: health, ejections, orders, reloads.
    #[command(after_help = STATUSES)]
    Events {
        #[command(flatten)]
        access: Access,
        /// Keep printing new events until Ctrl-C.
        #[arg(long, short)]
        follow: bool,
        /// Only events from this number on.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        since: u64,
    },
    /// Show where a request, a connection or a flow would go, and why.
    ///
    /// Listener, route, pool and backends, without sending it. Status 1 if no listener would pass
    /// it to a pool.
    #[command(after_help = below(explain::EXAMPLES, STATUSES))]
    Explain {
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        question: Question,
    },
    /// Show which backend a key goes to (`algorithm = "hash"`).
    ///
    /// In the running process, with the health of backends as it is now; or by a file, with all
    /// of them healthy. Exchanges beyond `hash_balance` go elsewhere.
    #[command(after_help = below(which::EXAMPLES, STATUSES))]
    Which {
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        keyed: Keyed,
    },
    /// Shut down gracefully, as SIGTERM does.
    ///
    /// Clients get time to leave, then listeners close, and requests in flight finish. Given again,
    /// it changes nothing.
    #[command(after_help = STATUSES)]
    Drain {
        #[command(flatten)]
        access: Access,
        /// Close the listeners at once; requests in flight may finish.
        #[arg(long)]
        now: bool,
        /// Also cut what is in flight.
        #[arg(long, conflicts_with = "now")]
        cut: bool,
    },
    /// Cancel a drain, while listeners are still open.
    #[command(after_help = STATUSES)]
    Undrain {
        #[command(flatten)]
        access: Access,
    },
}

/// Runs a command.
pub(in crate::cli) fn execute(verb: Verb, out: &mut dyn Write) -> Result<(), Failed> {
    match verb {
        Verb::Status { access } => {
            let reply = Client::new(&access.admin)?.get("/status")?;
            answer(&access, reply, out, show::status)
        }
        Verb::Top { access, once, interval } => {
            top::top(&access.admin, once, access.json, interval, out)
        }
        Verb::Backend { command } => backend::execute(command, out),
        Verb::Renew { access, name } => {
            let path = format!("/certificates/{}/renew", escaped(&name));
            let reply = Client::new(&access.admin)?.send("POST", &path, String::new())?;
            answer(&access, reply, out, show::renewal)
        }
        Verb::Reload { access, file } => {
            let client = Client::new(&access.admin)?;
            let reply = match file {
                Some(file) => client.order("PUT", &of("/config", &file), read(&file)?)?,
                None => client.order("POST", "/reload", String::new())?,
            };
            answer(&access, reply, out, show::reload)
        }
        Verb::Plan { access, file } => {
            let path = of("/plan", &file);
            let reply = Client::new(&access.admin)?.send("POST", &path, read(&file)?)?;
            answer(&access, reply, out, show::plan)
        }
        Verb::Events { access, follow, since } => events(&access, follow, since, out),
        Verb::Explain { access, question } => explain::execute(&access, &question, out),
        Verb::Which { access, keyed } => which::execute(&access, &keyed, out),
        Verb::Drain { access, now, cut } => {
            let path = match (now, cut) {
                (_, true) => "/drain?mode=cut",
                (true, _) => "/drain?mode=now",
                _ => "/drain",
            };
            order_phase(&access, path, out)
        }
        Verb::Undrain { access } => order_phase(&access, "/undrain", out),
    }
}

fn order_phase(access: &Access, path: &str, out: &mut dyn Write) -> Result<(), Failed> {
    let reply = Client::new(&access.admin)?.send("POST", path, String::new())?;
    answer(access, reply, out, show::phase)
}

fn events(access: &Access, follow: bool, since: u64, out: &mut dyn Write) -> Result<(), Failed> {
    let client = Client::new(&access.admin)?;
    let mut since = since;
    let mut wait_ms = 0;
    loop {
        let path = format!("/events?since={since}&wait_ms={wait_ms}");
        let reply = if follow { client.follow(&path)? } else { client.get(&path)? }.checked()?;
        for event in reply.value["events"].as_array().into_iter().flatten() {
            match access.json {
                true => writeln!(out, "{event}")?,
                false => show::event(event, out)?,
            }
        }
        out.flush()?;
        since = reply.value["next"].as_u64().unwrap_or(since);
        if !follow {
            return Ok(());
        }
        wait_ms = 30_000;
    }
}

/// Prints an answer, as JSON or as text, and turns a refusal into a failure.
fn answer(
    access: &Access,
    reply: Reply,
    out: &mut dyn Write,
    show: fn(&Value, &mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Failed> {
    if access.json {
        writeln!(out, "{:#}", reply.value)?;
        return match reply.status {
            200 => Ok(()),
            202 => Err(Failed::NotApplied),
            _ => Err(Failed::Shown),
        };
    }
    let reply = reply.checked()?;
    show(&reply.value, out)?;
    if reply.status == 202 { Err(Failed::NotApplied) } else { Ok(()) }
}

/// Reads a configuration to be sent, of the length that the process accepts at most.
fn read(file: &std::path::Path) -> Result<String, Failed> {
    let bytes = file::read(file, FILE_BYTES_MAX);
    let text = bytes.and_then(|bytes| text_of(bytes).map_err(std::io::Error::other));
    let shown = file.display();
    let refused = |why: String| Failed::Error(why.into());
    let text = text.map_err(|error| refused(format!("cannot read `{shown}`: {error}")))?;
    // Without a body the process would take the file that it was started with.
    if unmarked(&text).trim().is_empty() {
        return Err(refused(format!("`{shown}` is empty: give a whole configuration")));
    }
    Ok(text)
}

/// The path of an order with the name of the file that goes with it.
fn of(path: &str, file: &std::path::Path) -> String {
    format!("{path}?file={}", escaped(&file.display().to_string()))
}

/// Text as a part of a URL.
fn escaped(text: &str) -> String {
    let mut url = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => url.push(byte.into()),
            _ => url += &format!("%{byte:02X}"),
        }
    }
    url
}
