//! ELECTRA (Clark et al. 2020): BERT whose embeddings may be smaller than its
//! hidden states, with a projection between.

use super::{Config, EncoderSpec, Family, FamilyError, Positions, bert};

pub(super) const FAMILY: Family = Family {
    model_types: &["electra"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let mut spec = bert::spec(config, "electra", &["", "electra."], Positions::FromZero)?;
    spec.embedding = config.size_or(&["embedding_size"], 128)?;
    spec.names.projection = "embeddings_project";
    Ok(spec)
}
