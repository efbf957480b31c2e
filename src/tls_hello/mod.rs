//! The server name (RFC 6066 §3) and the protocols (ALPN, RFC 7301) of a TLS ClientHello, for
//! routing without decryption: bytes in, verdicts out.
//!
//! The hello may come in any number of segments and TLS records. What a backend could read
//! differently is malformed, never repaired. With an encrypted ClientHello (ECH) the name is the
//! outer one, which is all that a reader without the key can see.
//!
//! Does not: terminate TLS, check versions and ciphers, change bytes; own sockets or time;
//! allocate, but for a hello in several records and a name with capital letters.

mod cursor;
mod extensions;
mod hello;
mod malformed;
mod reader;
mod server_name;

pub use extensions::Alpn;
pub use malformed::Malformed;
pub use reader::Reader;

/// The result of reading the first bytes of a connection. All but [`Verdict::Incomplete`] is final:
/// further bytes do not change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Valid so far, incomplete.
    Incomplete,
    /// It does not begin with a TLS record of type handshake; usually the first byte decides.
    NotTls,
    /// It begins like TLS and has no valid ClientHello.
    Malformed(Malformed),
    /// A ClientHello is complete; what follows it was not looked at.
    Hello(Hello<'a>),
}

/// The parts of a ClientHello that a route depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The name of the server: lower case, a host name of at most 253 bytes without a dot at its
    /// end. `None` without the extension, and for an IP address or a name that ends with a dot:
    /// RFC 6066 §3 forbids both, some clients send them, and servers treat them as no name.
    pub server_name: Option<&'a str>,
    /// The protocols that the client offers, in its order; none without the extension.
    pub alpn: Alpn<'a>,
}

/// The alert for a name that no route has: a complete TLS record, fatal, `unrecognized_name`
/// (RFC 6066 §3, RFC 8446 §6.2). It is sent unencrypted, then the connection is closed.
pub fn alert_unrecognized_name() -> &'static [u8] {
    // Type alert, legacy version TLS 1.2, two bytes: level fatal, description 112.
    &[21, 3, 3, 0, 2, 2, 112]
}

/// The alert where there is nothing to answer with by now, which is no fault of the client:
/// `internal_error`.
pub fn alert_internal_error() -> &'static [u8] {
    &[21, 3, 3, 0, 2, 2, 80]
}

#[cfg(test)]
mod tests;
