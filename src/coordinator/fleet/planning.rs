//! Which backends a part of the configuration stands for, and which another configuration would
//! keep. Does not: change anything.

use super::{Fleet, Record, Source};
use crate::config;
use crate::coordinator::reload::Part;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Bound::{Included, Unbounded};

impl Fleet {
    /// The backends of a part: those of a pool, the one of an address, those of a name or file that
    /// no source before it lists.
    pub fn meant_by<'f>(
        &'f self,
        part: &'f Part,
    ) -> impl Iterator<Item = (&'f SocketAddr, &'f Record)> {
        let pool = match part {
            Part::Pool { pool, .. }
            | Part::Backend { pool, .. }
            | Part::BackendsFile { pool, .. } => self.pools.get(pool),
            Part::Process(_) | Part::Listener { .. } | Part::Route(_) => None,
        };
        let address = match part {
            Part::Backend { backend, .. } => backend.parse::<SocketAddr>().ok(),
            _ => None,
        };
        let range = address.map_or((Unbounded, Unbounded), |one| (Included(one), Included(one)));
        let is_meant = move |source: &Source| match (part, source) {
            (Part::Backend { backend, .. }, Source::Name(name)) => name == backend,
            (Part::Backend { .. }, _) => address.is_some(),
            (Part::BackendsFile { .. }, source) => *source == Source::File,
            _ => true,
        };
        let backends = pool.into_iter().flat_map(move |pool| pool.backends.range(range));
        backends.filter(move |(_, record)| is_meant(&record.source))
    }

    /// The backends of a pool that its sources list under another configuration of it, as far as
    /// they have reported already: the content of another file is not known.
    pub fn reported_under(&self, next: &config::Pool) -> BTreeSet<SocketAddr> {
        let mut all: BTreeSet<SocketAddr> = next.backends.iter().map(|b| b.address).collect();
        let Some(known) = self.pools.get(&next.name) else { return all };
        let goes_on = |source: &Source| match source {
            Source::Config => false, // the other configuration has its own list
            Source::Operator => true,
            Source::Name(name) => next.names.iter().any(|next| next.lookup.to_string() == *name),
            Source::File => next.backends_file == known.config.backends_file,
        };
        let reported = known.reported.iter().filter(|(source, _)| goes_on(source));
        all.extend(reported.flat_map(|(_, found)| found).map(|found| found.address));
        all
    }
}
