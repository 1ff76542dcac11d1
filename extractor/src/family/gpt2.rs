//! GPT-2 (Radford et al. 2019): a causal encoder that normalises before its
//! blocks, and once more after the last.

use super::{
    Activation, AttentionNames, AttentionScale, Config, EncoderSpec, Family, FamilyError,
    LinearLayout, NormPlacement, Positions, TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["gpt2"],
    spec,
};

/// `reorder_and_upcast_attn` is about rounding only.
fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    config.require_off("add_cross_attention")?;
    let hidden = config.size(&["n_embd", "hidden_size"])?;
    Ok(EncoderSpec {
        family: "gpt2",
        layers: config.size(&["n_layer", "num_hidden_layers"])?,
        hidden,
        embedding: hidden,
        heads: config.size(&["n_head", "num_attention_heads"])?,
        intermediate: config.size_or(&["n_inner"], 4 * hidden)?,
        vocabulary: config.size(&["vocab_size"])?,
        position_rows: config.size(&["n_positions", "max_position_embeddings"])?,
        token_types: 0,
        positions: Positions::FromZero,
        activation: Activation::from_config(config, "activation_function", "gelu_new")?,
        epsilon: config.epsilon_or("layer_norm_epsilon", 1e-5)?,
        norm: NormPlacement::Pre,
        causal: true,
        scale: AttentionScale {
            by_head_size: config.switch_or("scale_attn_weights", true)?,
            by_layer: config.switch_or("scale_attn_by_inverse_layer_idx", false)?,
        },
        linear: LinearLayout::InOut,
        names: TensorNames {
            prefixes: &["", "transformer."],
            words: "wte",
            positions: "wpe",
            token_types: "",
            embedding_norm: "",
            projection: "",
            final_norm: "ln_f",
            layer: "h.",
            attention: AttentionNames::Merged("attn.c_attn"),
            attention_output: "attn.c_proj",
            attention_norm: "ln_1",
            feed_forward_in: "mlp.c_fc",
            feed_forward_out: "mlp.c_proj",
            feed_forward_norm: "ln_2",
        },
    })
}
