//! Files of TLS that change while the process runs: they are looked at once a second, by another
//! thread, and put in force if they can be used; if not, what they had before still holds. That
//! works on every file system and for every way of replacing a file, also by a symbolic link to
//! another folder.
//!
//! Two files that have to fit may be replaced one after the other: only what cannot be used for
//! some seconds is reported.

use crate::config::{FILE_BYTES_MAX, TlsContent, TlsFiles};
use crate::coordinator::control::Control;
use crate::coordinator::events::beginning;
use crate::coordinator::process::{Expiry, Staples};
use crate::sys::clock;
use crate::sys::file::{self, Stamp};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Failures in a row, one a second, after which a file is reported.
const FAILURES_BEFORE_REPORT: u32 = 3;

/// What is known of files.
#[derive(Clone, Default)]
struct Seen {
    /// Their state before they were read; none if one of them is not there.
    stamps: Option<Vec<Stamp>>,
    /// Failures in a row.
    failures: u32,
}

/// The files that have to be read, with their state before that.
type Look = (TlsFiles, Option<Vec<Stamp>>, Result<TlsContent, String>);

/// Follows the files of the configuration in force, and the dates of certificates.
pub(crate) async fn follow(control: Rc<RefCell<Control>>) {
    let mut seen: HashMap<TlsFiles, Seen> = HashMap::new();
    let (mut expiry, mut staples) = (Expiry::default(), Staples::default());
    loop {
        report_dates(&control, &mut expiry);
        follow_staples(&control, &mut staples);
        let wanted = control.borrow().config().tls_files();
        seen.retain(|files, _| wanted.contains(files));
        if !wanted.is_empty() {
            let known = seen.clone();
            let looked = tokio::task::spawn_blocking(move || look(wanted, &known)).await;
            for (files, stamps, read) in looked.expect("it does not panic, and is not aborted") {
                let state = seen.entry(files.clone()).or_default();
                state.stamps = stamps;
                take(&control, &files, read, &mut state.failures);
            }
        }
        // A pause after each look, whatever it took: missed ones are not made up for.
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn report_dates(control: &RefCell<Control>, expiry: &mut Expiry) {
    let events = expiry.events(&control.borrow().config().certificates, clock::wall_seconds());
    if !events.is_empty() {
        let mut control = control.borrow_mut();
        events.into_iter().for_each(|event| control.fleet_mut().note_event(event));
    }
}

/// Answers of OCSP are sent as long as they are valid; that one is not is an event.
fn follow_staples(control: &RefCell<Control>, staples: &mut Staples) {
    let wall_s = i64::try_from(clock::wall_seconds()).unwrap_or(i64::MAX);
    let events = staples.events(&control.borrow().config().certificates, wall_s);
    let mut control = control.borrow_mut();
    control.follow_staples(wall_s, clock::monotonic());
    events.into_iter().for_each(|event| control.fleet_mut().note_event(event));
}

/// Reads files that are new or have changed, and those that could not be used: the failure may be
/// one of Ringway's limits.
fn look(wanted: BTreeSet<TlsFiles>, known: &HashMap<TlsFiles, Seen>) -> Vec<Look> {
    let looked = wanted.into_iter().filter_map(|files| {
        let stamps: Option<Vec<Stamp>> = files.paths().map(Stamp::of).collect();
        if stamps.is_none() && files.may_be_absent() {
            return None;
        }
        let same = known.get(&files).is_some_and(|seen| {
            seen.failures == 0 && seen.stamps.is_some() && seen.stamps == stamps
        });
        let read = |path: &Path| file::read_regular(path, FILE_BYTES_MAX);
        (!same).then(|| {
            let content = files.read(&read);
            (files, stamps, content)
        })
    });
    looked.collect()
}

/// Puts what was read in force, and counts a failure.
fn take(
    control: &RefCell<Control>,
    files: &TlsFiles,
    read: Result<TlsContent, String>,
    failures: &mut u32,
) {
    let mut control = control.borrow_mut();
    let replaced =
        read.and_then(|content| control.replace_tls(files, &content, clock::monotonic()));
    match replaced {
        Ok(()) => *failures = 0,
        Err(reason) => {
            *failures = failures.saturating_add(1);
            let reason = beginning(&reason);
            let is_news = control.tls_failures().get(files) != Some(&reason);
            if *failures >= FAILURES_BEFORE_REPORT && is_news {
                control.tls_failed(files, reason);
            }
        }
    }
}
