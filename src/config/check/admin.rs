//! `[admin]`.

use crate::config::addresses::{overlap, parse_admin_address};
use crate::config::model::{Admin, Listener};
use crate::config::raw::Section;
use crate::config::values::parse_socket_path;

/// The user id that stands for none (chown(2)).
const UID_NONE: u32 = u32::MAX;

/// Reads the section. The address must be none of the `listeners`.
pub(super) fn admin(mut section: Section<'_>, listeners: &[Listener]) -> Admin {
    let mut admin = Admin::default();
    section.parse_into("socket", &mut admin.socket, parse_socket_path);
    if let Some(uids) = section.counts("allow_uids", 0..=UID_NONE - 1) {
        admin.allow_uids = uids;
    }
    section.parse_into("listen", &mut admin.listen, |text| {
        if text.is_empty() {
            return Ok(None);
        }
        let address = parse_admin_address(text)?;
        match listeners.iter().find(|listener| overlap(listener.address, address)) {
            Some(Listener { name, address: other, .. }) => Err(format!(
                "{address} is in the way of listener `{name}` on {other}: give one another port"
            )),
            None => Ok(Some(address)),
        }
    });
    section.finish();
    admin
}
