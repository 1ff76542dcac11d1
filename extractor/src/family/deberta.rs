//! `DeBERTa` (He et al. 2021), the first version: every distance has a row of its own until there are
//! no more, and query, key and value are one matrix.

use super::attention::AttentionInput;
use super::config::Config;
use super::deberta_v2::{outside_of_attention, scaled};
use super::disentangled::{Disentangled, DistanceLayer, Distances, farthest, terms};
use super::error::FamilyError;
use super::reader::Family;
use super::spec::EncoderSpec;

pub(super) const FAMILY: Family = Family {
    model_types: &["deberta"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    config.require_off("talking_head")?;
    let mut spec = outside_of_attention(config, "deberta")?;
    spec.attention.input = AttentionInput::MergedByHeadBiased {
        matrix: "attention.self.in_proj",
        query_bias: "attention.self.q_bias",
        value_bias: "attention.self.v_bias",
    };
    let [to_position, to_content] = terms(config)?;
    spec.attention.scale.instead = scaled(spec.attention.head_size, [to_position, to_content]);
    if config.switch_or("relative_attention", false)? {
        let layer = |name, bias| DistanceLayer { name, bias };
        spec.attention.disentangled = Disentangled {
            table: "encoder.rel_embeddings",
            norm: None,
            distances: Distances {
                span: farthest(config, spec.max_positions())?,
                logarithmic_to: None,
            },
            key: to_position.then_some(layer("attention.self.pos_proj", false)),
            query: to_content.then_some(layer("attention.self.pos_q_proj", true)),
        }
        .if_any();
    }
    Ok(spec)
}
