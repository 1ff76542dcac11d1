//! `EuroBERT` (Boizard et al. 2025): Llama's layers in an encoder that sees both sides.

use super::config::Config;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::reader::Family;
use super::spec::EncoderSpec;

pub(super) const FAMILY: Family = Family {
    model_types: &["eurobert"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let defaults = Defaults {
        epsilon: 1e-5,
        ..Defaults::LLAMA
    };
    let mut spec = llama::spec(config, "eurobert", &defaults)?;
    spec.attention.causal = false;
    spec.attention.bias = config.switch_or("attention_bias", false)?;
    spec.attention.output_bias = spec.attention.bias;
    llama::feed_forward_biases(&mut spec, config)?;
    Ok(spec)
}
