//! `RoFormer` (Su et al. 2021): BERT with rotary positions, which turn neighbouring dimensions by
//! sines and cosines that checkpoints may have, and values, too, where the configuration says so.

use super::bert;
use super::config::Config;
use super::embedding::{Projected, Projection};
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::rotary::Rotary;
use super::spec::{EncoderSpec, PositionEncoding};

pub(super) const FAMILY: Family = Family {
    model_types: &["roformer"],
    spec,
};

/// The base of the angles.
const BASE: f64 = 10_000.0;

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let prefixes = &["", "roformer."];
    let mut spec = bert::layers(config, "roformer", prefixes, PositionIds::FromZero)?;
    spec.embedding.token_types = Some(bert::token_types_of(
        config.size_or(&["type_vocab_size"], 2)?,
    ));
    let size = config.nullable_size("embedding_size", None)?;
    spec.embedding.size = size.unwrap_or(spec.hidden);
    spec.embedding.projection = (spec.embedding.size != spec.hidden).then_some(Projection {
        name: "embeddings_project",
        bias: true,
        of: Projected::Normalised,
    });
    let angles = Rotary {
        interleaved: true,
        values: config.switch_or("rotary_value", false)?,
        table: Some("encoder.embed_positions.weight"),
        ..Rotary::stored(config, BASE, spec.attention.head_size, &[])?
    };
    let longest = config.size(&["max_position_embeddings"])?;
    spec.position = PositionEncoding::rotary(angles, longest);
    Ok(spec)
}
