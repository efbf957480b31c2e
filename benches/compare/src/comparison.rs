//! The order of the work: which proxy is started, measured and ended when.
//!
//! Rounds are interleaved: each measures every proxy once, so that whatever changes slowly on the
//! machine meets all of them alike. The order rotates, so that none always follows the same one.

use crate::contender::{Contender, Pages, Proxy, Surroundings};
use crate::measurement::{Errors, Measurement};
use crate::measuring::measure;
use crate::scenario::Scenario;
use crate::sys::signal;
use anyhow::Result;
use std::time::Duration;

/// What is compared, and how long.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The proxies.
    pub contenders: &'a [Contender],
    /// Where they run.
    pub surroundings: &'a Surroundings,
    /// Measurements of each proxy.
    pub rounds: u32,
    /// The length of each.
    pub window: Duration,
}

/// A proxy that runs, or why it does not.
type Started = Result<Proxy, String>;

impl Comparison<'_> {
    /// All measurements of one scenario. Only an interrupt ends it early; whatever else goes wrong
    /// is part of a measurement.
    pub fn run(&self, scenario: &Scenario) -> Result<Vec<Measurement>> {
        if scenario.measures_memory() { self.run_fresh(scenario) } else { self.run_kept(scenario) }
    }

    /// Each proxy is started once; all but the one under load are idle.
    fn run_kept(&self, scenario: &Scenario) -> Result<Vec<Measurement>> {
        let starts =
            self.contenders.iter().map(|contender| self.start(contender, scenario, Pages::AsAsked));
        let mut proxies = starts.collect::<Result<Vec<_>>>()?;
        let mut measurements = Vec::new();
        for round in 1..=self.rounds {
            self.report_round(scenario, round);
            for index in order(proxies.len(), round) {
                let label = &self.contenders[index].label;
                measurements.push(self.measure(scenario, label, round, &mut proxies[index])?);
            }
        }
        Ok(measurements)
    }

    /// Each measurement has a proxy that has just been started, with small pages: memory is looked at.
    fn run_fresh(&self, scenario: &Scenario) -> Result<Vec<Measurement>> {
        let mut measurements = Vec::new();
        for round in 1..=self.rounds {
            self.report_round(scenario, round);
            for index in order(self.contenders.len(), round) {
                let contender = &self.contenders[index];
                let mut proxy = self.start(contender, scenario, Pages::Small)?;
                measurements.push(self.measure(scenario, &contender.label, round, &mut proxy)?);
            }
        }
        Ok(measurements)
    }

    fn start(&self, contender: &Contender, scenario: &Scenario, pages: Pages) -> Result<Started> {
        let started = contender.start(self.surroundings, scenario.protocol, pages);
        signal::check_interrupt()?;
        Ok(started.map_err(|error| format!("{error:#}")))
    }

    fn measure(
        &self,
        scenario: &Scenario,
        label: &str,
        round: u32,
        proxy: &mut Started,
    ) -> Result<Measurement> {
        let mut measurement = Measurement {
            scenario: scenario.name,
            proxy: label.to_owned(),
            round,
            figures: None,
            errors: Errors::default(),
            failure: None,
        };
        match proxy {
            Err(reason) => measurement.failure = Some(reason.clone()),
            Ok(proxy) => match measure(proxy, scenario, self.window, &mut measurement.errors) {
                Ok(figures) => measurement.figures = Some(figures),
                Err(error) => measurement.failure = Some(describe(&error, proxy)),
            },
        }
        signal::check_interrupt()?;
        Ok(measurement)
    }

    fn report_round(&self, scenario: &Scenario, round: u32) {
        eprintln!("{}: round {round} of {}", scenario.name, self.rounds);
    }
}

/// The indices of `count` proxies in the order of a round; rounds count from 1.
fn order(count: usize, round: u32) -> impl Iterator<Item = usize> {
    let first = (round as usize - 1) % count.max(1);
    (0..count).map(move |step| (first + step) % count)
}

fn describe(error: &anyhow::Error, proxy: &mut Proxy) -> String {
    if proxy.has_ended() {
        format!("{error:#}; the proxy has ended; its last lines: {}", proxy.last_words())
    } else {
        format!("{error:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_rotates_and_leaves_none_out() {
        let orders = (1..=4).map(|round| order(3, round).collect::<Vec<_>>());
        assert_eq!(
            orders.collect::<Vec<_>>(),
            [vec![0, 1, 2], vec![1, 2, 0], vec![2, 0, 1], vec![0, 1, 2]]
        );
        assert_eq!(order(0, 1).count(), 0);
    }
}
