//! What answers each server name of a listener of HTTPS.

use super::registry::Registry;
use crate::config::{Alternatives, Config, ListenerIndex, NoSni, UnknownSni};
use crate::tls::{ServerNames, Shown, Site, Terms};
use std::collections::HashMap;
use std::sync::Arc;

/// The table of a listener. Certificates of several names share what they answer with.
///
/// # Panics
/// If certificates clash, which a checked configuration excludes.
pub(super) fn build(config: &Config, index: ListenerIndex, registry: &Registry) -> ServerNames {
    let listener = &config.listeners[index.0];
    let names = config.server_names(index).expect("a checked configuration has no clash");
    let terms = Terms::new(&listener.tls, listener.http2, &registry.tickets);
    let mut built: HashMap<Alternatives, Arc<Site>> = HashMap::new();
    let mut answering = |alternatives: &Alternatives| {
        let entry = built.entry(alternatives.clone()).or_insert_with(|| {
            let shown = |place: &usize| {
                let one = &config.certificates[*place];
                let staple = one.staple.as_deref();
                let staple = staple.filter(|staple| registry.staples.contains(&staple.digest()));
                Shown { certificate: &one.loaded, staple }
            };
            let chosen: Vec<_> = alternatives.iter().map(shown).collect();
            terms.answering_with(&chosen, config.client_policy(index, alternatives))
        });
        entry.clone()
    };
    let default = (!names.default.is_empty()).then(|| answering(&names.default));
    let unknown = default.clone().filter(|_| listener.unknown_sni == UnknownSni::Default);
    let unnamed = default.filter(|_| listener.no_sni == NoSni::Default);
    let mut table = ServerNames::new(unknown, unnamed);
    for (name, alternatives) in &names.by_name {
        table.add(name, &answering(alternatives));
    }
    table
}
