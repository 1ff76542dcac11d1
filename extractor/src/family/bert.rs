//! BERT (Devlin et al. 2019), and what its relatives share with it.

use super::{
    Activation, AttentionNames, AttentionScale, Config, EncoderSpec, Family, FamilyError,
    LinearLayout, NormPlacement, Positions, TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["bert"],
    spec: |config| spec(config, "bert", &["", "bert."], Positions::FromZero),
};

/// An encoder with BERT's layers. Missing settings are those of `BertConfig`.
pub(super) fn spec(
    config: &Config,
    family: &'static str,
    prefixes: &'static [&'static str],
    positions: Positions,
) -> Result<EncoderSpec, FamilyError> {
    config.require_text("position_embedding_type", "absolute")?;
    config.require_off("add_cross_attention")?;
    let hidden = config.size(&["hidden_size"])?;
    Ok(EncoderSpec {
        family,
        layers: config.size(&["num_hidden_layers"])?,
        hidden,
        embedding: hidden,
        heads: config.size(&["num_attention_heads"])?,
        intermediate: config.size(&["intermediate_size"])?,
        vocabulary: config.size(&["vocab_size"])?,
        position_rows: config.size(&["max_position_embeddings"])?,
        token_types: config.size_or(&["type_vocab_size"], 2)?,
        positions,
        activation: Activation::from_config(config, "hidden_act", "gelu")?,
        epsilon: config.epsilon_or("layer_norm_eps", 1e-12)?,
        norm: NormPlacement::Post,
        causal: config.switch_or("is_decoder", false)?,
        scale: AttentionScale::STANDARD,
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes,
            words: "embeddings.word_embeddings",
            positions: "embeddings.position_embeddings",
            token_types: "embeddings.token_type_embeddings",
            embedding_norm: "embeddings.LayerNorm",
            projection: "",
            final_norm: "",
            layer: "encoder.layer.",
            attention: AttentionNames::Separate([
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
            ]),
            attention_output: "attention.output.dense",
            attention_norm: "attention.output.LayerNorm",
            feed_forward_in: "intermediate.dense",
            feed_forward_out: "output.dense",
            feed_forward_norm: "output.LayerNorm",
        },
    })
}
