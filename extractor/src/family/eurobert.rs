//! `EuroBERT` (Boizard et al. 2025): Llama's layers in an encoder that sees both sides.

use super::config::Config;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::reader::Family;
use super::spec::{EncoderSpec, FeedForward};

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
    if let FeedForward::Gated { bias, .. } = &mut spec.feed_forward {
        *bias = config.switch_or("mlp_bias", false)?;
    }
    Ok(spec)
}
