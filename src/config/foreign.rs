//! Texts and words of other programs, with their names in Ringway. Does not: translate them.

mod files;
mod words;

pub(super) use files::guess;
pub(super) use words::instead_of;
