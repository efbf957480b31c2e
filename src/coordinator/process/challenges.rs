//! The challenges of ACME that the shards answer: those of all orders that are under way.

use crate::snapshot::Challenges;
use crate::tls::Site;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One challenge with its answer.
#[derive(Clone, Debug)]
pub(crate) enum Challenge {
    /// By a request of plain HTTP.
    Http {
        /// The token.
        token: String,
        /// The key authorization.
        answer: String,
    },
    /// By a TLS handshake.
    Tls {
        /// The name, in lower case.
        name: String,
        /// What answers.
        site: Arc<Site>,
    },
}

/// See the module.
#[derive(Default)]
pub(crate) struct OpenChallenges {
    by_order: BTreeMap<u64, Vec<Challenge>>,
    next: u64,
    published: Option<Arc<Challenges>>,
}

impl OpenChallenges {
    /// Adds those of an order; the number is for [`OpenChallenges::remove`].
    pub(crate) fn add(&mut self, challenges: Vec<Challenge>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.by_order.insert(number, challenges);
        self.build();
        number
    }

    /// Removes those of an order.
    pub(crate) fn remove(&mut self, number: u64) {
        self.by_order.remove(&number);
        self.build();
    }

    /// What a snapshot has; none without a challenge.
    pub(crate) fn published(&self) -> Option<Arc<Challenges>> {
        self.published.clone()
    }

    fn build(&mut self) {
        let mut all = Challenges::default();
        for challenge in self.by_order.values().flatten() {
            match challenge {
                Challenge::Http { token, answer } => all.add_http(token, answer),
                Challenge::Tls { name, site } => all.add_tls(name, site.clone()),
            }
        }
        let has_any = self.by_order.values().any(|challenges| !challenges.is_empty());
        self.published = has_any.then(|| Arc::new(all));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_orders_come_and_go() {
        let mut open = OpenChallenges::default();
        let http = |token: &str| {
            vec![Challenge::Http { token: token.to_owned(), answer: format!("{token}.key") }]
        };
        let none = open.add(Vec::new());
        assert!(open.published().is_none(), "nothing is to be answered");
        let (one, two) = (open.add(http("one")), open.add(http("two")));
        let answer = |open: &OpenChallenges, token: &str| {
            let path = format!("/.well-known/acme-challenge/{token}");
            Some(open.published()?.http_answer(path.as_bytes())?.to_vec())
        };
        assert_eq!(answer(&open, "one"), Some(b"one.key".to_vec()));
        assert_eq!(answer(&open, "three"), None);
        open.remove(one);
        assert_eq!((answer(&open, "one"), answer(&open, "two").is_some()), (None, true));
        open.remove(none);
        open.remove(two);
        assert!(open.published().is_none());
    }
}
