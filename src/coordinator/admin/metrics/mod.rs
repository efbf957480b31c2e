//! Metrics for Prometheus, summed over shards at each scrape: `shards` and `process` write those of
//! the process, `traffic` and `health` those of routes, pools and backends; `text` is the format,
//! and `rows` writes a long text in parts, so that it does not block other tasks.

mod health;
mod process;
mod rows;
mod shards;
mod text;
mod traffic;

pub(super) use text::{MEDIA_TYPE, Text};

use super::certificates;
use crate::base::Instant;
use crate::coordinator::control::Control;
use crate::coordinator::fleet::Fleet;
use crate::coordinator::reload::Loaded;
use bytes::Bytes;
use std::cell::RefCell;
use std::time::Duration;
use tokio::sync::Mutex;

/// The greatest age of a text.
const KEPT_MAX: Duration = Duration::from_secs(1);

/// The last text: scrapes in parallel cost one rendering.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<(Instant, Bytes)>>);

impl Kept {
    /// The kept text if it is young enough, or the result of `render`.
    pub(super) async fn text(&self, now: Instant, render: impl Future<Output = String>) -> Bytes {
        let mut kept = self.0.lock().await;
        match &*kept {
            Some((made, text)) if now.since(*made) < KEPT_MAX => text.clone(),
            _ => kept.insert((now, Bytes::from(render.await))).1.clone(),
        }
    }
}

/// Every metric, as of `now`.
pub(super) async fn text(
    control: &RefCell<Control>,
    fleet: &RefCell<Fleet>,
    loaded: &Loaded,
    now: Instant,
) -> String {
    let mut text = Text::default();
    whole_process(&mut text, &control.borrow(), loaded, now);
    traffic::routes(&mut text, control, fleet).await;
    traffic::pools(&mut text, fleet).await;
    let places = rows::places(&fleet.borrow());
    traffic::backends(&mut text, fleet, &places, now).await;
    health::of_backends(&mut text, fleet, &places).await;
    health::of_process(&mut text, &fleet.borrow(), now);
    text.0
}

fn whole_process(text: &mut Text, control: &Control, loaded: &Loaded, now: Instant) {
    shards::process(text, control, now);
    process::configuration(text, loaded);
    process::process(text, loaded);
    shards::counters(text, control.shards());
    certificates::metrics(text, control);
    shards::listeners(text, control.listeners(), control.fleet().ledger());
}

#[cfg(test)]
mod tests {
    use super::rows::{ROWS_AT_ONCE, each};
    use super::*;
    use tokio::task::yield_now;

    #[tokio::test]
    async fn a_text_is_shown_for_a_second() {
        let kept = Kept::default();
        let at = async |ms, text: &str| {
            let now = Instant::default() + Duration::from_millis(ms);
            let text = kept.text(now, async { text.to_owned() }).await;
            String::from_utf8(text.to_vec()).expect("text")
        };
        let mut shown = Vec::new();
        for (ms, text) in [(0, "a"), (999, "b"), (1_000, "c"), (1_999, "d"), (2_000, "e")] {
            shown.push(at(ms, text).await);
        }
        assert_eq!(shown, ["a", "a", "c", "c", "e"]);
    }

    #[tokio::test]
    async fn whoever_asks_for_something_else_has_a_turn_between_the_parts_of_a_text() {
        let kept = Kept::default();
        let control = RefCell::new(Vec::new());
        let rows: Vec<usize> = (0..3 * ROWS_AT_ONCE).collect();
        let (written, turns) = (RefCell::new(0), RefCell::new(Vec::new()));
        let scrape = || {
            let rendered = async {
                each(&control, &rows, |_, _| *written.borrow_mut() += 1).await;
                control.borrow_mut().push("rendered");
                String::new()
            };
            kept.text(Instant::default(), rendered)
        };
        let others = async {
            while control.borrow().is_empty() {
                turns.borrow_mut().push(*written.borrow());
                yield_now().await;
            }
        };
        tokio::join!(biased; scrape(), scrape(), others);
        assert_eq!(*turns.borrow(), [1, 2, 3].map(|parts| parts * ROWS_AT_ONCE));
        assert_eq!(*control.borrow(), ["rendered"], "once for both");
    }
}
