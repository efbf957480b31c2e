//! Answers of the process as text.

use ringway::base::calendar::rfc3339;
use serde_json::Value;
use std::io::{self, Write};

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn millis(value: &Value) -> String {
    let ms = value.as_u64().unwrap_or(0);
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}

/// Rows of the same length, the first of them the heading.
pub(super) fn table(rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A number; `-` where there is none.
pub(super) fn count(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |count| count.to_string())
}

/// The connections of a listener, with their limit.
pub(super) fn connections(listener: &Value) -> String {
    let limit = listener["max_connections"].as_u64();
    let limit = limit.map(|limit| format!("/{limit}")).unwrap_or_default();
    format!("{}{limit}", listener["connections"])
}

fn heading(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(super) fn status(status: &Value, out: &mut dyn Write) -> io::Result<()> {
    let ready = if status["ready"] == true { "ready" } else { "NOT READY" };
    writeln!(
        out,
        "ringway {}, pid {}, up {}: {}, {ready}, generation {}, {}{}",
        text(&status["version"]),
        status["pid"],
        millis(&status["uptime_ms"]),
        text(&status["phase"]),
        status["generation"],
        counted(status["connections"].as_u64().unwrap_or(0), "connection"),
        flows(&status["listeners"])
    )?;
    let configuration = &status["configuration"];
    let refused = match configuration["last_refused"] == true {
        true => "; a newer one was REFUSED",
        false => "",
    };
    let since = rfc3339(configuration["loaded_ms"].as_u64().unwrap_or(0));
    writeln!(out, "{}, loaded {since}{refused}", named(configuration))?;
    for reason in list(&status["not_ready_because"]) {
        writeln!(out, "  {}", text(reason))?;
    }
    writeln!(out)?;
    let mut rows = vec![heading(&["SHARD", "STATE", "CONNECTIONS", "REQUESTS", "GENERATION"])];
    rows.extend(list(&status["shards"]).map(|shard| {
        let state = if shard["running"] == true { "running" } else { "stopped" };
        let numbers = ["connections", "requests", "generation"].map(|key| shard[key].to_string());
        let [connections, requests, generation] = numbers;
        vec![shard["shard"].to_string(), state.into(), connections, requests, generation]
    }));
    table(&rows, out)?;
    writeln!(out)?;
    let names =
        ["LISTENER", "PROTOCOL", "ADDRESS", "CONNECTIONS", "ACCEPTED", "REFUSED", "REQUESTS"];
    let mut rows = vec![heading(&names)];
    rows.extend(list(&status["listeners"]).map(|listener| {
        let keys = ["name", "protocol", "address"];
        let numbers = [connections(listener)].into_iter();
        let numbers =
            numbers.chain(["accepted", "refused", "requests"].map(|key| count(&listener[key])));
        keys.map(|key| text(&listener[key])).into_iter().chain(numbers).collect()
    }));
    table(&rows, out)?;
    datagrams(&status["listeners"], out)?;
    certificates(status, out)?;
    writeln!(out)?;
    backends(&status["pools"], out)
}

/// Names of a certificate that are shown.
const NAMES_MAX: usize = 3;

/// The certificates of listeners of HTTPS, and files of TLS that cannot be used, if there are any.
fn certificates(status: &Value, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = vec![heading(&["CERTIFICATE", "NAMES", "KEY", "EXPIRES", "DAYS LEFT"])];
    for one in list(&status["certificates"]) {
        let names: Vec<String> = list(&one["names"]).take(NAMES_MAX).map(text).collect();
        let more = list(&one["names"]).count().saturating_sub(NAMES_MAX);
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        let ends = one["ends_ms"].as_u64();
        let day = ends.map_or_else(|| "-".to_owned(), rfc3339);
        let day = day.split('T').next().unwrap_or_default().to_owned();
        let left = match (ends, one["days_left"].as_u64()) {
            (None, _) => "AWAITED".to_owned(),
            (_, None) => "EXPIRED".to_owned(),
            (_, Some(days)) => days.to_string(),
        };
        let key = one["key"].as_str().unwrap_or("-").to_owned();
        let names = names.join(",") + &more;
        rows.push(vec![text(&one["chain"]), names, key, day, left]);
    }
    if rows.len() > 1 {
        writeln!(out)?;
        table(&rows, out)?;
    }
    for one in list(&status["certificates"]) {
        let acme = &one["acme"];
        if let (Some(error), Some(next)) =
            (acme["last_error"].as_str(), acme["next_attempt_ms"].as_u64())
        {
            let (chain, failures) = (text(&one["chain"]), count(&acme["failures"]));
            let next = rfc3339(next);
            writeln!(
                out,
                "certificate {chain} CANNOT BE FETCHED (failures: {failures}): {error}; the next \
                 attempt is on {next}"
            )?;
        }
    }
    for one in list(&status["failing_tls_files"]) {
        let (files, reason) = (text(&one["files"]), text(&one["reason"]));
        writeln!(out, "{files} CANNOT BE USED: {reason}; what it had still holds")?;
    }
    Ok(())
}

/// The flows of all listeners of UDP, if there are any.
fn flows(listeners: &Value) -> String {
    let of_flows = list(listeners).filter(|listener| listener["datagrams"].is_object());
    let counts: Vec<u64> = of_flows.filter_map(|one| one["connections"].as_u64()).collect();
    if counts.is_empty() {
        String::new()
    } else {
        format!(", {}", counted(counts.iter().sum(), "flow"))
    }
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The datagrams of listeners of UDP, if there are any.
fn datagrams(listeners: &Value, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = vec![heading(&["UDP LISTENER", "FLOWS", "RECEIVED", "SENT", "DROPPED"])];
    for listener in list(listeners).filter(|listener| listener["datagrams"].is_object()) {
        let counts =
            ["received", "sent", "dropped"].map(|key| listener["datagrams"][key].to_string());
        let [received, sent, dropped] = counts;
        let flows = listener["connections"].to_string();
        rows.push(vec![text(&listener["name"]), flows, received, sent, dropped]);
    }
    if rows.len() > 1 {
        writeln!(out)?;
        table(&rows, out)?;
    }
    Ok(())
}

pub(super) fn backends(pools: &Value, out: &mut dyn Write) -> io::Result<()> {
    let names = [
        "POOL",
        "BACKEND",
        "STANDING",
        "WEIGHT",
        "IN FLIGHT",
        "CONNECTIONS",
        "CONNECTS",
        "ANSWERS",
        "5XX",
        "FAILURES",
        "WHY",
    ];
    let mut rows = vec![heading(&names)];
    for pool in list(pools) {
        for backend in list(&pool["backends"]) {
            rows.push(backend_row(&pool["name"], backend));
        }
    }
    table(&rows, out)?;
    for pool in list(pools).filter(|pool| pool["no_healthy"].is_string()) {
        let policy = text(&pool["no_healthy"]);
        writeln!(out, "pool {} has NO HEALTHY BACKEND: {policy}", text(&pool["name"]))?;
    }
    for pool in list(pools).filter(|pool| pool["hash_table"].is_string()) {
        writeln!(out, "pool {}: hash table {}", text(&pool["name"]), text(&pool["hash_table"]))?;
    }
    for pool in list(pools) {
        for source in list(&pool["sources"]).filter(|source| source["last_error"].is_string()) {
            let (pool, name) = (text(&pool["name"]), text(&source["source"]));
            let (since, why) = (millis(&source["failing_for_ms"]), text(&source["last_error"]));
            let age = match source["reported_ms_ago"].is_u64() {
                true => format!("its answer of {} ago holds", millis(&source["reported_ms_ago"])),
                false => "it has never answered completely".to_owned(),
            };
            writeln!(out, "pool {pool}: source {name} FAILS for {since}: {why}; {age}")?;
        }
    }
    Ok(())
}

/// The weight of a backend, with the part of it in slow start.
pub(super) fn weight(backend: &Value) -> String {
    match backend["ramp_percent"].as_u64().unwrap_or(100) {
        100 => backend["weight"].to_string(),
        ramp => format!("{} x {ramp}%", backend["weight"]),
    }
}

/// Why a backend does not serve; empty if it does.
pub(super) fn why(backend: &Value) -> String {
    match text(&backend["standing"]).as_str() {
        "serving" if backend["standby"] != true => String::new(),
        _ => text(&backend["reason"]),
    }
}

fn backend_row(pool: &Value, backend: &Value) -> Vec<String> {
    let answers = backend["answers"].as_object().into_iter().flatten();
    let answers: u64 = answers.filter_map(|(_, count)| count.as_u64()).sum();
    vec![
        text(pool),
        text(&backend["address"]),
        text(&backend["standing"]),
        weight(backend),
        backend["in_flight"].to_string(),
        backend["connections"].to_string(),
        backend["connects"].to_string(),
        answers.to_string(),
        backend["answers"]["5xx"].to_string(),
        backend["failures"].to_string(),
        why(backend),
    ]
}

pub(super) fn order(reply: &Value, out: &mut dyn Write) -> io::Result<()> {
    let orders: Vec<String> = list(&reply["orders"]).map(text).collect();
    let applied =
        if reply["applied"] == true { "applied by every shard" } else { "NOT applied yet" };
    writeln!(
        out,
        "{} in pool {}: {}; {applied} (generation {}), {} exchanges in flight",
        text(&reply["backend"]),
        text(&reply["pool"]),
        orders.join(", "),
        reply["generation"],
        reply["in_flight"]
    )
}

pub(super) fn phase(reply: &Value, out: &mut dyn Write) -> io::Result<()> {
    let left = match reply["phase_ends_in_ms"].as_u64() {
        Some(_) => format!(", for {}", millis(&reply["phase_ends_in_ms"])),
        None => String::new(),
    };
    writeln!(out, "{}{left}; {} connections", text(&reply["phase"]), reply["connections"])
}

pub(super) fn renewal(reply: &Value, out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<String> = list(&reply["names"]).map(text).collect();
    let (chain, names) = (text(&reply["certificate"]), names.join(", "));
    writeln!(out, "certificate {chain} for {names}: is fetched now; see `ringway events --follow`")
}

pub(super) fn reload(reply: &Value, out: &mut dyn Write) -> io::Result<()> {
    let applied =
        if reply["applied"] == true { "in force" } else { "NOT applied by all shards yet" };
    restart(reply, out)?;
    let configuration = named(&reply["configuration"]);
    writeln!(out, "reloaded: {configuration}, generation {}: {applied}", reply["generation"])?;
    changes(reply, out)
}

/// A configuration by version and digest.
fn named(configuration: &Value) -> String {
    format!(
        "configuration {} (digest {})",
        configuration["version"],
        text(&configuration["digest"])
    )
}

pub(super) fn plan(plan: &Value, out: &mut dyn Write) -> io::Result<()> {
    restart(plan, out)?;
    let running = named(&plan["configuration"]);
    writeln!(out, "in force: {running}; the file has digest {}", text(&plan["digest"]))?;
    changes(plan, out)
}

/// Keys that need a restart, and warnings, are printed first, where they are not overlooked.
fn restart(plan: &Value, out: &mut dyn Write) -> io::Result<()> {
    let keys: Vec<String> = list(&plan["needs_restart"]).map(text).collect();
    if !keys.is_empty() {
        writeln!(out, "NEEDS A RESTART, not applied by a reload: {}", keys.join(", "))?;
    }
    list(&plan["warnings"]).try_for_each(|warning| writeln!(out, "warning: {}", text(warning)))
}

fn changes(plan: &Value, out: &mut dyn Write) -> io::Result<()> {
    let mut is_empty = list(&plan["needs_restart"]).next().is_none();
    for change in list(&plan["changes"]) {
        is_empty = false;
        let (what, how) = (text(&change["what"]), text(&change["how"]));
        writeln!(out, "  {what}: {how}{}", touched(change))?;
    }
    if is_empty {
        writeln!(out, "  no difference; 0 connections affected")?;
    }
    Ok(())
}

/// The use of a changed part, and whether it ends.
fn touched(change: &Value) -> String {
    let kinds = [
        ("client_connections", "client connections"),
        ("flows", "flows"),
        ("backend_connections", "connections to backends"),
        ("exchanges", "exchanges"),
    ];
    let counted = kinds.iter().filter_map(|(key, words)| Some((change[*key].as_u64()?, words)));
    let counted: Vec<(u64, _)> = counted.collect();
    if change["how"] == "added" && counted.iter().all(|(count, _)| *count == 0) {
        return String::new();
    }
    if counted.is_empty() {
        return " (its exchanges, which are not counted, go on)".to_owned();
    }
    let becomes = if change["ends"] == true { "end" } else { "go on" };
    let shown: Vec<String> =
        counted.iter().map(|(count, words)| format!("{count} {words}")).collect();
    format!(" ({} {becomes})", shown.join(" and "))
}

pub(super) fn event(event: &Value, out: &mut dyn Write) -> io::Result<()> {
    let time = rfc3339(event["time_ms"].as_u64().unwrap_or(0));
    let level = text(&event["level"]).to_uppercase();
    // Whatever the message has, each event begins a line with its number.
    let message = text(&event["message"]).replace('\n', "\n        ");
    writeln!(out, "{:>6}  {time} {level:<5} {message}", event["number"])
}

/// Which certificates answer, and what is asked of the client.
fn handshake(tls: &Value, out: &mut dyn Write) -> io::Result<()> {
    if tls.is_null() {
        return Ok(());
    }
    let name = tls["server_name"].as_str().unwrap_or("no server name");
    if list(&tls["certificates"]).next().is_none() {
        return writeln!(out, "  tls    {name}: no certificate, refused with unrecognized_name");
    }
    for one in list(&tls["certificates"]) {
        if one["awaited"] == true {
            let chain = text(&one["chain"]);
            writeln!(
                out,
                "  tls    {name}: {chain} was not fetched yet, refused with internal_error"
            )?;
            continue;
        }
        let left = one["days_left"].as_u64();
        let left = left.map_or_else(|| "EXPIRED".to_owned(), |days| format!("{days} days left"));
        let (chain, key) = (text(&one["chain"]), text(&one["key"]));
        let names: Vec<String> = list(&one["names"]).take(NAMES_MAX).map(text).collect();
        writeln!(out, "  tls    {name}: {chain} ({key}, {left}) for {}", names.join(","))?;
    }
    match tls["client_certificate"].as_str() {
        None | Some("none") => Ok(()),
        Some(mode) => writeln!(out, "  tls    a client certificate is {mode}"),
    }
}

pub(super) fn explain(reply: &Value, out: &mut dyn Write) -> io::Result<()> {
    for listener in list(&reply["listeners"]) {
        let outcome = &listener["outcome"];
        writeln!(out, "listener {} ({})", text(&listener["listener"]), text(&listener["address"]))?;
        handshake(&listener["tls"], out)?;
        if outcome["status"].is_u64() {
            writeln!(out, "  {}: {}", outcome["status"], text(&outcome["why"]))?;
            continue;
        }
        if outcome["pool"].is_null() {
            writeln!(out, "  {}", text(&outcome["why"]))?;
            continue;
        }
        let route = &outcome["route"];
        let below = [("path", " path "), ("alpn", " alpn=")];
        let below = below.iter().filter(|(key, _)| route[*key].is_string());
        let below: String =
            below.map(|(key, word)| format!("{word}{}", text(&route[*key]))).collect();
        let host = Some(text(&route["host"])).filter(|host| !host.is_empty());
        let host = host.unwrap_or_else(|| "\"\" (no server name)".to_owned());
        writeln!(out, "  route  host {host}{below}")?;
        writeln!(out, "  pool   {}: {}", text(&outcome["pool"]), text(&outcome["why"]))?;
        for backend in list(&outcome["backends"]) {
            writeln!(
                out,
                "    {}  {:>3}%  {}: {}",
                text(&backend["address"]),
                backend["share_percent"],
                text(&backend["standing"]),
                text(&backend["why"])
            )?;
            if backend["tls"].is_object() {
                writeln!(out, "      TLS {}", tls_of(&backend["tls"]))?;
            }
        }
    }
    Ok(())
}

/// How a backend is known, and why TLS with it last failed.
fn tls_of(tls: &Value) -> String {
    let name = text(&tls["name"]);
    let mut line = match tls["verified"] == true {
        true => format!("verified as {name}"),
        false => format!("as {name}, NOT VERIFIED"),
    };
    if tls["client_certificate"].is_string() {
        line += &format!(", shown {}", text(&tls["client_certificate"]));
    }
    if tls["last_failure"].is_string() {
        line += &format!("; the last failure: {}", text(&tls["last_failure"]));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_forwarded_unread_shows_at_its_backends() {
        let backend = json!({
            "address": "10.0.0.1:5432", "standing": "serving", "weight": 1, "ramp_percent": 100,
            "in_flight": 2, "connections": 2, "connects": 731, "answers": {"5xx": 0},
            "failures": 0, "reason": "",
        });
        let mut out = Vec::new();
        let pool = json!({"name": "db", "hash_table": "86b37c35", "backends": [backend]});
        backends(&json!([pool]), &mut out).expect("written");
        let text = String::from_utf8(out).expect("text");
        let words = |line: usize| -> Vec<&str> {
            text.lines().nth(line).expect("a line").split_whitespace().collect()
        };
        let at = words(0).iter().position(|word| *word == "CONNECTS").expect("a column");
        // "IN FLIGHT" is one column.
        assert_eq!(words(1)[at - 1], "731", "{text}");
        // By this two balancers are compared.
        assert_eq!(words(2).join(" "), "pool db: hash table 86b37c35", "{text}");
    }

    #[test]
    fn one_flow_is_not_several() {
        let listener = |flows: u64| json!([{"connections": flows, "datagrams": {}}]);
        assert_eq!([0, 1, 2].map(|n| flows(&listener(n))), [", 0 flows", ", 1 flow", ", 2 flows"]);
        assert_eq!(flows(&json!([{"connections": 5, "datagrams": null}])), "");
    }
}
