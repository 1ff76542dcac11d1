//! `RoBERTa` with its norms before its blocks (Wettig et al. 2023, "Should You Mask 15%"), and
//! XLM-R XL and XXL (Goyal et al. 2021), which do that under other names and have no norm after
//! their embeddings.

use super::bert;
use super::config::Config;
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::spec::{EncoderSpec, Norm, ResidualOrder};

pub(super) const FAMILY: Family = Family {
    model_types: &["roberta-prelayernorm"],
    spec,
};

pub(super) const XL: Family = Family {
    model_types: &["xlm-roberta-xl"],
    spec: xl_spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let ids = PositionIds::AfterPadding {
        padding: config.token_or("pad_token_id", 1)?,
    };
    let prefixes = &["", "roberta_prelayernorm."];
    let mut spec = bert::spec(config, "roberta-prelayernorm", prefixes, ids)?;
    spec.residual = ResidualOrder::PreNorm {
        attention: "attention.LayerNorm",
        feed_forward: "intermediate.LayerNorm",
        last: Some("LayerNorm"),
        in_first_layer: true,
    };
    Ok(spec)
}

fn xl_spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let ids = PositionIds::AfterPadding {
        padding: config.token_or("pad_token_id", 1)?,
    };
    let mut spec = bert::spec(config, "xlm-roberta-xl", &["", "roberta."], ids)?;
    spec.embedding.norm = None;
    if let Some(types) = &mut spec.embedding.token_types {
        types.rows = config.size_or(&["type_vocab_size"], 1)?;
    }
    spec.norm = Norm::Layer {
        epsilon: config.epsilon_or("layer_norm_eps", 1e-5)?,
        bias: true,
    };
    spec.residual = ResidualOrder::PreNorm {
        attention: "attention.self_attn_layer_norm",
        feed_forward: "LayerNorm",
        last: Some("encoder.LayerNorm"),
        in_first_layer: true,
    };
    Ok(spec)
}
