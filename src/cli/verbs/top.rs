//! `ringway top`: shards, pools and backends, looked at again and again.

use super::client::Client;
use super::show;
use crate::cli::Failed;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Two looks and the time between them.
struct Look {
    status: Value,
    before: Option<Value>,
    seconds: f64,
}

impl Look {
    /// What a counter grew by in a second; `read` finds it in a status.
    fn rate(&self, read: impl Fn(&Value) -> Option<u64>) -> f64 {
        let Some(before) = &self.before else { return 0.0 };
        let (Some(now), Some(then)) = (read(&self.status), read(before)) else { return 0.0 };
        now.saturating_sub(then) as f64 / self.seconds.max(0.001)
    }
}

/// Shows until `q`; as JSON until the reader goes; once, as text, if so asked.
pub(super) fn top(
    socket: &Path,
    once: bool,
    as_json: bool,
    interval: Duration,
    out: &mut dyn Write,
) -> Result<(), Failed> {
    let client = Client::new(socket)?;
    if once {
        let status = client.get("/status")?.checked()?;
        if as_json {
            return Ok(writeln!(out, "{:#}", status.value)?);
        }
        return Ok(show::status(&status.value, out)?);
    }
    if as_json {
        return stream(&client, interval, out);
    }
    let no_terminal = |why: &str| {
        Failed::Error(
            format!(
                "`ringway top` shows on a terminal, and {why}: --once prints one look, --json a \
                 status on a line at each look"
            )
            .into(),
        )
    };
    if !std::io::stdout().is_terminal() {
        return Err(no_terminal("standard output is none"));
    }
    // Asked for before the screen changes, so that an error is seen.
    client.get("/status")?.checked()?;
    let mut terminal =
        ratatui::try_init().map_err(|error| no_terminal(&format!("there is none ({error})")))?;
    let result = watch(&client, interval, &mut terminal);
    ratatui::restore();
    result
}

/// A status on a line of its own, again and again.
fn stream(client: &Client, interval: Duration, out: &mut dyn Write) -> Result<(), Failed> {
    loop {
        let status = client.get("/status")?.checked()?;
        writeln!(out, "{}", status.value)?;
        out.flush()?;
        std::thread::sleep(interval);
    }
}

fn watch(
    client: &Client,
    interval: Duration,
    terminal: &mut DefaultTerminal,
) -> Result<(), Failed> {
    let mut before: Option<(Instant, Value)> = None;
    loop {
        let status = client.get("/status")?.checked()?.value;
        let now = Instant::now();
        let seconds = before.as_ref().map_or(0.0, |(at, _)| (now - *at).as_secs_f64());
        let look = Look { status, before: before.map(|(_, status)| status), seconds };
        terminal.draw(|frame| draw(frame, &look))?;
        before = Some((now, look.status));
        if is_ended(interval)? {
            return Ok(());
        }
    }
}

/// Waits for the next look; true if the user wants no more.
fn is_ended(interval: Duration) -> std::io::Result<bool> {
    let until = Instant::now() + interval;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if !event::poll(left)? {
            return Ok(false);
        }
        if let Event::Key(key) = event::read()? {
            let is_ctrl_c =
                key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            if is_ctrl_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                return Ok(true);
            }
        }
    }
}

fn draw(frame: &mut ratatui::Frame<'_>, look: &Look) {
    let shards = look.status["shards"].as_array().map_or(0, Vec::len) as u16;
    let pools = look.status["pools"].as_array().map_or(0, Vec::len) as u16;
    let areas = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(shards + 2),
        Constraint::Length(pools + 2),
        Constraint::Min(3),
    ])
    .split(frame.area());
    frame.render_widget(summary(look), areas[0]);
    frame.render_widget(shard_table(look), areas[1]);
    frame.render_widget(pool_table(look), areas[2]);
    frame.render_widget(backend_table(look), areas[3]);
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn summary(look: &Look) -> Paragraph<'static> {
    let status = &look.status;
    let requests = |status: &Value| {
        let shards = status["shards"].as_array()?;
        Some(shards.iter().filter_map(|shard| shard["requests"].as_u64()).sum())
    };
    let ready = if status["ready"] == true { "ready" } else { "NOT READY" };
    Paragraph::new(format!(
        "ringway {}  {}  {ready}  {} connections  {:.0} requests/s   (q ends)",
        text(&status["version"]),
        text(&status["phase"]),
        status["connections"],
        look.rate(requests)
    ))
    .style(Style::new().add_modifier(Modifier::BOLD))
}

fn headed(names: &[&'static str], rows: Vec<Row<'static>>, widths: &[u16]) -> Table<'static> {
    let widths = widths.iter().map(|width| Constraint::Length(*width));
    let heading = Row::new(names.to_vec()).style(Style::new().add_modifier(Modifier::REVERSED));
    Table::new(rows, widths).header(heading)
}

fn shard_table(look: &Look) -> Table<'static> {
    let shards = look.status["shards"].as_array().into_iter().flatten().enumerate();
    let rows = shards.map(|(at, shard)| {
        let rate = look.rate(|status| status["shards"][at]["requests"].as_u64());
        Row::new([
            shard["shard"].to_string(),
            shard["connections"].to_string(),
            format!("{rate:.0}"),
            format!("{} ms", shard["last_turn_ms_ago"]),
            shard["generation"].to_string(),
        ])
    });
    let names = ["SHARD", "CONNECTIONS", "REQUESTS/S", "LAST TURN", "GENERATION"];
    headed(&names, rows.collect(), &[8, 12, 12, 12, 12])
}

fn pool_table(look: &Look) -> Table<'static> {
    let pools = look.status["pools"].as_array().into_iter().flatten().enumerate();
    let rows = pools.map(|(at, pool)| {
        let rate = look.rate(|status| status["pools"][at]["requests"].as_u64());
        let latency = |name: &str| {
            format!("{:.1} ms", pool["latency_us"][name].as_u64().unwrap_or(0) as f64 / 1e3)
        };
        let backends = pool["backends"].as_array().map_or(0, Vec::len);
        let healthy = format!("{}/{backends}", pool["healthy"]);
        let row = Row::new([
            text(&pool["name"]),
            healthy,
            format!("{rate:.0}"),
            pool["in_flight"].to_string(),
            latency("p50"),
            latency("p99"),
        ]);
        let is_bad = pool["no_healthy"].is_string();
        if is_bad { row.style(Style::new().fg(Color::Red)) } else { row }
    });
    let names = ["POOL", "HEALTHY", "REQUESTS/S", "IN FLIGHT", "P50 <=", "P99 <="];
    headed(&names, rows.collect(), &[20, 10, 12, 12, 12, 12])
}

fn backend_table(look: &Look) -> Table<'static> {
    let mut rows = Vec::new();
    for pool in look.status["pools"].as_array().into_iter().flatten() {
        for backend in pool["backends"].as_array().into_iter().flatten() {
            let color = match text(&backend["standing"]).as_str() {
                "serving" => Color::Green,
                "down" | "ejected" => Color::Red,
                _ => Color::Yellow,
            };
            let cells = show::backend_row(&pool["name"], backend);
            let mut cells: Vec<Cell<'static>> = cells.into_iter().map(Cell::from).collect();
            let standing = std::mem::take(&mut cells[2]);
            cells[2] = standing.style(Style::new().fg(color));
            rows.push(Row::new(cells));
        }
    }
    let names =
        ["POOL", "BACKEND", "STANDING", "WEIGHT", "IN FLIGHT", "ANSWERS", "5XX", "FAILURES", "WHY"];
    headed(&names, rows, &[20, 22, 10, 10, 10, 12, 8, 9, 40])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    fn status(requests: u64) -> Value {
        let backend = |address: &str, standing: &str| {
            json!({
                "address": address, "standing": standing, "reason": "refused", "weight": 3,
                "ramp_percent": 40, "in_flight": 2, "failures": 5,
                "answers": { "1xx": 0, "2xx": 7, "3xx": 0, "4xx": 0, "5xx": 1 },
            })
        };
        json!({
            "version": "9.9", "phase": "serving", "ready": false, "connections": 12,
            "shards": [{ "shard": 0, "connections": 12, "requests": requests,
                         "last_turn_ms_ago": 4, "generation": 31 }],
            "pools": [{ "name": "app", "healthy": 1, "requests": requests, "in_flight": 2,
                        "latency_us": { "p50": 200, "p99": 1500 },
                        "backends": [backend("10.0.0.1:80", "serving"),
                                     backend("10.0.0.2:80", "down")] }],
        })
    }

    #[test]
    fn the_screen_shows_rates_latencies_and_who_is_down() {
        let look = Look { status: status(900), before: Some(status(400)), seconds: 2.0 };
        let mut terminal = Terminal::new(TestBackend::new(150, 16)).expect("a screen");
        terminal.draw(|frame| draw(frame, &look)).expect("drawn");
        let buffer = terminal.backend().buffer();
        let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        let lines: Vec<String> = cells.chunks(150).map(|line| line.concat()).collect();
        let line = |part: &str| {
            let found = lines.iter().find(|line| line.contains(part));
            found.unwrap_or_else(|| panic!("{part} is not in {lines:#?}"))
        };
        assert!(line("ringway 9.9").contains("NOT READY  12 connections  250 requests/s"));
        let words = |part: &str| line(part).split_whitespace().collect::<Vec<_>>();
        assert_eq!(words("4 ms"), ["0", "12", "250", "4", "ms", "31"]);
        assert_eq!(words("1.5 ms"), ["app", "1/2", "250", "2", "0.2", "ms", "1.5", "ms"]);
        let down = ["app", "10.0.0.2:80", "down", "3", "x", "40%", "2", "8", "1", "5", "refused"];
        assert_eq!(words("10.0.0.2:80"), down);
        let at = cells.chunks(150).position(|line| line.concat().contains("10.0.0.2:80"));
        let column = line("10.0.0.2:80").find("down").expect("shown");
        let cell = &buffer.content()[at.expect("shown") * 150 + column];
        assert_eq!(cell.fg, Color::Red);
    }
}
