//! The configuration files of the system's resolver.

use crate::sys::file::Stamp;
use std::path::PathBuf;

/// The paths of resolv.conf and hosts.
pub(super) struct SystemFiles {
    pub(super) resolv_conf: PathBuf,
    pub(super) hosts: PathBuf,
}

impl Default for SystemFiles {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() }
    }
}

impl SystemFiles {
    /// Their state, by which a change is seen.
    pub(super) fn stamps(&self) -> [Option<Stamp>; 2] {
        [Stamp::of(&self.resolv_conf), Stamp::of(&self.hosts)]
    }
}
