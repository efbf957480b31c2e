//! One status on the screen. Backends get the room that the rest leaves, and half of it at least.

use super::columns::{Column, Kind, table};
use super::look::{Backend, Look, list, number, text};
use super::view::View;
use crate::cli::verbs::show;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use serde_json::Value;

const BACKEND_COLUMNS: [Column; 14] = [
    column("POOL", 5, Kind::Text),
    column("BACKEND", 0, Kind::Text),
    column("STANDING", 1, Kind::Text),
    column("REQ/S", 2, Kind::Number),
    column("ERR/S", 3, Kind::Number),
    column("IN FLIGHT", 4, Kind::Number),
    column("CONNECTIONS", 8, Kind::Number),
    column("NEW/S", 9, Kind::Number),
    column("BYTES/S", 13, Kind::Number),
    column("WEIGHT", 6, Kind::Number),
    column("ANSWERS", 10, Kind::Number),
    column("5XX", 11, Kind::Number),
    column("FAILURES", 12, Kind::Number),
    column("WHY", 7, Kind::Rest),
];

const POOL_COLUMNS: [Column; 7] = [
    column("POOL", 0, Kind::Text),
    column("HEALTHY", 1, Kind::Number),
    column("REQ/S", 2, Kind::Number),
    column("ERR/S", 4, Kind::Number),
    column("IN FLIGHT", 5, Kind::Number),
    column("P50 <=", 6, Kind::Number),
    column("P99 <=", 3, Kind::Number),
];

const LISTENER_COLUMNS: [Column; 8] = [
    column("LISTENER", 0, Kind::Text),
    column("PROTOCOL", 2, Kind::Text),
    column("ADDRESS", 5, Kind::Text),
    column("CONNECTIONS", 1, Kind::Number),
    column("NEW/S", 3, Kind::Number),
    column("REFUSED/S", 6, Kind::Number),
    column("REQ/S", 4, Kind::Number),
    column("BYTES/S", 7, Kind::Number),
];

const SHARD_COLUMNS: [Column; 5] = [
    column("SHARD", 0, Kind::Number),
    column("CONNECTIONS", 2, Kind::Number),
    column("REQ/S", 1, Kind::Number),
    column("LAST TURN", 3, Kind::Number),
    column("GENERATION", 4, Kind::Number),
];

pub(super) const HELP: [&str; 7] = [
    "REQ/S: answers a second   ERR/S: 5xx, failed connects, cut or malformed answers",
    "CONNECTIONS, NEW/S: open, new ones a second; of UDP flows, REQ/S datagrams",
    "BYTES/S: forwarded unread, both ways   REFUSED/S: connections not served",
    "P50, P99: 50 and 99 of 100 answers since the start took at most so long",
    "WEIGHT 3 x 40%: in slow start   HEALTHY 1/2: one of two backends can serve",
    "arrows PgUp PgDn Home End: scroll the backends   s: sort by something else",
    "?: hide this help   q: quit",
];

const fn column(name: &'static str, rank: u8, kind: Kind) -> Column {
    Column { name, rank, kind }
}

/// Draws a status.
pub(super) fn draw(frame: &mut Frame<'_>, look: &Look, view: &mut View) {
    let Heights { listeners, shards, pools, help } = heights(frame.area().height, look, view);
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(listeners),
        Constraint::Length(shards),
        Constraint::Length(pools),
        Constraint::Min(2),
        Constraint::Length(help),
    ])
    .split(frame.area());
    frame.render_widget(summary(look), areas[0]);
    if listeners > 0 {
        draw_listeners(frame, look, areas[1]);
    }
    if shards > 0 {
        draw_shards(frame, look, areas[2]);
    }
    draw_pools(frame, look, areas[3]);
    draw_backends(frame, look, view, areas[4]);
    let help = if view.shows_help { help_lines() } else { vec![keys(look, view)] };
    frame.render_widget(Paragraph::new(help), areas[5]);
}

/// Rows of the tables above that of the backends, and of the help.
struct Heights {
    listeners: u16,
    shards: u16,
    pools: u16,
    help: u16,
}

/// The table whose length grows with the machine is left out first, then that of listeners: both
/// are shown with all their rows or not.
fn heights(height: u16, look: &Look, view: &View) -> Heights {
    // With the heading and an empty line.
    let rows = |table: &str| list(&look.status[table]).count() as u16 + 2;
    let help = if view.shows_help { HELP.len() as u16 } else { 1 };
    let shared = height.saturating_sub(1 + help) / 2;
    let pools = rows("pools").min(shared.max(3));
    let fitting = |rows: u16, used: u16| if rows + used <= shared { rows } else { 0 };
    let listeners = fitting(rows("listeners"), pools);
    let shards = fitting(rows("shards"), pools + listeners);
    Heights { listeners, shards, pools, help }
}

fn summary(look: &Look) -> Paragraph<'static> {
    let status = &look.status;
    let ready = if status["ready"] == true { "ready" } else { "NOT READY" };
    let handshakes = look.handshakes_per_s().map(|[all, resumed, failed]| {
        format!("  TLS {all:.0}/s, {resumed:.0} resumed, {failed:.0} failed")
    });
    Paragraph::new(format!(
        "ringway {}  {}  {ready}  {} shards  {} connections  {:.0} requests/s{}",
        text(&status["version"]),
        text(&status["phase"]),
        list(&status["shards"]).count(),
        status["connections"],
        look.requests_per_s(),
        handshakes.unwrap_or_default()
    ))
    .style(Style::new().add_modifier(Modifier::BOLD))
}

fn keys(look: &Look, view: &View) -> Line<'static> {
    let backends: usize =
        list(&look.status["pools"]).map(|pool| list(&pool["backends"]).count()).sum();
    let order = view.order.name();
    Line::from(format!(
        "{backends} backends  q quit  ? help  s sorted by: {order}  arrows PgUp PgDn"
    ))
    .style(Style::new().add_modifier(Modifier::DIM))
}

fn help_lines() -> Vec<Line<'static>> {
    HELP.map(Line::from).into()
}

fn rate(value: f64) -> String {
    // Few errors a second are errors nevertheless.
    if value > 0.0 && value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Bytes in a few characters.
fn bytes(value: f64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.iter().find(|(size, _)| value >= *size) {
        Some((size, unit)) => format!("{:.1}{unit}", value / size),
        None => format!("{value:.0}"),
    }
}

/// A number, if the value it comes from is there.
fn where_there(value: &Value, number: String) -> String {
    if value.is_null() { "-".to_owned() } else { number }
}

fn draw_listeners(frame: &mut Frame<'_>, look: &Look, area: Rect) {
    let row = |listener: &Value| {
        let is_udp = listener["datagrams"].is_object();
        let requests = if is_udp { &listener["datagrams"] } else { &listener["requests"] };
        let cells = vec![
            text(&listener["name"]),
            text(&listener["protocol"]),
            text(&listener["address"]),
            show::connections(listener),
            rate(look.accepted_per_s(listener)),
            rate(look.refused_per_s(listener)),
            where_there(requests, rate(look.listener_requests_per_s(listener))),
            where_there(&listener["sent_bytes"], bytes(look.listener_bytes_per_s(listener))),
        ];
        (cells, vec![Style::new(); LISTENER_COLUMNS.len()])
    };
    let rows = list(&look.status["listeners"]).map(row).collect();
    frame.render_widget(table(&LISTENER_COLUMNS, rows, area.width), area);
}

fn draw_shards(frame: &mut Frame<'_>, look: &Look, area: Rect) {
    let row = |shard: &Value| {
        let cells = vec![
            shard["shard"].to_string(),
            shard["connections"].to_string(),
            rate(look.shard_requests_per_s(shard)),
            format!("{} ms", shard["last_turn_ms_ago"]),
            shard["generation"].to_string(),
        ];
        (cells, vec![Style::new(); SHARD_COLUMNS.len()])
    };
    let rows = list(&look.status["shards"]).map(row).collect();
    frame.render_widget(table(&SHARD_COLUMNS, rows, area.width), area);
}

fn draw_pools(frame: &mut Frame<'_>, look: &Look, area: Rect) {
    let is_bad = |pool: &&Value| pool["no_healthy"].is_string();
    let mut pools: Vec<&Value> = list(&look.status["pools"]).collect();
    // Where not all fit, pools in trouble go first.
    pools.sort_by_key(|pool| !is_bad(pool));
    let row = |pool: &Value| {
        let latency =
            |name: &str| format!("{:.1} ms", number(&pool["latency_us"][name]) as f64 / 1e3);
        let cells = vec![
            text(&pool["name"]),
            format!("{}/{}", pool["healthy"], list(&pool["backends"]).count()),
            rate(look.pool_requests_per_s(pool)),
            rate(look.errors_per_s(pool)),
            pool["in_flight"].to_string(),
            latency("p50"),
            latency("p99"),
        ];
        let color = if is_bad(&pool) { Color::Red } else { Color::Reset };
        (cells, vec![Style::new().fg(color); POOL_COLUMNS.len()])
    };
    let rows = pools.into_iter().map(row).collect();
    frame.render_widget(table(&POOL_COLUMNS, rows, area.width), area);
}

fn draw_backends(frame: &mut Frame<'_>, look: &Look, view: &mut View, area: Rect) {
    let mut backends = look.backends();
    view.order.apply(&mut backends);
    view.page = area.height.saturating_sub(1);
    let rows = backends.iter().map(|backend| (cells(backend), styles(backend))).collect();
    let marked = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    let table = table(&BACKEND_COLUMNS, rows, area.width).row_highlight_style(marked);
    frame.render_stateful_widget(table, area, &mut view.table);
}

fn cells(backend: &Backend) -> Vec<String> {
    vec![
        backend.pool.clone(),
        backend.address.clone(),
        backend.standing.clone(),
        rate(backend.requests_per_s),
        rate(backend.errors_per_s),
        backend.in_flight.to_string(),
        backend.connections.to_string(),
        rate(backend.connects_per_s),
        bytes(backend.bytes_per_s),
        backend.weight.clone(),
        backend.answers.to_string(),
        backend.answers_5xx.to_string(),
        backend.failures.to_string(),
        backend.why.clone(),
    ]
}

fn styles(backend: &Backend) -> Vec<Style> {
    let standing = match backend.standing.as_str() {
        "serving" => Color::Green,
        "down" | "ejected" => Color::Red,
        _ => Color::Yellow,
    };
    let errors = if backend.errors_per_s > 0.0 { Color::Red } else { Color::Reset };
    let color = |column: &Column| match column.name {
        "STANDING" => standing,
        "ERR/S" => errors,
        _ => Color::Reset,
    };
    BACKEND_COLUMNS.iter().map(|column| Style::new().fg(color(column))).collect()
}
