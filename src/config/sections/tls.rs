//! `[tls]`: what all listeners of HTTPS have in common.

use crate::config::keys::kinds::path;
use crate::config::keys::{Keys, section};
use crate::config::raw::Section;
use crate::config::text::text_of;
use crate::config::values::parse_path;
use crate::tls::TicketSecret;
use std::path::{Path, PathBuf};

section! {
    /// `[tls]`: what all listeners of HTTPS have in common.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Tls {
        /// The file with the keys of session tickets; none: the process makes its own. Absolute, or
        /// relative to the working directory once loaded.
        ticket_keys_file: Option<PathBuf> = None => path(parse_path),
        /// The content of that file; the first key seals. Empty without a file.
        ticket_keys: Vec<TicketSecret> = Vec::new(),
    }
}

impl Tls {
    pub(in crate::config) fn read(mut section: Section<'_>) -> Self {
        let mut tls = Self::default();
        tls.read_keys(&mut section);
        if let Some(path) = &tls.ticket_keys_file {
            let read = section.load(path).and_then(|bytes| parse_ticket_keys(path, bytes));
            let span = section.value_span("ticket_keys_file");
            tls.ticket_keys = section.report().checked(span, read).unwrap_or_default();
        }
        section.finish();
        tls
    }
}

/// The keys in the content of a file.
///
/// # Errors
/// A sentence with the file, what is wrong and the remedy.
pub fn parse_ticket_keys(path: &Path, bytes: Vec<u8>) -> Result<Vec<TicketSecret>, String> {
    let text = text_of(bytes).map_err(|wrong| format!("`{}`: {wrong}", path.display()))?;
    TicketSecret::parse_all(&text).map_err(|wrong| format!("`{}` {wrong}", path.display()))
}
