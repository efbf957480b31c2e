//! Settings (RFC 9113 §6.5, RFC 8441 §3, RFC 9218 §2.1).

use super::error::Fault;
use super::frame;
use super::guard::FloodLimits;
use super::window::{DEFAULT_WINDOW, WINDOW_MAX};
use crate::limits::HTTP2_FRAME_BYTES_MAX;

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
const NO_RFC7540_PRIORITIES: u16 = 0x9;

/// The end of a connection that we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Towards a client.
    Server,
    /// Towards a backend.
    Client,
}

/// Our end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Streams at a time: as the server, those that the client may have; as the client, those that
    /// we open at most, whatever the backend allows.
    pub streams_max: u32,
    /// Receive window of each stream, bytes, 65,535 to 2^31 - 1.
    pub stream_window: u32,
    /// Receive window of the connection, bytes, 65,535 to 2^31 - 1.
    pub connection_window: u32,
    /// Longest head, bytes with 32 for each field; at most [`crate::limits::HEAD_BYTES_MAX`].
    pub head_bytes_max: usize,
    /// Most fields of a head; at most [`crate::limits::FIELDS_MAX`].
    pub fields_max: usize,
    /// As the server: extended CONNECT is accepted (RFC 8441).
    pub extended_connect: bool,
    /// Bounds of what makes work and has no use.
    pub floods: FloodLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            streams_max: 100,
            stream_window: 64 * 1024,
            connection_window: 1024 * 1024,
            head_bytes_max: crate::limits::HEAD_BYTES_MAX,
            fields_max: crate::limits::FIELDS_MAX,
            extended_connect: false,
            floods: FloodLimits::default(),
        }
    }
}

impl Config {
    /// Writes our SETTINGS. What is not in it is the default that RFC 9113 has: HPACK's table of
    /// 4 KiB, frames of 16 KiB.
    pub(super) fn write(&self, role: Role, out: &mut Vec<u8>) {
        let head_bytes_max = self.head_bytes_max as u32;
        let shared =
            [(INITIAL_WINDOW_SIZE, self.stream_window), (MAX_HEADER_LIST_SIZE, head_bytes_max)];
        match role {
            Role::Server => {
                let of_server = [
                    (MAX_CONCURRENT_STREAMS, self.streams_max),
                    shared[0],
                    shared[1],
                    (NO_RFC7540_PRIORITIES, 1),
                    (ENABLE_CONNECT_PROTOCOL, 1),
                ];
                let length = of_server.len() - usize::from(!self.extended_connect);
                frame::write_settings(&of_server[..length], out);
            }
            Role::Client => {
                frame::write_settings(&[(ENABLE_PUSH, 0), shared[0], shared[1]], out);
            }
        }
    }
}

/// The settings of the peer, as far as they bind us. Frames larger than 16 KiB are never sent, and
/// the size of its head lists is advisory (RFC 9113 §10.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerSettings {
    pub(super) streams_max: u32,
    pub(super) initial_window: u32,
    pub(super) extended_connect: ExtendedConnect,
}

/// What a server says of extended CONNECT (RFC 8441 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExtendedConnect {
    /// Nothing: its SETTINGS have not come.
    #[default]
    Unknown,
    /// It does not accept it.
    Refused,
    /// It does.
    Accepted,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            streams_max: u32::MAX,
            initial_window: DEFAULT_WINDOW,
            extended_connect: ExtendedConnect::Unknown,
        }
    }
}

impl PeerSettings {
    /// Applies a SETTINGS frame that we get in this role: the last value of each setting holds.
    pub(super) fn apply(&mut self, payload: &[u8], role: Role) -> Result<(), Fault> {
        for (number, value) in frame::settings(payload) {
            match number {
                ENABLE_PUSH if value > 1 || (role == Role::Client && value == 1) => {
                    return Err(Fault::protocol(
                        "SETTINGS_ENABLE_PUSH has a value that it must not",
                    ));
                }
                MAX_CONCURRENT_STREAMS => self.streams_max = value,
                INITIAL_WINDOW_SIZE if value > WINDOW_MAX => {
                    return Err(Fault::flow_control("SETTINGS_INITIAL_WINDOW_SIZE is too large"));
                }
                INITIAL_WINDOW_SIZE => self.initial_window = value,
                MAX_FRAME_SIZE if (value as usize) < HTTP2_FRAME_BYTES_MAX || value >= 1 << 24 => {
                    return Err(Fault::protocol("SETTINGS_MAX_FRAME_SIZE is out of its range"));
                }
                ENABLE_CONNECT_PROTOCOL
                    if value > 1
                        || (value == 0 && self.extended_connect == ExtendedConnect::Accepted) =>
                {
                    return Err(Fault::protocol(
                        "SETTINGS_ENABLE_CONNECT_PROTOCOL has a value that it must not",
                    ));
                }
                ENABLE_CONNECT_PROTOCOL if value == 1 => {
                    self.extended_connect = ExtendedConnect::Accepted;
                }
                NO_RFC7540_PRIORITIES if value > 1 => {
                    return Err(Fault::protocol(
                        "SETTINGS_NO_RFC7540_PRIORITIES has a value that it must not",
                    ));
                }
                _ => {}
            }
        }
        if self.extended_connect == ExtendedConnect::Unknown {
            self.extended_connect = ExtendedConnect::Refused;
        }
        Ok(())
    }
}

/// The values of SETTINGS_HEADER_TABLE_SIZE in a SETTINGS frame: the smallest of them has a meaning
/// too (RFC 7541 §4.2).
pub(super) fn table_sizes(payload: &[u8]) -> impl Iterator<Item = u32> {
    frame::settings(payload)
        .filter_map(|(number, value)| (number == HEADER_TABLE_SIZE).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::error::ErrorCode;

    fn applied(settings: &[(u16, u32)], role: Role) -> Result<PeerSettings, ErrorCode> {
        let mut frame = Vec::new();
        frame::write_settings(settings, &mut frame);
        let mut peer = PeerSettings::default();
        let result = peer.apply(&frame[frame::FRAME_HEADER_BYTES..], role);
        result.map(|()| peer).map_err(|fault| fault.code)
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let (protocol, flow) = (ErrorCode::PROTOCOL_ERROR, ErrorCode::FLOW_CONTROL_ERROR);
        for (number, value, role, expected) in [
            (ENABLE_PUSH, 2, Role::Server, Some(protocol)),
            (ENABLE_PUSH, 1, Role::Server, None),
            (ENABLE_PUSH, 1, Role::Client, Some(protocol)),
            (ENABLE_PUSH, 0, Role::Client, None),
            (INITIAL_WINDOW_SIZE, 1 << 31, Role::Server, Some(flow)),
            (INITIAL_WINDOW_SIZE, WINDOW_MAX, Role::Server, None),
            (MAX_FRAME_SIZE, 16_383, Role::Server, Some(protocol)),
            (MAX_FRAME_SIZE, 16_384, Role::Server, None),
            (MAX_FRAME_SIZE, (1 << 24) - 1, Role::Server, None),
            (MAX_FRAME_SIZE, 1 << 24, Role::Server, Some(protocol)),
            (ENABLE_CONNECT_PROTOCOL, 2, Role::Client, Some(protocol)),
            (NO_RFC7540_PRIORITIES, 2, Role::Server, Some(protocol)),
            (0x4242, 7, Role::Server, None),
        ] {
            let result = applied(&[(number, value)], role);
            assert_eq!(result.err(), expected, "{number}: {value}");
        }
        let back = [(ENABLE_CONNECT_PROTOCOL, 1), (ENABLE_CONNECT_PROTOCOL, 0)];
        assert_eq!(applied(&back, Role::Client), Err(protocol), "RFC 8441 §3");
    }

    #[test]
    fn the_last_value_holds() {
        let peer = applied(&[(3, 5), (4, 1), (3, 7), (4, 2)], Role::Client).expect("good");
        assert_eq!((peer.streams_max, peer.initial_window), (7, 2));
    }
}
