//! What came out of a case, before anybody judges it.

use super::counts::Counts;

/// How the last step ended, and what was counted over all.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// None if a signal ended it; so does the end of its time.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) counts: Counts,
}
