//! What is kept of a request's head until its exchange is recorded.

use crate::http1::{RequestHead, Version};

/// What the access log wants of a request's head.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub(super) method: Box<[u8]>,
    pub(super) host: Box<[u8]>,
    pub(super) target: Box<[u8]>,
    pub(super) version: Option<Version>,
}

impl Draft {
    pub(super) fn of(head: &RequestHead<'_, '_>) -> Self {
        Self {
            method: head.method.0.into(),
            host: head.host.into(),
            target: head.target.into(),
            version: Some(head.version),
        }
    }
}
