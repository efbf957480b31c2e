//! Rules about a request that hold in every version, besides those about its fields.

use super::target::{is_host, is_same_authority};
use super::{
    Field, Found, Method, Refusal, Rules, UnderscoreNames, Version,
    is_forwarding_spelt_with_underscores,
};

/// Longest method, bytes. The longest registered one has 17.
pub const METHOD_BYTES_MAX: usize = 32;

/// Refuses methods that are not served. The bytes of the method are checked by the caller.
pub fn check_method(method: Method<'_>, rules: &Rules) -> Result<(), Refusal> {
    if method.0.len() > METHOD_BYTES_MAX {
        return Err(Refusal::MalformedMethod);
    }
    // Its answer would show a client the fields that other hops added (RFC 9110 §9.3.8).
    if method.0 == b"TRACE" {
        return Err(Refusal::TraceNotAllowed);
    }
    if method.is_connect() && !rules.allow_connect {
        return Err(Refusal::ConnectNotAllowed);
    }
    Ok(())
}

/// Treats names with underscores as the rules have it.
pub fn drop_underscores(
    fields: &[Field<'_>],
    found: &mut Found<'_>,
    rules: &Rules,
) -> Result<(), Refusal> {
    for (at, field) in fields.iter().enumerate() {
        if !field.name.as_bytes().contains(&b'_') {
            continue;
        }
        match rules.underscore_names {
            UnderscoreNames::Reject => return Err(Refusal::UnderscoreInName),
            // A backend that takes both names for one would trust the client's value.
            UnderscoreNames::Allow if !is_forwarding_spelt_with_underscores(field.name) => {}
            UnderscoreNames::Allow | UnderscoreNames::Drop => found.dropped.add(at),
        }
    }
    Ok(())
}

/// The host that the request is for (RFC 9112 §3.2, RFC 9113 §8.3.1). Host and the authority of the
/// target must agree.
pub fn host_of<'b>(
    found: &Found<'b>,
    authority: Option<&'b [u8]>,
    version: Version,
    default_port: u16,
) -> Result<&'b [u8], Refusal> {
    match (found.host, authority) {
        (Some(host), _) if !is_host(host) => Err(Refusal::MalformedHost),
        (Some(host), Some(authority)) if !is_same_authority(host, authority, default_port) => {
            Err(Refusal::HostDisagreesWithTarget)
        }
        (Some(host), _) => Ok(host),
        (None, Some(authority)) if version != Version::Http11 => Ok(authority),
        (None, None) if version == Version::Http10 => Ok(b""),
        (None, _) => Err(Refusal::MissingHost),
    }
}

/// True if the client waits for 100 (Continue) before it sends the body (RFC 9110 §10.1.1).
pub fn expects_continue(found: &Found<'_>, version: Version) -> Result<bool, Refusal> {
    match found.expect {
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => {
            Ok(version != Version::Http10)
        }
        Some(_) => Err(Refusal::UnknownExpectation),
        None => Ok(false),
    }
}
