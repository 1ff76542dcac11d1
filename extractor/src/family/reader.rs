//! What a family is: the model types that it reads, and how.

use super::config::Config;
use super::error::FamilyError;
use super::spec::EncoderSpec;

/// A kind of encoder.
pub(super) struct Family {
    /// The `model_type`s it reads.
    pub(super) model_types: &'static [&'static str],
    /// Reads a configuration of one of these types.
    pub(super) spec: fn(&Config) -> Result<EncoderSpec, FamilyError>,
}
