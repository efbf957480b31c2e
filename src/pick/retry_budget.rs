//! How many requests of a pool may be sent again: a share of the recent ones, so that an outage
//! never gets much more traffic than the clients make (Finagle's and Envoy's retry budget). Each
//! shard limits its own requests to the share, so the total is limited too; the reserve is per
//! shard, so a pool has it as many times as there are shards.

use crate::base::Instant;

/// The budget is over the present span of this length and the one before.
const SPAN_MS: u64 = 2_000;

/// Requests of one shard that may be sent again in two spans however few were received.
const RESERVE: u64 = 3;

/// Requests received and requests sent again in one span.
#[derive(Clone, Copy, Default)]
struct Span {
    requests: u64,
    resent: u64,
}

/// See the module.
#[derive(Clone, Copy, Default)]
pub(super) struct RetryBudget {
    number: u64,
    present: Span,
    before: Span,
}

impl RetryBudget {
    /// Counts a request.
    pub(super) fn note_request(&mut self, now: Instant) {
        self.turn_to(now);
        self.present.requests += 1;
    }

    /// True if a request may be sent again, which is counted then. `percent`, 0 to 100: the share
    /// of the requests; with 0 none may.
    pub(super) fn take(&mut self, now: Instant, percent: u32) -> bool {
        self.turn_to(now);
        let requests = self.present.requests + self.before.requests;
        let resent = self.present.resent + self.before.resent;
        let share = requests * u64::from(percent) / 100;
        let may = percent > 0 && resent < share.max(RESERVE);
        self.present.resent += u64::from(may);
        may
    }

    fn turn_to(&mut self, now: Instant) {
        let number = now.as_millis() / SPAN_MS;
        if number != self.number {
            let is_next = number == self.number + 1;
            self.before = if is_next { self.present } else { Span::default() };
            self.present = Span::default();
            self.number = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn taken(budget: &mut RetryBudget, now: Instant, percent: u32) -> u64 {
        (0..1_000).filter(|_| budget.take(now, percent)).count() as u64
    }

    #[test]
    fn a_share_of_the_requests_may_be_sent_again_and_at_least_three() {
        for (requests, percent, expected) in
            [(0, 20, 3), (10, 20, 3), (100, 20, 20), (100, 100, 100), (100, 0, 0), (0, 0, 0)]
        {
            let (mut budget, now) = (RetryBudget::default(), Instant::default());
            (0..requests).for_each(|_| budget.note_request(now));
            assert_eq!(taken(&mut budget, now, percent), expected, "{requests}, {percent} %");
            let soon = now + Duration::from_millis(SPAN_MS);
            assert_eq!(taken(&mut budget, soon, percent), 0, "it was spent a moment ago");
            let later = soon + Duration::from_millis(2 * SPAN_MS);
            let reserve = if percent == 0 { 0 } else { RESERVE };
            assert_eq!(taken(&mut budget, later, percent), reserve);
        }
    }

    #[test]
    fn an_outage_gets_a_quarter_more_at_most() {
        // A thousand requests per second for an hour, the last 30 s of which fail.
        let (mut budget, mut resent) = (RetryBudget::default(), 0);
        for millis in 0..3_600_000u64 {
            let now = Instant::from_nanos(millis * 1_000_000);
            budget.note_request(now);
            if millis >= 3_570_000 {
                resent += u64::from(budget.take(now, 20));
            }
        }
        assert!((5_000..7_500).contains(&resent), "{resent} of 30,000");
    }
}
