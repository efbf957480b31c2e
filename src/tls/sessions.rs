//! Sessions with the backends of a pool that can be resumed. Each backend has its own, even of one
//! name: the tickets of one are of no use to another.
//!
//! All shards share them, and only ever try to lock them: a session that cannot be had at that
//! moment costs a full handshake.

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// Tickets of TLS 1.3 that are kept of a backend; each is used once.
const TICKETS_MAX: usize = 8;

/// Backends of which sessions are kept. Beyond that all are dropped: most of them have left.
const BACKENDS_MAX: usize = 4096;

/// The key includes the name: a resumed session is not verified again.
type Place = (SocketAddr, ServerName<'static>);

/// What is kept of one backend.
#[derive(Debug, Default)]
struct Kept {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    /// The newest last.
    tickets: VecDeque<Tls13ClientSessionValue>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Place, Kept>>);

impl Sessions {
    fn lock(&self) -> Option<MutexGuard<'_, HashMap<Place, Kept>>> {
        self.0.try_lock().ok()
    }

    fn find<T>(
        &self,
        address: SocketAddr,
        name: &ServerName<'_>,
        take: impl FnOnce(&mut Kept) -> Option<T>,
    ) -> Option<T> {
        take(self.lock()?.get_mut(&(address, name.to_owned()))?)
    }

    fn change(
        &self,
        address: SocketAddr,
        name: ServerName<'static>,
        change: impl FnOnce(&mut Kept),
    ) {
        let Some(mut all) = self.lock() else { return };
        if all.len() >= BACKENDS_MAX && !all.contains_key(&(address, name.clone())) {
            all.clear();
        }
        change(all.entry((address, name)).or_default());
    }
}

/// Those with the backend at one address.
#[derive(Debug)]
pub(super) struct OfBackend {
    pub(super) sessions: Arc<Sessions>,
    pub(super) address: SocketAddr,
}

impl ClientSessionStore for OfBackend {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.sessions.change(self.address, name, |kept| kept.group = Some(group));
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.find(self.address, name, |kept| kept.group)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.sessions.change(self.address, name, |kept| kept.tls12 = Some(session));
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.sessions.find(self.address, name, |kept| kept.tls12.clone())
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.sessions.find(self.address, name, |kept| kept.tls12.take());
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.sessions.change(self.address, name, |kept| {
            if kept.tickets.len() >= TICKETS_MAX {
                kept.tickets.pop_front();
            }
            kept.tickets.push_back(ticket);
        });
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.find(self.address, name, |kept| kept.tickets.pop_back())
    }
}
