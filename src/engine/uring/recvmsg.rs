//! The layout of a buffer that a multishot recvmsg has filled with a datagram
//! (io_uring_prep_recvmsg_multishot(3)), and addresses in the form that the kernel reads and writes
//! (ip(7), ipv6(7)).

use crate::engine::{BufferId, DATAGRAM_HEADROOM, Datagram, Slice};
use io_uring::types::RecvMsgOut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Bytes for an address: `struct sockaddr_in6` has 28.
pub(super) const NAME_BYTES: usize = 32;
/// Bytes for a control message that names a source address: with `struct in6_pktinfo` it has 40.
pub(super) const SOURCE_BYTES: usize = 40;
/// Bytes for the control messages of a received datagram.
const CONTROL_BYTES: usize = 64;
/// Bytes in front of a datagram, those of `struct io_uring_recvmsg_out` included.
const HEAD_BYTES: usize = 16 + NAME_BYTES + CONTROL_BYTES;
/// Bytes of a buffer: the longest datagram is a little shorter than the longest packet.
pub(super) const BUFFER_BYTES: usize = HEAD_BYTES + u16::MAX as usize;

const _: () = assert!(HEAD_BYTES >= DATAGRAM_HEADROOM);

/// `struct cmsghdr`: length, level and kind.
const CONTROL_HEADER_BYTES: usize = size_of::<usize>() + 8;

/// The sizes of a received datagram's fields, as a recvmsg is asked for them.
pub(super) fn layout() -> libc::msghdr {
    libc::msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: NAME_BYTES as libc::socklen_t,
        msg_iov: std::ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: std::ptr::null_mut(),
        msg_controllen: CONTROL_BYTES,
        msg_flags: 0,
    }
}

/// The datagram in a buffer.
pub(super) fn parse(buffer: BufferId, bytes: &[u8]) -> Datagram {
    let start = HEAD_BYTES as u32;
    let empty = Slice { buffer, start, end: start };
    let Ok(parsed) = RecvMsgOut::parse(bytes, &layout()) else {
        return Datagram { payload: empty, from: None, to: None, is_whole: false };
    };
    Datagram {
        payload: Slice { end: start + parsed.payload_data().len() as u32, ..empty },
        from: read_address(parsed.name_data()),
        to: read_destination(parsed.control_data()),
        is_whole: !parsed.is_payload_truncated(),
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// An address in a `struct sockaddr_in` or `sockaddr_in6`.
fn read_address(name: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(bytes_at(name, 0)?));
    let port = u16::from_be_bytes(bytes_at(name, 2)?);
    match family {
        libc::AF_INET => Some((Ipv4Addr::from(bytes_at::<4>(name, 4)?), port).into()),
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(bytes_at::<16>(name, 8)?);
            let scope = u32::from_ne_bytes(bytes_at(name, 24)?);
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        _ => None,
    }
}

/// Writes an address in that form. The result is its length.
pub(super) fn write_address(address: SocketAddr, name: &mut [u8; NAME_BYTES]) -> usize {
    *name = [0; NAME_BYTES];
    name[2..4].copy_from_slice(&address.port().to_be_bytes());
    let (family, length) = match address {
        SocketAddr::V4(address) => {
            name[4..8].copy_from_slice(&address.ip().octets());
            (libc::AF_INET, 16)
        }
        SocketAddr::V6(address) => {
            name[8..24].copy_from_slice(&address.ip().octets());
            name[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
            (libc::AF_INET6, 28)
        }
    };
    name[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    length
}

/// The local address in the control messages of a datagram, if there is one.
fn read_destination(control: &[u8]) -> Option<IpAddr> {
    let mut rest = control;
    loop {
        let length = usize::from_ne_bytes(bytes_at(rest, 0)?);
        let level = i32::from_ne_bytes(bytes_at(rest, size_of::<usize>())?);
        let kind = i32::from_ne_bytes(bytes_at(rest, size_of::<usize>() + 4)?);
        let data = rest.get(CONTROL_HEADER_BYTES..length)?;
        match (level, kind) {
            // `ipi_spec_dst`: unlike `ipi_addr`, an address of this host for a broadcast too.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                return Some(Ipv4Addr::from(bytes_at::<4>(data, 4)?).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let ip = Ipv6Addr::from(bytes_at::<16>(data, 0)?);
                return (!ip.is_multicast()).then_some(ip.into());
            }
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(size_of::<usize>())..)?;
    }
}

/// Writes a control message with which a datagram leaves from an address. The result is its length.
pub(super) fn write_source(source: IpAddr, control: &mut [u8; SOURCE_BYTES]) -> usize {
    *control = [0; SOURCE_BYTES];
    let data = &mut control[CONTROL_HEADER_BYTES..];
    let (level, kind, length) = match source {
        IpAddr::V4(ip) => {
            // Behind the number of an interface, 0 for any; `ipi_spec_dst`.
            data[4..8].copy_from_slice(&ip.octets());
            (libc::IPPROTO_IP, libc::IP_PKTINFO, size_of::<libc::in_pktinfo>())
        }
        IpAddr::V6(ip) => {
            data[..16].copy_from_slice(&ip.octets());
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, size_of::<libc::in6_pktinfo>())
        }
    };
    let length = CONTROL_HEADER_BYTES + length;
    let (head, rest) = control.split_at_mut(size_of::<usize>());
    head.copy_from_slice(&length.to_ne_bytes());
    rest[..4].copy_from_slice(&level.to_ne_bytes());
    rest[4..8].copy_from_slice(&kind.to_ne_bytes());
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer as the kernel fills it, with these fields and flags.
    fn filled(from: SocketAddr, to: IpAddr, payload: &[u8], flags: i32) -> Vec<u8> {
        let (mut name, mut control) = ([0; NAME_BYTES], [0; SOURCE_BYTES]);
        let name_bytes = write_address(from, &mut name);
        let control_bytes = write_source(to, &mut control);
        let numbers = [name_bytes, control_bytes, payload.len(), flags as usize];
        let mut buffer: Vec<u8> =
            numbers.iter().flat_map(|number| (*number as u32).to_ne_bytes()).collect();
        buffer.extend(name);
        buffer.extend(control);
        buffer.resize(HEAD_BYTES, 0);
        buffer.extend(payload);
        buffer.resize(BUFFER_BYTES, 0xEE);
        buffer
    }

    fn parsed(buffer: &[u8]) -> Datagram {
        parse(BufferId(7), buffer)
    }

    #[test]
    fn a_datagram_is_found_with_both_its_addresses() {
        for (from, to) in [
            ("192.0.2.1:53", "198.51.100.7"),
            ("[2001:db8::1]:65535", "2001:db8::2"),
            ("[fe80::1%3]:1", "fe80::2"),
        ] {
            let (from, to) = (from.parse().expect(from), to.parse().expect(to));
            for payload in [&b""[..], b"one", &[7; 65_507]] {
                let datagram = parsed(&filled(from, to, payload, 0));
                assert_eq!((datagram.from, datagram.to), (Some(from), Some(to)));
                let Slice { start, end, .. } = datagram.payload;
                assert_eq!(&filled(from, to, payload, 0)[start as usize..end as usize], payload);
                assert!(datagram.is_whole && start as usize >= DATAGRAM_HEADROOM);
            }
            let cut = parsed(&filled(from, to, b"the beginning", libc::MSG_TRUNC));
            assert!(!cut.is_whole);
        }
    }

    #[test]
    fn a_group_of_receivers_is_no_address_to_answer_from() {
        let (from, to) = ("[2001:db8::1]:1", "ff02::1");
        let buffer = filled(from.parse().expect(from), to.parse().expect(to), b"x", 0);
        assert_eq!(parsed(&buffer).to, None);
    }

    #[test]
    fn other_control_messages_are_skipped_and_damaged_ones_end_the_search() {
        let mut info = [0; SOURCE_BYTES];
        let to: IpAddr = Ipv4Addr::new(192, 0, 2, 9).into();
        let length = write_source(to, &mut info);
        // One byte of type of service, padded.
        let mut other = Vec::new();
        other.extend(17usize.to_ne_bytes());
        other.extend([libc::IPPROTO_IP, libc::IP_TOS].iter().flat_map(|word| word.to_ne_bytes()));
        other.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(read_destination(&[&other, &info[..length]].concat()), Some(to));
        for cut in 0..length {
            assert_eq!(read_destination(&info[..cut]), None, "{cut} bytes");
        }
        assert_eq!(read_destination(&[0; 64]), None);
        assert_eq!(read_destination(&[0xFF; 64]), None);
    }
}
