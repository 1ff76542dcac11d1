//! `EuroBERT` (Boizard et al. 2025): Llama's layers in which every token sees all others.

use super::config::Config;
use super::error::FamilyError;
use super::llama;
use super::reader::Family;
use super::spec::EncoderSpec;

pub(super) const FAMILY: Family = Family {
    model_types: &["eurobert"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let mut spec = llama::decoder(
        config,
        llama::Variant {
            positions: 8192,
            epsilon: 1e-5,
            ..llama::Variant::new(config, "eurobert")?
        },
    )?;
    spec.attention.causal = false;
    Ok(spec)
}
