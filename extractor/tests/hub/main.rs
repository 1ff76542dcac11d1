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

use extractor::model::{ModelError, ModelFiles};
use hub::model::Need;
use hub::{HubError, HubOptions};

/// All files of a model.
fn resolve(
    model: &str,
    revision: Option<&str>,
    options: &HubOptions,
) -> Result<ModelFiles, HubError> {
    match ModelFiles::resolve(model, revision, Need::All, options) {
        Ok(files) => Ok(files),
        Err(ModelError::Hub(error)) => Err(*error),
        Err(other) => panic!("no error of the hub: {other}"),
    }
}
