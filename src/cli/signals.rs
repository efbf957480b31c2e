//! Signals that do not end the process, besides those of the coordinator (TERM, INT and HUP).

use ringway::access_log::Sender;
use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Signals that would end the process, and that are sent to servers for other purposes: conventions
/// of other servers, timers, profilers, a limit of the size of files, for which a write then fails.
/// QUIT and the signals of program faults keep their meaning.
const IGNORED: [(i32, &str); 7] = [
    (libc::SIGUSR2, "USR2"),
    (libc::SIGALRM, "ALRM"),
    (libc::SIGVTALRM, "VTALRM"),
    (libc::SIGPROF, "PROF"),
    (libc::SIGIO, "IO"),
    (libc::SIGPWR, "PWR"),
    (libc::SIGXFSZ, "XFSZ"),
];

/// Opens the access log anew at each SIGUSR1, and ignores the other signals. Without a log USR1
/// must not end the process either: a rotation need not know whether there is one. Within a
/// runtime.
pub(super) fn follow(access_log: Option<Sender>) -> io::Result<()> {
    let mut rotations = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        while rotations.recv().await.is_some() {
            if let Some(access_log) = &access_log {
                access_log.reopen();
            }
        }
    });
    IGNORED.into_iter().try_for_each(|(number, name)| ignore(number, name))
}

/// Ignores a signal however often it is sent; the first one is logged.
fn ignore(number: i32, name: &'static str) -> io::Result<()> {
    let mut signals = signal(SignalKind::from_raw(number))?;
    tokio::spawn(async move {
        if signals.recv().await.is_some() {
            tracing::warn!(
                "signal {name} is ignored, now and later; there are TERM and INT (end), HUP \
                 (reload) and USR1 (open the access log anew)"
            );
        }
    });
    Ok(())
}
