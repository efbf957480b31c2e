//! The address that connections and flows to backends come from. Does not: choose a port, which the
//! kernel does when it connects, so that as many connections as there are ports go to each backend.

use crate::engine::Source;
use socket2::{Domain, SockRef, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

/// A socket that is to be connected to an address could not be made.
#[derive(Debug)]
pub enum NotMade {
    /// There is none.
    NoSocket(io::Error),
    /// It cannot come from the address that was asked for.
    NoSource(io::Error),
}

/// Binds a socket that is to be connected to `address`.
///
/// # Errors
/// The source is of the other family, no address of this machine (`Own`), or not allowed
/// (`Foreign`, without CAP_NET_ADMIN or CAP_NET_RAW).
pub(super) fn bind(
    socket: &socket2::Socket,
    address: SocketAddr,
    source: Source,
) -> Result<(), NotMade> {
    let (ip, is_foreign) = match source {
        Source::Any => return Ok(()),
        Source::Own(ip) => (ip, false),
        Source::Foreign(ip) => (ip, true),
    };
    if ip.is_ipv4() != address.is_ipv4() {
        return Err(NotMade::NoSource(io::ErrorKind::AddrNotAvailable.into()));
    }
    let bound = || {
        if is_foreign {
            be_transparent(socket, ip)?;
        }
        set(socket, libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT)?;
        socket.bind(&SocketAddr::new(ip, 0).into())
    };
    bound().map_err(NotMade::NoSource)
}

/// Whether connections can come from an address, as far as the machine has it now.
///
/// # Errors
/// As reported by the kernel.
pub fn check_own(ip: IpAddr) -> io::Result<()> {
    let address = SocketAddr::new(ip, 0);
    socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?.bind(&address.into())
}

/// Whether connections may come from addresses of other machines.
///
/// # Errors
/// Without CAP_NET_ADMIN or CAP_NET_RAW in the user namespace of the network.
pub fn check_foreign() -> io::Result<()> {
    let any = IpAddr::from([0, 0, 0, 0]);
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None)?;
    be_transparent(&socket, any)
}

/// Has a socket take any address for its own (ip(7), `IP_TRANSPARENT`).
fn be_transparent(socket: &socket2::Socket, ip: IpAddr) -> io::Result<()> {
    match ip {
        IpAddr::V4(_) => set(socket, libc::SOL_IP, libc::IP_TRANSPARENT),
        IpAddr::V6(_) => set(socket, libc::SOL_IPV6, libc::IPV6_TRANSPARENT),
    }
}

/// Turns an option on.
fn set(socket: &socket2::Socket, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // JUSTIFICATION: socket2 has these options for some kinds of sockets only, or not at all.
    // SAFETY: the kernel reads one integer of the size that it is told.
    let result = unsafe {
        libc::setsockopt(
            SockRef::from(socket).as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    super::check(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket::{close, open, own_address};
    use std::net::TcpListener;

    #[test]
    fn a_connection_comes_from_the_address_that_it_is_to_come_from() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let from = |source| {
            let socket =
                open(address, source).map_err(|error| matches!(error, NotMade::NoSource(_)));
            let ip = socket.map(|socket| {
                let own = own_address(socket).expect("a socket");
                close(socket);
                (own.ip().to_string(), own.port())
            });
            ip.map_err(|is_source| assert!(is_source))
        };
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(from(Source::Any), Ok(("0.0.0.0".to_owned(), 0)));
        assert_eq!(from(Source::Own(ip("127.0.0.9"))), Ok(("127.0.0.9".to_owned(), 0)));
        assert_eq!(from(Source::Own(ip("192.0.2.1"))), Err(()), "it is no address of a machine");
        assert_eq!(from(Source::Own(ip("::1"))), Err(()), "it is of the other family");
        let may = check_foreign().is_ok();
        let expected = if may { Ok(("192.0.2.1".to_owned(), 0)) } else { Err(()) };
        assert_eq!(from(Source::Foreign(ip("192.0.2.1"))), expected);
        assert!(check_own(ip("127.0.0.9")).is_ok() && check_own(ip("192.0.2.1")).is_err());
    }
}
