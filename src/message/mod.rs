//! The heads and bodies of messages on their way from one side to the other: a head, which its
//! sender's side has parsed, is judged, edited and written once for its recipient's. Pure.
//!
//! Does not: know connections, exchanges or buffers.

mod body;
mod draft;
mod request;
mod response;

pub use body::{Body, Passed};
pub use draft::Draft;
pub use request::{
    BODY_TOO_LARGE, Content, Denial, LocalAnswer, Request, RequestOutcome, RequestSide, Upgrade,
    misdirected, request,
};
pub use response::{Response, ResponseOutcome, ResponseSide, response};
