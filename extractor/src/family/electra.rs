//! ELECTRA (Clark et al. 2020): BERT whose embeddings may be smaller than its hidden states, with a
//! projection between.

use super::bert;
use super::config::Config;
use super::embedding::{Projected, Projection};
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::spec::EncoderSpec;

pub(super) const FAMILY: Family = Family {
    model_types: &["electra"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let mut spec = bert::spec(config, "electra", &["", "electra."], PositionIds::FromZero)?;
    let size = config.size_or(&["embedding_size"], 128)?;
    spec.embedding.size = size;
    spec.embedding.projection = (size != spec.hidden).then_some(Projection {
        name: "embeddings_project",
        bias: true,
        of: Projected::Normalised,
    });
    Ok(spec)
}
