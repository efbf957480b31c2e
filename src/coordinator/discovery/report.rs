//! What the tasks that ask sources share, and how they report to the fleet.

use super::resolvers::Resolvers;
use crate::coordinator::fleet::{Fleet, Found, Source};
use crate::sys::clock;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tokio::sync::Notify;

/// State that the tasks share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) fleet: Rc<RefCell<Fleet>>,
    pub(super) resolvers: Rc<Resolvers>,
    /// Notified after each answer, the first failure of a series included.
    pub(super) news: Rc<Notify>,
}

impl Shared {
    /// The addresses that a source reported before this task began, as with another weight.
    pub(super) fn told_before(&self, pool: &str, source: &Source) -> Vec<IpAddr> {
        let fleet = self.fleet.borrow();
        let found = fleet.pools().get(pool).and_then(|pool| pool.reported.get(source));
        found.into_iter().flatten().map(|found| found.address.ip()).collect()
    }

    /// Reports an answer, complete or partial.
    pub(super) fn reported(&self, pool: &str, source: &Source, found: Vec<Found>, is_whole: bool) {
        let now = clock::monotonic();
        let mut fleet = self.fleet.borrow_mut();
        match is_whole {
            true => fleet.report(pool, source.clone(), unique(found), now),
            false => fleet.report_part(pool, source.clone(), unique(found), now),
        }
        self.news.notify_one();
    }

    /// Reports a failure; the last report still holds.
    pub(super) fn failed(&self, pool: &str, source: &Source, reason: String) {
        let now = clock::monotonic();
        self.fleet.borrow_mut().source_failed(pool, source, reason, now);
        self.news.notify_one();
    }
}

/// The first of each address.
pub(super) fn unique(found: Vec<Found>) -> Vec<Found> {
    let mut seen = std::collections::BTreeSet::<SocketAddr>::new();
    let mut unique: Vec<Found> = found.into_iter().filter(|f| seen.insert(f.address)).collect();
    // An answer in another order is the same answer.
    unique.sort_by_key(|found| found.address);
    unique
}
