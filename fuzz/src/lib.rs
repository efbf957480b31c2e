//! What holds for any bytes: for the fuzz targets, and for `cargo test` over the committed corpus.

pub mod hpack;
pub mod http2_frames;
pub mod proxy_protocol;
pub mod tls_hello;
pub mod tls_records;

/// Up to 40 places within so many bytes, the first ones and the last one among them.
fn places(length: usize) -> impl Iterator<Item = usize> {
    let spread = (1..16).map(move |part| length * part / 16);
    (0..24.min(length)).chain(spread).chain(length.checked_sub(1))
}
