//! The places for connections to a socket of the admin interface. When all of them are taken, a new
//! connection gets the place of the one that has been silent for longest, so that silent
//! connections cannot keep a monitor out. Does not: handle connections.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::sync::Notify;

/// See the module.
pub(super) struct Places {
    most: usize,
    taken: RefCell<Vec<Rc<Place>>>,
    /// Counts how often a connection has fallen silent, which gives their order.
    silences: Cell<u64>,
    freed: Notify,
}

struct Place {
    /// Its number in that order; none while it is answered.
    silent_since: Cell<Option<u64>>,
    lost: Notify,
}

/// A place, until dropped.
pub(super) struct Taken {
    places: Rc<Places>,
    place: Rc<Place>,
}

impl Places {
    pub(super) fn new(most: usize) -> Rc<Self> {
        let (taken, silences, freed) = (RefCell::default(), Cell::new(0), Notify::new());
        Rc::new(Self { most, taken, silences, freed })
    }

    /// A place; waits while all are taken by connections that are being answered.
    pub(super) async fn take(self: &Rc<Self>) -> Taken {
        while self.taken.borrow().len() >= self.most && !self.free_the_most_silent() {
            self.freed.notified().await;
        }
        let silent_since = Cell::new(Some(self.next_silence()));
        let place = Rc::new(Place { silent_since, lost: Notify::new() });
        self.taken.borrow_mut().push(place.clone());
        Taken { places: self.clone(), place }
    }

    fn free_the_most_silent(&self) -> bool {
        let mut taken = self.taken.borrow_mut();
        let silent =
            taken.iter().enumerate().filter(|(_, place)| place.silent_since.get().is_some());
        let Some((at, _)) = silent.min_by_key(|(_, place)| place.silent_since.get()) else {
            return false;
        };
        taken.remove(at).lost.notify_one();
        true
    }

    fn next_silence(&self) -> u64 {
        self.silences.replace(self.silences.get() + 1)
    }
}

impl Taken {
    /// A request has arrived.
    pub(super) fn begin(&self) {
        self.place.silent_since.set(None);
    }

    /// It is answered.
    pub(super) fn end(&self) {
        self.place.silent_since.set(Some(self.places.next_silence()));
    }

    /// Returns when another connection has got the place.
    pub(super) async fn lost(&self) {
        self.place.lost.notified().await;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.places.taken.borrow_mut().retain(|place| !Rc::ptr_eq(place, &self.place));
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// True if the future is ready at once.
    async fn is_done(future: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(Duration::from_millis(1), future).await.is_ok()
    }

    #[tokio::test]
    async fn the_most_silent_gives_way_and_whoever_is_answered_does_not() {
        let places = Places::new(3);
        let (first, second, third) =
            (places.take().await, places.take().await, places.take().await);
        first.begin();
        second.begin();
        second.end();
        let fourth = places.take().await;
        assert!(is_done(third.lost()).await, "it has been silent for longest");
        for kept in [&first, &second, &fourth] {
            assert!(!is_done(kept.lost()).await);
        }
        drop(third);
        second.begin();
        fourth.begin();
        assert!(!is_done(async { drop(places.take().await) }).await, "all are answered");
        drop(second);
        assert!(is_done(async { drop(places.take().await) }).await);
    }
}
