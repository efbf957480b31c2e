//! The two messages of grpc.health.v1.Health/Check, in their frames, by hand: one field each.
//! Pure. Does not: know other messages, compression, HTTP/2.

/// Compression flag and length.
const PREFIX_BYTES: usize = 5;

/// Field 1 of `HealthCheckRequest`: length-delimited.
const SERVICE_KEY: u8 = 0x0A;

/// Field 1 of `HealthCheckResponse`: varint.
const STATUS_KEY: u64 = 0x08;

/// The status of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServingStatus {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
    /// A value that the protocol does not know.
    Other(u64),
}

/// A framed `HealthCheckRequest`.
pub(super) fn encode_request(service: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(PREFIX_BYTES + service.len() + 11);
    message.resize(PREFIX_BYTES, 0);
    // The default value of a field is not sent.
    if !service.is_empty() {
        message.push(SERVICE_KEY);
        put_varint(service.len(), &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len() - PREFIX_BYTES).unwrap_or(u32::MAX);
    message[1..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
    message
}

/// The status of a framed `HealthCheckResponse`.
pub(super) fn decode_response(framed: &[u8]) -> Result<ServingStatus, &'static str> {
    let Some((&[compressed, a, b, c, d], mut message)) = framed.split_first_chunk() else {
        return Err("no gRPC message");
    };
    if compressed != 0 {
        return Err("a compressed gRPC message, although none was asked for");
    }
    if usize::try_from(u32::from_be_bytes([a, b, c, d])) != Ok(message.len()) {
        return Err("a gRPC message with another length than it says");
    }
    let mut status = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        if key == STATUS_KEY {
            status = take_varint(&mut message)?;
        } else {
            skip_value(key, &mut message)?;
        }
    }
    Ok(match status {
        0 => ServingStatus::Unknown,
        1 => ServingStatus::Serving,
        2 => ServingStatus::NotServing,
        3 => ServingStatus::ServiceUnknown,
        other => ServingStatus::Other(other),
    })
}

fn put_varint(mut value: usize, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn take_varint(from: &mut &[u8]) -> Result<u64, &'static str> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first().ok_or("a truncated gRPC message")?;
        *from = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a gRPC message with an endless number")
}

/// A later version of the message may have further fields.
fn skip_value(key: u64, message: &mut &[u8]) -> Result<(), &'static str> {
    let length = match key & 7 {
        0 => take_varint(message).map(|_| 0)?,
        1 => 8,
        2 => usize::try_from(take_varint(message)?).unwrap_or(usize::MAX),
        5 => 4,
        _ => return Err("a gRPC message with a field of no known type"),
    };
    *message = message.get(length..).ok_or("a truncated gRPC message")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_service() {
        assert_eq!(encode_request(""), b"\0\0\0\0\0");
        assert_eq!(encode_request("shop"), b"\0\0\0\0\x06\x0A\x04shop");
        let long = encode_request(&"s".repeat(200));
        assert_eq!(long[..8], [0, 0, 0, 0, 203, 0x0A, 0xC8, 0x01]);
    }

    #[test]
    fn a_response_has_a_status() {
        for (message, status) in [
            (&b""[..], ServingStatus::Unknown),
            (b"\x08\x01", ServingStatus::Serving),
            (b"\x08\x02", ServingStatus::NotServing),
            (b"\x08\x03", ServingStatus::ServiceUnknown),
            (b"\x08\x80\x01", ServingStatus::Other(128)),
            (b"\x08\x02\x08\x01", ServingStatus::Serving),
            (b"\x12\x02hi\x08\x01", ServingStatus::Serving),
            (b"\x08\x01\x18\x85\x02\x25abcd\x29abcdefgh", ServingStatus::Serving),
        ] {
            assert_eq!(decode_response(&framed(message)), Ok(status), "{message:?}");
        }
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for bytes in [
            &b""[..],
            b"\0\0\0\0",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x03\x08\x01",
            &framed(b"\x08"),
            &framed(b"\x08\x80"),
            &framed(b"\x12\x05hi"),
            &framed(b"\x0B"),
            &framed(&[0xFF; 12]),
        ] {
            assert!(decode_response(bytes).is_err(), "{bytes:?}");
        }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, 0, message.len() as u8], message].concat()
    }
}
