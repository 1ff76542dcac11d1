//! ESM-1b (Rives et al. 2021) and ESM-2 (Lin et al. 2023): encoders of proteins with norms before
//! their blocks, a table of positions or rotary ones, and embeddings that are scaled by how many
//! tokens of a sequence are masked.

use super::activation::Activation;
use super::bert;
use super::config::Config;
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::rotary::Rotary;
use super::spec::{EncoderSpec, FeedForward, PositionEncoding, ResidualOrder};

pub(super) const FAMILY: Family = Family {
    model_types: &["esm"],
    spec,
};

/// The names of stored frequencies; `transformers` 5 writes the second one with its asterisk.
const FREQUENCIES: [&str; 3] = [
    "rotary_embeddings.inv_freq",
    "encoder.layer.*.attention.self.rotary_embeddings.inv_freq",
    "encoder.layer.0.attention.self.rotary_embeddings.inv_freq",
];

/// The non-linearity is no setting.
fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    for switch in ["is_folding_model", "is_decoder"] {
        config.require_off(switch)?;
    }
    let kind = config.text_or("position_embedding_type", "absolute")?;
    let is_rotary = match kind {
        "absolute" => false,
        "rotary" => true,
        other => {
            let field = "position_embedding_type";
            return Err(config.unsupported(field, other, "absolute, rotary"));
        }
    };
    let ids = if is_rotary {
        PositionIds::FromZero
    } else {
        PositionIds::AfterPadding {
            padding: config.token("pad_token_id")?,
        }
    };
    let mut spec = bert::layers(config, "esm", &["", "esm."], ids)?;
    if is_rotary {
        let base = config.number_or("rope_theta", 10_000.0)?;
        let angles = Rotary::stored(config, base, spec.attention.head_size, &FREQUENCIES)?;
        let longest = config.size(&["max_position_embeddings"])?;
        spec.position = PositionEncoding::rotary(angles, longest);
    }
    spec.embedding.token_types = None;
    let has_norm = config.switch_or("emb_layer_norm_before", false)?;
    spec.embedding.norm = has_norm.then_some("embeddings.layer_norm");
    if config.switch_or("token_dropout", false)? {
        spec.embedding.dropped_mask = Some(config.token("mask_token_id")?);
    }
    if let FeedForward::Plain { activation, .. } = &mut spec.feed_forward {
        *activation = Activation::Gelu;
    }
    spec.residual = ResidualOrder::PreNorm {
        attention: "attention.LayerNorm",
        feed_forward: "LayerNorm",
        last: Some("encoder.emb_layer_norm_after"),
        in_first_layer: true,
    };
    Ok(spec)
}
