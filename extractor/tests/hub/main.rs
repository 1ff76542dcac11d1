//! The hub and parquet from outside, against a hub on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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
