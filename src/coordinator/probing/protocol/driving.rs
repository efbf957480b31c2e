//! Polls a connection of hyper, and the futures that it would spawn, within the task of the probe:
//! a probe that is over, or aborted, leaves no task behind. Does not: send requests.

use hyper::rt::Executor;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

/// Runs `work`, which waits for `connection`.
pub(super) async fn drive<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let (mut connection, mut work) = (pin!(connection), pin!(work));
    let mut is_over = false;
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        // `work` has the result of an ended connection.
        is_over = is_over || connection.as_mut().poll(context).is_ready();
        // Its result is polled at once, not on a turn of its own.
        work.as_mut().poll(context)
    })
    .await
}

type Companion = Pin<Box<dyn Future<Output = ()> + Send>>;
type Arrivals = Mutex<Vec<Companion>>;

/// The futures that a connection over HTTP/2 spawns.
#[derive(Default)]
pub(super) struct Companions {
    arrivals: Arc<Arrivals>,
    running: Vec<Companion>,
}

/// Hands futures over to [`Companions`]. Weak: the futures own one, and must not own themselves.
#[derive(Clone)]
pub(super) struct Adoption(Weak<Arrivals>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Adoption {
    fn execute(&self, future: F) {
        if let Some(arrivals) = self.0.upgrade() {
            arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(future));
        }
    }
}

impl Companions {
    /// The executor to give to the connection.
    pub(super) fn adoption(&self) -> Adoption {
        Adoption(Arc::downgrade(&self.arrivals))
    }

    /// Runs them beside `connection`; over when all of them are.
    pub(super) async fn accompany(mut self, connection: impl Future) {
        let mut connection = pin!(connection);
        let mut is_over = false;
        poll_fn(|context| {
            is_over = is_over || connection.as_mut().poll(context).is_ready();
            self.poll_all(context);
            if is_over && self.running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Until no new ones come: one may bring others.
    fn poll_all(&mut self, context: &mut Context<'_>) {
        loop {
            self.running.retain_mut(|one| one.as_mut().poll(context).is_pending());
            let mut arrived = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            if arrived.is_empty() {
                return;
            }
            self.running.append(&mut arrived);
        }
    }
}
