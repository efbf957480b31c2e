//! What answers each server name of a listener of HTTPS.

use super::registry::Registry;
use crate::config::{Alternatives, Certificate, Config, ListenerIndex, NoSni, UnknownSni};
use crate::tls::{Answer, ServerNames, Shown, Site, Terms};
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
    // `name` is none for the default, which answers whatever it has.
    let mut answering = |alternatives: &Alternatives, name: Option<&str>| {
        let loaded = |place: usize| {
            let one: &Certificate = &config.certificates[place];
            name.map_or(one.loaded.as_ref(), |name| one.answering(name))
        };
        let present: Alternatives =
            alternatives.iter().copied().filter(|place| loaded(*place).is_some()).collect();
        if present.is_empty() {
            return Answer::Awaited;
        }
        let entry = built.entry(present.clone()).or_insert_with(|| {
            let shown = |place: &usize| {
                let staple = config.certificates[*place].staple.as_deref();
                let staple = staple.filter(|staple| registry.staples.contains(&staple.digest()));
                Some(Shown { certificate: loaded(*place)?, staple })
            };
            let chosen: Vec<_> = present.iter().filter_map(shown).collect();
            terms.answering_with(&chosen, config.client_policy(index, alternatives))
        });
        Answer::Site(entry.clone())
    };
    let default = (!names.default.is_empty()).then(|| answering(&names.default, None));
    let unknown = default.clone().filter(|_| listener.unknown_sni == UnknownSni::Default);
    let unnamed = default.filter(|_| listener.no_sni == NoSni::Default);
    let mut table = ServerNames::new(unknown, unnamed);
    for (name, alternatives) in &names.by_name {
        table.add(name, &answering(alternatives, Some(name)));
    }
    table
}
