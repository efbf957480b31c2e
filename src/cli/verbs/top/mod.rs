//! `ringway top`: listeners, shards, pools and backends, refreshed at an interval.

mod columns;
mod look;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use super::client::Client;
use super::show;
use crate::cli::Failed;
use look::Look;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use view::{After, View};

/// Shows until `q`; as JSON until the reader closes the pipe; once, as text, with `--once`.
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
            return Ok(writeln!(out, "{}", status.value)?);
        }
        return Ok(show::status(&status.value, out)?);
    }
    if as_json {
        return stream(&client, interval, out);
    }
    let no_terminal = |why: &str| {
        Failed::Error(
            format!(
                "`ringway top` shows on a terminal, and {why}: --once prints one look, --json \
                 one JSON object per line and look"
            )
            .into(),
        )
    };
    if !std::io::stdout().is_terminal() {
        return Err(no_terminal("standard output is none"));
    }
    // Before the screen changes, so that an error stays visible.
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
    let mut view = View::default();
    let mut before: Option<(Instant, Look)> = None;
    loop {
        let status = client.get("/status")?.checked()?.value;
        let now = Instant::now();
        let last = before.as_ref().map(|(at, look)| (look, (now - *at).as_secs_f64()));
        let look = Look::new(status, last);
        terminal.draw(|frame| screen::draw(frame, &look, &mut view))?;
        if is_ended(now + interval, &look, &mut view, terminal)? {
            return Ok(());
        }
        before = Some((now, look));
    }
}

/// Handles keys until the next refresh; true if the user quits.
fn is_ended(
    until: Instant,
    look: &Look,
    view: &mut View,
    terminal: &mut DefaultTerminal,
) -> std::io::Result<bool> {
    loop {
        if !event::poll(until.saturating_duration_since(Instant::now()))? {
            return Ok(false);
        }
        let after = match event::read()? {
            Event::Key(key) => view.press(key),
            Event::Resize(..) => After::Draw,
            _ => After::Nothing,
        };
        match after {
            After::Draw => {
                terminal.draw(|frame| screen::draw(frame, look, view))?;
            }
            After::End => return Ok(true),
            After::Nothing => {}
        }
    }
}
