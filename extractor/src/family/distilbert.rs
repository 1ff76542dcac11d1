//! `DistilBERT` (Sanh et al. 2019): BERT without token types, under other names.

use super::{
    Activation, AttentionNames, AttentionScale, Config, EncoderSpec, Family, FamilyError,
    LinearLayout, NormPlacement, Positions, TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["distilbert"],
    spec,
};

/// Sinusoidal position embeddings are stored as any others, so that `sinusoidal_pos_embds` does not matter.
fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let hidden = config.size(&["dim", "hidden_size"])?;
    Ok(EncoderSpec {
        family: "distilbert",
        layers: config.size(&["n_layers", "num_hidden_layers"])?,
        hidden,
        embedding: hidden,
        heads: config.size(&["n_heads", "num_attention_heads"])?,
        intermediate: config.size(&["hidden_dim"])?,
        vocabulary: config.size(&["vocab_size"])?,
        position_rows: config.size(&["max_position_embeddings"])?,
        token_types: 0,
        positions: Positions::FromZero,
        activation: Activation::from_config(config, "activation", "gelu")?,
        epsilon: 1e-12,
        norm: NormPlacement::Post,
        causal: false,
        scale: AttentionScale::STANDARD,
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes: &["", "distilbert."],
            words: "embeddings.word_embeddings",
            positions: "embeddings.position_embeddings",
            token_types: "",
            embedding_norm: "embeddings.LayerNorm",
            projection: "",
            final_norm: "",
            layer: "transformer.layer.",
            attention: AttentionNames::Separate([
                "attention.q_lin",
                "attention.k_lin",
                "attention.v_lin",
            ]),
            attention_output: "attention.out_lin",
            attention_norm: "sa_layer_norm",
            feed_forward_in: "ffn.lin1",
            feed_forward_out: "ffn.lin2",
            feed_forward_norm: "output_layer_norm",
        },
    })
}
