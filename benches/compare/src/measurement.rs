//! What is kept of one measurement, and how it is written as JSON. Nothing here measures.

use crate::load::Tally;
use serde_json::{Value, json};

/// One proxy in one scenario and one round.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The proxy's label.
    pub proxy: String,
    /// From 1.
    pub round: u32,
    /// The numbers, unless the measurement failed as a whole.
    pub figures: Option<Figures>,
    /// What went wrong with requests.
    pub errors: Errors,
    /// Why there are no figures, or why they do not count.
    pub failure: Option<String>,
}

/// The numbers of a measurement.
#[derive(Clone, Copy, Debug)]
pub enum Figures {
    /// Of a proxy at work.
    Load(LoadFigures),
    /// Of a proxy whose connections rest.
    Rest(RestFigures),
}

/// What a window of load gave.
#[derive(Clone, Copy, Debug)]
pub struct LoadFigures {
    /// The true length of the window.
    pub seconds: f64,
    /// Complete answers in it.
    pub answers: u64,
    /// Time that the proxy's threads were on a core in it.
    pub cpu_ns: u64,
    /// The kernel's share of that, 0 to 1, as sampled; none where no sample met the proxy.
    pub kernel_share: Option<f64>,
    /// Half of the requests took no longer.
    pub p50_us: f64,
    /// All but a hundredth of the requests took no longer.
    pub p99_us: f64,
    /// Resident memory at the end of the window, all connections open.
    pub rss_bytes: u64,
}

/// The memory of connections at rest.
#[derive(Clone, Copy, Debug)]
pub struct RestFigures {
    /// Connections at rest.
    pub connections: usize,
    /// Resident memory before they were opened, after some work.
    pub warm_rss_bytes: u64,
    /// Resident memory with all of them at rest.
    pub rss_bytes: u64,
}

/// What must not happen in a valid measurement, its warm-up included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Answers of another status than 2xx.
    pub not_2xx: u64,
    /// Connections lost to an error or an unexpected close.
    pub socket_errors: u64,
    /// Requests without an answer for a second when a window closed.
    pub stalled: u64,
    /// The first error in words.
    pub first: Option<String>,
}

impl Errors {
    /// Adds those of a tally.
    pub fn add(&mut self, tally: &Tally) {
        self.not_2xx += tally.not_2xx;
        self.socket_errors += tally.socket_errors;
        self.stalled += tally.stalled;
        if self.first.is_none() {
            self.first.clone_from(&tally.first_error);
        }
    }

    fn is_empty(&self) -> bool {
        self.not_2xx + self.socket_errors + self.stalled == 0
    }
}

impl Measurement {
    /// One line about what went wrong, if anything did.
    pub fn complaint(&self) -> Option<String> {
        let Measurement { scenario, proxy, round, errors, failure, .. } = self;
        let mut parts = Vec::new();
        parts.extend(failure.clone());
        if !errors.is_empty() {
            let Errors { not_2xx, socket_errors, stalled, first } = errors;
            let first = first.as_deref().unwrap_or("no answer for a second");
            parts.push(format!(
                "{not_2xx} answers not 2xx, {socket_errors} connections lost, \
                 {stalled} requests stalled; the first: {first}"
            ));
        }
        let what = parts.join("; ");
        (!parts.is_empty()).then(|| format!("{scenario}, {proxy}, round {round}: {what}"))
    }

    /// The raw row.
    pub fn to_json(&self) -> Value {
        let mut row = json!({
            "scenario": self.scenario,
            "proxy": self.proxy,
            "round": self.round,
            "not_2xx": self.errors.not_2xx,
            "socket_errors": self.errors.socket_errors,
            "stalled": self.errors.stalled,
            "first_error": self.errors.first,
            "failure": self.failure,
        });
        match &self.figures {
            Some(Figures::Load(load)) => row["load"] = load.to_json(),
            Some(Figures::Rest(rest)) => row["rest"] = rest.to_json(),
            None => {}
        }
        row
    }
}

impl LoadFigures {
    fn to_json(self) -> Value {
        json!({
            "seconds": self.seconds,
            "answers": self.answers,
            "cpu_ns": self.cpu_ns,
            "kernel_share": self.kernel_share,
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "rss_bytes": self.rss_bytes,
        })
    }
}

impl RestFigures {
    fn to_json(self) -> Value {
        json!({
            "connections": self.connections,
            "warm_rss_bytes": self.warm_rss_bytes,
            "rss_bytes": self.rss_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(errors: Errors, failure: Option<&str>) -> Measurement {
        Measurement {
            scenario: "keepalive-64",
            proxy: "ringway".to_owned(),
            round: 2,
            figures: None,
            errors,
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn a_clean_measurement_has_no_complaint() {
        assert_eq!(measurement(Errors::default(), None).complaint(), None);
    }

    #[test]
    fn a_complaint_says_where_and_what() {
        let first = Some("status 502".to_owned());
        let errors = Errors { not_2xx: 3, first, ..Errors::default() };
        let complaint = measurement(errors, None).complaint().unwrap();
        assert!(complaint.starts_with("keepalive-64, ringway, round 2: 3 answers not 2xx"));
        assert!(complaint.ends_with("status 502"), "{complaint}");
        let complaint = measurement(Errors::default(), Some("it ended")).complaint().unwrap();
        assert_eq!(complaint, "keepalive-64, ringway, round 2: it ended");
    }

    #[test]
    fn the_raw_row_names_its_kind() {
        let rest = RestFigures { connections: 8, warm_rss_bytes: 1, rss_bytes: 9 };
        let figures = Some(Figures::Rest(rest));
        let row = Measurement { figures, ..measurement(Errors::default(), None) }.to_json();
        assert_eq!(row["rest"]["rss_bytes"], 9);
        assert_eq!(row["load"], Value::Null);
    }
}
