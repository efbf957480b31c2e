use super::look::Look;
use super::screen::{HELP, draw};
use super::view::{After, View};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde_json::{Value, json};

fn backend(address: &str, standing: &str, answers: u64) -> Value {
    json!({
        "address": address, "standing": standing, "reason": "refused", "weight": 3,
        "ramp_percent": 40, "in_flight": 2, "failures": 5, "connections": 6,
        "connects": 10 * answers, "received_bytes": 7_000 * answers, "sent_bytes": answers,
        "answers": { "1xx": 0, "2xx": answers, "3xx": 0, "4xx": 0, "5xx": 1 },
    })
}

/// A process with two shards and these backends.
fn status(requests: u64, backends: &[Value]) -> Value {
    let shard = |number: u64| {
        json!({ "shard": number, "connections": 12, "requests": requests, "last_turn_ms_ago": 4,
                "generation": 31 })
    };
    json!({
        "version": "9.9", "phase": "serving", "ready": false, "connections": 24,
        "shards": [shard(0), shard(1)],
        "listeners": [{ "name": "dns", "protocol": "udp", "address": "192.0.2.1:53",
                        "connections": 17, "accepted": 2 * requests, "refused": requests,
                        "requests": null, "max_connections": 20,
                        "received_bytes": 4_000 * requests, "sent_bytes": requests,
                        "datagrams": { "received": 3 * requests } }],
        "pools": [{ "name": "app", "healthy": 1, "requests": requests, "in_flight": 2,
                    "latency_us": { "p50": 200, "p99": 1500 }, "backends": backends }],
    })
}

/// A terminal, and what is seen there.
struct Seen {
    terminal: Terminal<TestBackend>,
    look: Look,
    view: View,
}

impl Seen {
    fn new(width: u16, height: u16, before: &[Value], now: &[Value]) -> Self {
        let terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen");
        let first = Look::new(status(400, before), None);
        let look = Look::new(status(900, now), Some((&first, 2.0)));
        Self { terminal, look, view: View::default() }
    }

    fn press(&mut self, code: KeyCode) -> After {
        self.view.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn lines(&mut self) -> Vec<String> {
        let (look, view) = (&self.look, &mut self.view);
        self.terminal.draw(|frame| draw(frame, look, view)).expect("drawn");
        let buffer = self.terminal.backend().buffer();
        let width = usize::from(buffer.area.width);
        let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        cells.chunks(width).map(|line| line.concat()).collect()
    }

    /// The words of the only line that has `part`.
    fn words(&mut self, part: &str) -> Vec<String> {
        let lines = self.lines();
        let found: Vec<&String> = lines.iter().filter(|line| line.contains(part)).collect();
        assert_eq!(found.len(), 1, "{part} in {lines:#?}");
        found[0].split_whitespace().map(str::to_owned).collect()
    }
}

fn two(answers: u64) -> Vec<Value> {
    vec![backend("192.168.100.101:65000", "serving", answers), backend("10.0.0.2:80", "down", 7)]
}

#[test]
fn at_80_columns_and_24_rows_it_shows_what_matters_whole() {
    let mut seen = Seen::new(80, 24, &two(100), &two(300));
    assert!(seen.lines()[0].contains("NOT READY  2 shards  24 connections  500 requests/s"));
    assert_eq!(seen.words("1.5 ms"), ["app", "1/2", "250", "0", "2", "0.2", "ms", "1.5", "ms"]);
    assert_eq!(
        seen.words("192.0.2.1"),
        ["dns", "udp", "192.0.2.1:53", "17/20", "500", "250", "750", "1.0M"]
    );
    let heading = seen.words("BACKEND");
    for column in ["POOL", "STANDING", "REQ/S", "ERR/S", "FLIGHT", "WEIGHT"] {
        assert!(heading.iter().any(|word| word == column), "{column} is not in {heading:?}");
    }
    let serving = ["app", "192.168.100.101:65000", "serving", "100", "0", "2", "3", "x", "40%"];
    assert_eq!(seen.words("192.168.100.101")[..9], serving);
    assert!(seen.lines().last().expect("lines").contains("2 backends  q quit  ? help"));
}

#[test]
fn a_wider_terminal_shows_more() {
    let mut seen = Seen::new(150, 24, &two(100), &two(300));
    let down = "app 10.0.0.2:80 down 0 0 2 6 0 0 3 x 40% 8 1 5 refused";
    assert_eq!(seen.words("10.0.0.2:80").join(" "), down);
    let serving = "serving 100 0 2 6 1000 700.1k 3 x 40% 301 1 5";
    assert_eq!(seen.words("192.168.100.101:65000")[2..].join(" "), serving);
    let lines = seen.lines();
    let row = lines.iter().position(|line| line.contains("10.0.0.2:80")).expect("shown");
    let column = lines[row].find("down").expect("shown");
    let cell = &seen.terminal.backend().buffer().content()[row * 150 + column];
    assert_eq!(cell.fg, Color::Red);
}

#[test]
fn a_long_list_scrolls_and_another_order_puts_trouble_first() {
    let standing = |n: usize| if n == 77 { "down" } else { "serving" };
    let one = |n: usize| backend(&format!("10.0.0.{n}:80"), standing(n), 100);
    let many: Vec<Value> = (0..100).map(one).collect();
    let mut seen = Seen::new(80, 24, &many, &many);
    let shows = |seen: &mut Seen, address: &str| {
        seen.lines().iter().any(|line| line.contains(&format!(" {address} ")))
    };
    assert!(shows(&mut seen, "10.0.0.0:80") && !shows(&mut seen, "10.0.0.99:80"));
    assert!(seen.view.page >= 10, "{} rows of backends", seen.view.page);
    assert_eq!(seen.press(KeyCode::End), After::Draw);
    assert!(!shows(&mut seen, "10.0.0.0:80") && shows(&mut seen, "10.0.0.99:80"));
    for _ in 0..20 {
        seen.press(KeyCode::PageUp);
    }
    assert!(shows(&mut seen, "10.0.0.0:80"));
    let page = usize::from(seen.view.page);
    for _ in 0..=page {
        seen.press(KeyCode::Down);
    }
    assert!(shows(&mut seen, &format!("10.0.0.{page}:80")) && !shows(&mut seen, "10.0.0.0:80"));
    seen.press(KeyCode::Home);
    assert!(!shows(&mut seen, "10.0.0.77:80"));
    while !seen.lines().last().expect("lines").contains("trouble first") {
        assert_eq!(seen.press(KeyCode::Char('s')), After::Draw);
    }
    assert!(shows(&mut seen, "10.0.0.77:80"));
}

#[test]
fn help_comes_and_goes_and_q_ends() {
    let mut seen = Seen::new(80, 24, &two(1), &two(1));
    assert_eq!(seen.press(KeyCode::Char('?')), After::Draw);
    assert!(seen.lines().iter().any(|line| line.starts_with("arrows PgUp PgDn")));
    for line in HELP {
        assert!(seen.lines().iter().any(|shown| shown.trim_end() == line), "cut: {line}");
    }
    assert!(seen.lines().iter().any(|line| line.contains("10.0.0.2:80")), "it hides nothing");
    seen.press(KeyCode::Char('?'));
    assert!(!seen.lines().iter().any(|line| line.starts_with("arrows")));
    assert_eq!(seen.press(KeyCode::Char('x')), After::Nothing);
    assert_eq!(seen.press(KeyCode::Char('q')), After::End);
}

#[test]
fn a_counter_belongs_to_its_backend_wherever_that_moves() {
    let mut seen = Seen::new(80, 24, &two(100), &two(300).into_iter().rev().collect::<Vec<_>>());
    let words = seen.words("192.168.100.101");
    assert_eq!(words[3], "100", "{words:?}");
}

#[test]
fn tls_is_summed_up_where_it_ends_here() {
    let mut seen = Seen::new(120, 20, &[], &[]);
    assert!(!seen.lines()[0].contains("TLS"));
    let with_tls = |count: u64| {
        let mut status = status(0, &[]);
        status["tls"] =
            json!({ "handshakes": 100 * count, "resumptions": 80 * count, "failures": count });
        status
    };
    let first = Look::new(with_tls(0), None);
    seen.look = Look::new(with_tls(2), Some((&first, 2.0)));
    let line = seen.lines()[0].clone();
    assert!(line.contains("TLS 100/s, 80 resumed, 1 failed"), "{line}");
}
