//! HPACK (RFC 7541): the compression of heads. One table of 4 KiB for each direction of a
//! connection, which has no memory before it has an entry.

mod class;
mod decoder;
mod encoder;
mod huffman;
mod index;
mod integer;
mod known;
mod static_table;
mod table;
#[cfg(test)]
mod tests;

pub(in crate::http2) use class::Class;
pub(in crate::http2) use decoder::{Decoder, FIELD_OVERHEAD};
pub(in crate::http2) use encoder::{Encoder, Indexing};
