//! The moment by which a probe must be over, and the bound that it sets on each of its steps.

use super::failure::{ProbeFailure, ProbeStage};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Common to all steps of one probe.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub(super) fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    /// Runs `step`, or fails if it was not finished in time.
    pub(super) async fn bound<T>(
        self,
        stage: ProbeStage,
        step: impl Future<Output = Result<T, ProbeFailure>>,
    ) -> Result<T, ProbeFailure> {
        timeout_at(self.0, step).await.unwrap_or(Err(ProbeFailure::TimedOut { stage }))
    }
}
