//! `ringway backend`: orders for backends, one after the other where several are meant.

use super::client::{Client, Reply};
use super::place::{Found, Place, Places, Target};
use super::{Access, DRAIN_STATUSES, ORDER_STATUSES, STATUSES, answer, escaped, show};
use crate::cli::Failed;
use clap::Subcommand;
use ringway::config::units::parse_duration;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two looks at what is in flight.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between two lines of progress.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BackendVerb {
    /// List all backends, or those of one pool.
    #[command(after_help = STATUSES)]
    List {
        #[command(flatten)]
        access: Access,
        /// Only of this pool.
        pool: Option<String>,
    },
    /// Add a backend, or put one back that was removed.
    ///
    /// It gets traffic after its first passed health check.
    #[command(after_help = ORDER_STATUSES)]
    Add {
        #[command(flatten)]
        place: Place,
        /// Its share relative to the others, 0 to 1000.
        #[arg(long, default_value_t = 1)]
        weight: u32,
        #[command(flatten)]
        access: Access,
    },
    /// Remove a backend; requests in flight may finish.
    ///
    /// They have the `drain_timeout` of the pool.
    #[command(after_help = ORDER_STATUSES)]
    Remove {
        #[command(flatten)]
        places: Places,
        #[command(flatten)]
        access: Access,
    },
    /// Send it no new requests; those in flight may finish.
    ///
    /// They have the `drain_timeout` of the pool.
    #[command(after_help = DRAIN_STATUSES)]
    Drain {
        #[command(flatten)]
        places: Places,
        /// Wait until nothing is in flight on it, at most this long; says how much is left.
        #[arg(long, value_name = "DURATION", value_parser = parse_duration, num_args = 0..=1,
              default_missing_value = "60s")]
        wait: Option<Duration>,
        #[command(flatten)]
        access: Access,
    },
    /// Send it traffic again, if it is healthy.
    #[command(after_help = ORDER_STATUSES)]
    Ready {
        #[command(flatten)]
        places: Places,
        #[command(flatten)]
        access: Access,
    },
    /// Like drain, and stop its health checks.
    #[command(after_help = ORDER_STATUSES)]
    Maint {
        #[command(flatten)]
        places: Places,
        #[command(flatten)]
        access: Access,
    },
    /// Set its weight: its share relative to the others.
    #[command(after_help = ORDER_STATUSES)]
    Weight {
        #[command(flatten)]
        place: Place,
        /// 0 to 1000, or "default" for the configured one.
        weight: String,
        #[command(flatten)]
        access: Access,
    },
}

/// An order.
enum Order {
    Change(Value),
    Remove,
}

pub(super) fn execute(command: BackendVerb, out: &mut dyn Write) -> Result<(), Failed> {
    let state = |state: &str| Order::Change(json!({ "state": state }));
    match command {
        BackendVerb::List { access, pool } => {
            let reply = Client::new(&access.admin)?.get("/pools")?;
            let reply = reply.filtered(pool.as_deref())?;
            answer(&access, reply, out, show::backends)
        }
        BackendVerb::Add { place, weight, access } => add(&access, &place, weight, out),
        BackendVerb::Remove { places, access } => {
            order(&access, &places, &Order::Remove, None, out)
        }
        BackendVerb::Drain { places, wait, access } => {
            order(&access, &places, &state("drain"), wait, out)
        }
        BackendVerb::Ready { places, access } => {
            order(&access, &places, &state("ready"), None, out)
        }
        BackendVerb::Maint { places, access } => {
            order(&access, &places, &state("maint"), None, out)
        }
        BackendVerb::Weight { place, weight, access } => {
            let weight: Option<u32> = match weight.as_str() {
                "default" => None,
                number => Some(number.parse().map_err(|_| {
                    Failed::Usage(format!("`{number}` is no weight: 0 to 1000, or default"))
                })?),
            };
            let change = Order::Change(json!({ "weight": weight }));
            order(&access, &place.into(), &change, None, out)
        }
    }
}

fn add(access: &Access, place: &Place, weight: u32, out: &mut dyn Write) -> Result<(), Failed> {
    let Target::Address(address) = &place.address else {
        let error = "only an IP:PORT can be added: a name belongs into the configuration, as \
                     address = \"NAME:PORT\"";
        return Err(Failed::Usage(error.to_owned()));
    };
    let body = json!({ "address": address, "weight": weight }).to_string();
    let path = format!("/pools/{}/backends", escaped(&place.pool));
    let reply = Client::new(&access.admin)?.order("POST", &path, body)?;
    answer(access, reply, out, show::order)
}

/// Gives an order for each backend in the arguments, also if one is refused, and waits until
/// nothing is in flight on them, with `--wait` and if all were accepted. In JSON there is one
/// answer, to the orders, with the exchanges in flight at the end: a list if there may be several
/// backends.
fn order(
    access: &Access,
    places: &Places,
    order: &Order,
    wait: Option<Duration>,
    out: &mut dyn Write,
) -> Result<(), Failed> {
    let client = Client::new(&access.admin)?;
    let found = places.find(&client)?;
    let mut replies = Vec::new();
    for one in &found {
        let path = format!("/pools/{}/backends/{}", escaped(&one.pool), escaped(&one.address));
        let reply = match order {
            Order::Change(change) => client.order("PUT", &path, change.to_string())?,
            Order::Remove => client.order("DELETE", &path, String::new())?,
        };
        if !access.json && reply.status < 400 {
            show::order(&reply.value, out)?;
        }
        replies.push(reply);
    }
    let mut left = 0;
    if let Some(wait) = wait.filter(|_| replies.iter().all(|reply| reply.status == 200)) {
        let counts = await_idle(&client, &found, wait, !access.json)?;
        for (reply, count) in replies.iter_mut().zip(&counts) {
            reply.value["in_flight"] = (*count).into();
        }
        left = counts.iter().sum();
        if left > 0 && !access.json {
            let are = if left == 1 { "exchange is" } else { "exchanges are" };
            writeln!(out, "{left} {are} still in flight after {wait:?}")?;
        }
    }
    match outcome(access, replies, places.may_be_many(), out)? {
        () if left > 0 => Err(Failed::NotApplied),
        () => Ok(()),
    }
}

/// Prints the answers in JSON, with `--json`, and turns refusals into one failure.
fn outcome(
    access: &Access,
    mut replies: Vec<Reply>,
    is_list: bool,
    out: &mut dyn Write,
) -> Result<(), Failed> {
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    let (is_refused, is_late) =
        (statuses.iter().any(|status| *status >= 400), statuses.contains(&202));
    if access.json {
        let values = replies.iter_mut().map(|reply| reply.value.take());
        let value = match is_list {
            true => Value::Array(values.collect()),
            false => values.last().unwrap_or_default(),
        };
        writeln!(out, "{value:#}")?;
    }
    match (is_refused, is_late) {
        (true, _) if access.json => Err(Failed::Shown),
        (true, _) => {
            let refused = replies.into_iter().filter_map(|reply| reply.checked().err());
            let errors = refused.filter_map(|failed| match failed {
                Failed::Error(error) => Some(error.to_string()),
                _ => None,
            });
            Err(Failed::Error(errors.collect::<Vec<_>>().join("\n").into()))
        }
        (false, true) => Err(Failed::NotApplied),
        (false, false) => Ok(()),
    }
}

/// Waits until nothing is in flight on some backends, for at most this time; returns the number on
/// each. Prints the number left meanwhile, on standard error.
fn await_idle(
    client: &Client,
    found: &[Found],
    wait: Duration,
    shows_progress: bool,
) -> Result<Vec<u64>, Failed> {
    let begun = Instant::now();
    let mut shown: Option<Instant> = None;
    loop {
        let pools = client.get("/pools")?.checked()?.value;
        let counts: Vec<u64> = found.iter().map(|one| in_flight(&pools, one)).collect();
        let left: u64 = counts.iter().sum();
        let waited = begun.elapsed();
        if left == 0 || waited >= wait {
            if shown.is_some() {
                forget();
            }
            return Ok(counts);
        }
        if shows_progress && shown.is_none_or(|shown| shown.elapsed() >= SHOWN_EVERY) {
            show_progress(left, wait - waited);
            shown = Some(Instant::now());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn in_flight(pools: &Value, one: &Found) -> u64 {
    let pools = pools.as_array().into_iter().flatten().filter(|pool| pool["name"] == *one.pool);
    let mut backends = pools.flat_map(|pool| pool["backends"].as_array().into_iter().flatten());
    let it = backends.find(|backend| backend["address"] == *one.address);
    it.and_then(|backend| backend["in_flight"].as_u64()).unwrap_or(0)
}

/// On a terminal in place of the line before.
fn show_progress(left: u64, time: Duration) {
    let mut err = std::io::stderr();
    let (begin, end) = if err.is_terminal() { ("\r\x1b[K", "") } else { ("", "\n") };
    let noun = if left == 1 { "exchange" } else { "exchanges" };
    let seconds = time.as_secs().max(1);
    // A failure is ignored: it only means that standard error is closed.
    let _ = write!(err, "{begin}waiting: {left} {noun} in flight, for {seconds} s at most{end}");
    let _ = err.flush();
}

/// Erases the progress from a terminal before the answer.
fn forget() {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[K");
        let _ = err.flush();
    }
}
