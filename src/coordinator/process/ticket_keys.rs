//! The keys of session tickets: those of a file, or random ones that are rotated. They belong to
//! the process: a reload leaves them as they are, unless it brings others.

use crate::base::Instant;
use crate::config;
use crate::tls::{TICKET_LIFETIME_S, TicketKeys, TicketSecret};
use std::sync::Arc;
use std::time::Duration;

/// How long a random key seals. It opens for as long after that.
const SEALS_FOR: Duration = Duration::from_secs(TICKET_LIFETIME_S as u64);

/// See the module.
pub(crate) struct Tickets {
    keys: Arc<TicketKeys>,
    source: Source,
}

#[derive(PartialEq)]
enum Source {
    /// None yet.
    Nothing,
    File(Vec<TicketSecret>),
    /// Random keys, the next one at this time.
    Random {
        due: Instant,
    },
}

impl Tickets {
    /// There is no key yet.
    pub(crate) fn new(keys: Arc<TicketKeys>) -> Self {
        Self { keys, source: Source::Nothing }
    }

    /// Takes the keys that a configuration names.
    pub(crate) fn follow(&mut self, config: &config::Tls, now: Instant) {
        let is_random = matches!(self.source, Source::Random { .. });
        match &config.ticket_keys[..] {
            [] if is_random => {}
            [] => {
                self.keys.clear();
                self.rotate(now);
            }
            secrets => {
                self.keys.set(secrets);
                self.source = Source::File(secrets.to_vec());
            }
        }
    }

    /// Applies the time.
    pub(crate) fn tick(&mut self, now: Instant) {
        if matches!(self.source, Source::Random { due } if now >= due) {
            self.rotate(now);
        }
    }

    fn rotate(&mut self, now: Instant) {
        self.keys.rotate();
        self.source = Source::Random { due: now + SEALS_FOR };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(digits: Option<&str>) -> config::Tls {
        let keys = digits.map(|digits| TicketSecret::parse_all(&digits.repeat(32)).expect("a key"));
        config::Tls { ticket_keys: keys.unwrap_or_default(), ..config::Tls::default() }
    }

    #[test]
    fn random_keys_go_on_over_reloads_and_a_file_takes_their_place() {
        let at = |hours: u64| Instant::default() + Duration::from_secs(hours * 3600);
        let mut tickets = Tickets::new(Arc::default());
        let due = |tickets: &Tickets| match tickets.source {
            Source::Random { due } => Some(due),
            _ => None,
        };
        tickets.follow(&config(None), at(0));
        assert_eq!(due(&tickets), Some(at(6)));
        tickets.follow(&config(None), at(5));
        tickets.tick(at(5));
        assert_eq!(due(&tickets), Some(at(6)), "a reload is no reason for another key");
        tickets.tick(at(6));
        assert_eq!(due(&tickets), Some(at(12)));
        tickets.follow(&config(Some("0a")), at(7));
        tickets.tick(at(99));
        assert!(tickets.source == Source::File(config(Some("0a")).ticket_keys));
        tickets.follow(&config(None), at(100));
        assert_eq!(due(&tickets), Some(at(106)));
    }
}
