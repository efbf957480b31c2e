//! The choices of the user: the order of the backends, the position in the list, help.

use super::look::Backend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::widgets::TableState;
use std::cmp::Reverse;

/// The order of the backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// As in the status: by pool and address.
    #[default]
    Address,
    Requests,
    Errors,
    InFlight,
    /// Those that do not serve come first.
    Trouble,
}

impl Order {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Requests => "requests/s",
            Self::Errors => "errors/s",
            Self::InFlight => "in flight",
            Self::Trouble => "trouble first",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Address => Self::Requests,
            Self::Requests => Self::Errors,
            Self::Errors => Self::InFlight,
            Self::InFlight => Self::Trouble,
            Self::Trouble => Self::Address,
        }
    }

    /// Sorts the backends, stably.
    pub(super) fn apply(self, backends: &mut [Backend]) {
        let falling = |read: fn(&Backend) -> f64| {
            move |one: &Backend, other: &Backend| read(other).total_cmp(&read(one))
        };
        match self {
            Self::Address => {}
            Self::Requests => backends.sort_by(falling(|backend| backend.requests_per_s)),
            Self::Errors => backends.sort_by(falling(|backend| backend.errors_per_s)),
            Self::InFlight => backends.sort_by_key(|backend| Reverse(backend.in_flight)),
            Self::Trouble => backends.sort_by_key(trouble),
        }
    }
}

/// The lowest is the worst.
fn trouble(backend: &Backend) -> u8 {
    match backend.standing.as_str() {
        "down" | "ejected" => 0,
        "serving" => 2,
        _ => 1,
    }
}

/// The effect of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Draw,
    End,
    Nothing,
}

/// The choices of the user.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) order: Order,
    pub(super) shows_help: bool,
    /// The row that is marked, and the first one on the screen.
    pub(super) table: TableState,
    /// Rows of backends that the screen had room for.
    pub(super) page: u16,
}

impl View {
    /// Applies a key.
    pub(super) fn press(&mut self, key: KeyEvent) -> After {
        let page = self.page.max(1);
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return After::End;
            }
            KeyCode::Char('q') | KeyCode::Esc => return After::End,
            KeyCode::Up | KeyCode::Char('k') => self.table.select_previous(),
            KeyCode::Down | KeyCode::Char('j') => self.table.select_next(),
            KeyCode::PageUp => self.table.scroll_up_by(page),
            KeyCode::PageDown | KeyCode::Char(' ') => self.table.scroll_down_by(page),
            KeyCode::Home | KeyCode::Char('g') => self.table.select_first(),
            KeyCode::End | KeyCode::Char('G') => self.table.select_last(),
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('?' | 'h') => self.shows_help = !self.shows_help,
            _ => return After::Nothing,
        }
        After::Draw
    }
}
