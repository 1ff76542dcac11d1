//! The hub and parquet from outside, against a hub on loopback.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and one that is skipped says so"
)]
#![expect(
    clippy::result_large_err,
    reason = "made once a test, where its size does not matter"
)]

mod cli;
mod datasets;
mod models;
mod parquet;
mod python;
mod security;
mod server;

use extractor::hub::model::Need;
use extractor::hub::{HubError, HubOptions};
use extractor::model::ModelFiles;

/// All files of a model.
fn resolve(
    model: &str,
    revision: Option<&str>,
    options: &HubOptions,
) -> Result<ModelFiles, HubError> {
    extractor::hub::model::resolve(model, revision, Need::All, options)
}
