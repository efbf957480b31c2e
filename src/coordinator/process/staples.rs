//! Answers of OCSP: whether each is sent with its certificate is reported once when that changes.
//! Where a certificate is renewed before its answer, that takes a while.

use crate::config::Certificate;
use crate::coordinator::events::Event;
use crate::tls::StapleState;
use std::collections::HashMap;
use std::path::PathBuf;

/// What was reported last, by the file of the answer and that of the chain.
#[derive(Default)]
pub(crate) struct Staples(HashMap<(PathBuf, PathBuf), StapleState>);

impl Staples {
    /// The events that are due at this time, seconds since 1970.
    pub(crate) fn events(&mut self, certificates: &[Certificate], wall_s: i64) -> Vec<Event> {
        let mut present = HashMap::new();
        let mut due = Vec::new();
        for one in certificates {
            let (Some(file), Some(staple)) = (&one.ocsp, &one.staple) else { continue };
            let Some(loaded) = &one.loaded else { continue };
            let key = (file.clone(), one.chain.clone());
            let state = staple.state(loaded, wall_s);
            if self.0.get(&key) != Some(&state) {
                let certificate = one.chain.display().to_string();
                due.push(Event::OcspStaple { certificate, is: state.word() });
            }
            present.insert(key, state);
        }
        self.0 = present;
        due
    }
}
