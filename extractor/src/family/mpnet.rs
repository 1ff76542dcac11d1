//! `MPNet` (Song et al. 2020): BERT without token types, whose positions begin above the padding
//! token's id and whose attention scores have biases by distance, the same in all layers.

use super::attention::AttentionInput;
use super::bert;
use super::config::Config;
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::relative_bias::{BiasTable, RelativeBias};
use super::spec::{EncoderSpec, ResidualOrder};

pub(super) const FAMILY: Family = Family {
    model_types: &["mpnet"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    // Whatever `pad_token_id` says.
    let ids = PositionIds::AfterPadding { padding: 1 };
    let mut spec = bert::spec(config, "mpnet", &["", "mpnet."], ids)?;
    spec.embedding.token_types = None;
    spec.attention.causal = false;
    let table = BiasTable::Shared("encoder.relative_attention_bias");
    spec.attention.relative_bias = Some(RelativeBias::fixed(config, table)?);
    spec.attention.input =
        AttentionInput::Separate(["attention.attn.q", "attention.attn.k", "attention.attn.v"]);
    spec.attention.output = "attention.attn.o";
    spec.residual = ResidualOrder::PostNorm {
        attention: "attention.LayerNorm",
        feed_forward: "output.LayerNorm",
    };
    Ok(spec)
}
