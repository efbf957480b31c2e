//! The readiness of the process and of its pools: computed on change, and kept as complete answers,
//! so that frequent requests of monitors are cheap.
//!
//! Does not: read a clock or state of the data plane.

use super::phase::Phase;
use crate::coordinator::fleet::PoolRecord;
use bytes::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;

/// A readiness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Traffic should come here.
    pub ready: bool,
    /// The phase of the process.
    pub state: &'static str,
    /// The reasons why not; empty if it should.
    pub reasons: Vec<String>,
}

/// A readiness and its answer.
#[derive(Clone, Debug)]
pub struct ReadyAnswer {
    /// The readiness.
    pub readiness: Readiness,
    /// The same in JSON.
    pub body: Bytes,
}

impl From<Readiness> for ReadyAnswer {
    fn from(readiness: Readiness) -> Self {
        let mut body = serde_json::to_vec_pretty(&readiness).unwrap_or_default();
        body.push(b'\n');
        Self { readiness, body: body.into() }
    }
}

/// The answers for the process and for each pool, as of the last change.
#[derive(Debug)]
pub struct ReadyAnswers {
    process: ReadyAnswer,
    pools: BTreeMap<String, ReadyAnswer>,
}

impl Default for ReadyAnswers {
    /// Those of a process that has no pool yet.
    fn default() -> Self {
        let process = judged(Phase::Starting, false, Vec::new());
        Self { process: process.into(), pools: BTreeMap::new() }
    }
}

impl ReadyAnswers {
    /// The answer for the process: the pools that are required count.
    pub fn process(&self) -> &ReadyAnswer {
        &self.process
    }

    /// The answer for one pool, whether it is required or not. None if there is no such pool.
    pub fn pool(&self, name: &str) -> Option<&ReadyAnswer> {
        self.pools.get(name)
    }

    /// The names of all pools.
    pub fn pool_names(&self) -> impl Iterator<Item = &str> {
        self.pools.keys().map(String::as_str)
    }

    /// Computes them anew. An unchanged answer is kept.
    pub(crate) fn update<'p>(
        &mut self,
        phase: Phase,
        has_shard: bool,
        pools: impl Iterator<Item = &'p PoolRecord>,
    ) {
        let mut before = std::mem::take(&mut self.pools);
        let mut of_required = Vec::new();
        for pool in pools.filter(|pool| !pool.is_removed) {
            let name = &pool.config.name;
            let shortage = shortage(pool);
            if pool.config.required {
                of_required.extend(shortage.clone());
            }
            let readiness = judged(phase, has_shard, shortage.into_iter().collect());
            let (key, kept) = before.remove_entry(name).unzip();
            let kept: Option<ReadyAnswer> = kept.filter(|kept| kept.readiness == readiness);
            let answer = kept.unwrap_or_else(|| readiness.into());
            self.pools.insert(key.unwrap_or_else(|| name.clone()), answer);
        }
        let process = judged(phase, has_shard, of_required);
        if self.process.readiness != process {
            self.process = process.into();
        }
    }
}

/// The readiness in a phase, with the reasons of pools that lack backends.
fn judged(phase: Phase, has_shard: bool, shortages: Vec<String>) -> Readiness {
    let mut reasons = Vec::new();
    match phase {
        Phase::Serving if !has_shard => reasons.push("no shard runs".to_owned()),
        Phase::Serving => {}
        phase => reasons.push(format!("the process is {}", phase.word())),
    }
    reasons.extend(shortages);
    Readiness { ready: reasons.is_empty(), state: phase.word(), reasons }
}

fn shortage(pool: &PoolRecord) -> Option<String> {
    let (has, needs) = (pool.fit_count(), pool.config.min_ready);
    let name = &pool.config.name;
    (has < needs).then(|| format!("pool {name} has {has} healthy backends and needs {needs}"))
}
