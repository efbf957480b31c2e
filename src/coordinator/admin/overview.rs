//! Answers that list every backend. With thousands of backends they take so long that other
//! requests would be delayed: only one is collected at a time, other requests run in between, and
//! its text is made by another thread.

use super::reply::json_text;
use serde::Serialize;
use tokio::sync::Semaphore;

/// See the module.
pub(super) struct Overviews(Semaphore);

impl Default for Overviews {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

impl Overviews {
    /// The result of `collect`, as JSON.
    pub(super) async fn text<T>(&self, collect: impl FnOnce() -> T) -> Vec<u8>
    where
        T: Serialize + Send + 'static,
    {
        let _turn = self.0.acquire().await;
        let known = collect();
        let written = tokio::task::spawn_blocking(move || json_text(&known)).await;
        written.expect("it does not panic, and is not aborted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[tokio::test]
    async fn whoever_asks_for_something_else_waits_for_no_more_than_one_overview() {
        let overviews = Overviews::default();
        let order = RefCell::new(Vec::new());
        let overview = || async {
            let collect = || order.borrow_mut().push("collected");
            overviews.text(collect).await;
            order.borrow_mut().push("told");
        };
        let live = async { order.borrow_mut().push("live") };
        tokio::join!(biased; overview(), overview(), overview(), live);
        let expected = ["collected", "live", "told", "collected", "told", "collected", "told"];
        assert_eq!(*order.borrow(), expected);
    }
}
