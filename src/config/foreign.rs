//! Texts and words of other programs: what they are called here. Does not: translate them.

mod files;
mod words;

pub(super) use files::guess;
pub(super) use words::instead_of;
