//! `[admin]`: the interface for operators and monitors. It is read at the start only.

use super::listeners::Listener;
use crate::config::addresses::parse_admin_address;
use crate::config::endpoint::Endpoint;
use crate::config::keys::kinds::{counts, optional, path};
use crate::config::keys::{Keys, section};
use crate::config::raw::Section;
use crate::config::values::parse_socket_path;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The user id that stands for none (chown(2)).
const UID_NONE: u32 = u32::MAX;

/// The default path of the admin socket.
pub const ADMIN_SOCKET_DEFAULT: &str = "/run/ringway/admin.sock";

section! {
    /// `[admin]`: the interface for operators and monitors.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Admin {
        /// The Unix socket that takes orders; none: nowhere.
        socket: Option<PathBuf> =
            Some(ADMIN_SOCKET_DEFAULT.into()) => path(parse_socket_path).at_start(),
        /// Users, besides root and the one that runs the process, who may give orders.
        allow_uids: Vec<u32> = Vec::new() => counts(0..=UID_NONE - 1).at_start(),
        /// A TCP address for reading only; none: nowhere.
        listen: Option<SocketAddr> = None => optional(parse_listen).at_start(),
    }
}

impl Admin {
    /// Reads the section. The address must be none of the `listeners`.
    pub(in crate::config) fn read(mut section: Section<'_>, listeners: &[Listener]) -> Self {
        let mut admin = Self::default();
        admin.read_keys(&mut section);
        let own = admin.listen.map(Endpoint::tcp);
        let is_same =
            |listener: &&Listener| own.is_some_and(|own| own.overlaps(&listener.endpoint()));
        if let Some(address) = admin.listen
            && let Some(Listener { name, address: other, .. }) = listeners.iter().find(is_same)
        {
            let message = format!(
                "{address} is in the way of listener `{name}` on {other}: give one another port"
            );
            section.report().add(section.value_span("listen"), message);
        }
        section.finish();
        admin
    }
}

fn parse_listen(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.is_empty() { Ok(None) } else { parse_admin_address(text).map(Some) }
}
