//! The files that the system's resolver is configured by.

use crate::sys::file::Stamp;
use std::path::PathBuf;

/// Where the system says whom to ask, and what it knows itself.
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
    /// What tells that one of them has changed.
    pub(super) fn stamps(&self) -> [Option<Stamp>; 2] {
        [Stamp::of(&self.resolv_conf), Stamp::of(&self.hosts)]
    }
}
