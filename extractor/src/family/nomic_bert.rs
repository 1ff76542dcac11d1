//! Nomic BERT (Nussbaum et al. 2024): BERT's order of blocks with rotary positions and a gated
//! feed-forward block.

use serde_json::json;

use super::attention::AttentionInput;
use super::config::Config;
use super::embedding::TokenTypes;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::reader::Family;
use super::rotary::RotaryDefaults;
use super::spec::{EncoderSpec, FeedForward, GatedInput, Norm, ResidualOrder, TensorNames};

pub(super) const FAMILY: Family = Family {
    model_types: &["nomic_bert"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    if !config.has("hidden_size") && config.has("n_embd") {
        return plain_spec(&from_own_code(config)?);
    }
    plain_spec(config)
}

/// A configuration of the code that the first checkpoints came with, as `transformers` writes it
/// now; their tensors have the same names. What that code can besides is refused.
fn from_own_code(config: &Config) -> Result<Config, FamilyError> {
    for field in ["n_layer", "n_inner", "n_positions"] {
        config.size(&[field])?;
    }
    let (hidden, heads) = (config.size(&["n_embd"])?, config.size(&["n_head"])?);
    if !hidden.is_multiple_of(heads) {
        return Err(config.wrong("n_head", &format!("a divisor of n_embd = {hidden}"), heads));
    }
    config.require("activation_function", &json!("swiglu"))?;
    config.require("rotary_emb_fraction", &json!(1.0))?;
    for field in ["qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias"] {
        config.require(field, &json!(false))?;
    }
    for field in [
        "prenorm",
        "parallel_block",
        "use_rms_norm",
        "causal",
        "rotary_emb_interleaved",
        "scale_attn_by_inverse_layer_idx",
    ] {
        config.require_off(field)?;
    }
    if !config.switch_or("scale_attn_weights", true)? {
        return Err(config.unsupported("scale_attn_weights", false, "true"));
    }
    for field in ["rotary_emb_scale_base", "rotary_scaling_factor"] {
        if config.has(field) {
            let value = config.number_or(field, 1.0)?;
            return Err(config.unsupported(field, value, "null"));
        }
    }
    config.number_or("rotary_emb_base", 1.0)?;
    if !config.has("rotary_emb_base") {
        return Err(config.wrong("rotary_emb_base", "a positive number", "missing"));
    }
    Ok(config.clone().renamed(&[
        ("n_embd", "hidden_size"),
        ("n_head", "num_attention_heads"),
        ("n_layer", "num_hidden_layers"),
        ("n_inner", "intermediate_size"),
        ("n_positions", "max_position_embeddings"),
        ("layer_norm_epsilon", "layer_norm_eps"),
        ("rotary_emb_base", "rope_theta"),
    ]))
}

fn plain_spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let defaults = Defaults {
        rotary: RotaryDefaults {
            theta: ("rope_theta", 1000.0),
            ..RotaryDefaults::PLAIN
        },
        ..Defaults::LLAMA
    };
    let mut spec = llama::spec(config, "nomic_bert", &defaults)?;
    spec.attention.causal = false;
    spec.attention.key_heads = spec.attention.heads;
    spec.attention.input = AttentionInput::Merged("attn.Wqkv");
    spec.attention.output = "attn.out_proj";
    if let FeedForward::Gated { input, output, .. } = &mut spec.feed_forward {
        *input = GatedInput::Separate(["mlp.fc12", "mlp.fc11"]);
        *output = "mlp.fc2";
    }
    spec.embedding.words = "embeddings.word_embeddings";
    spec.embedding.token_types = Some(TokenTypes {
        table: "embeddings.token_type_embeddings",
        rows: config.size_or(&["type_vocab_size"], 2)?,
        told: false,
    });
    spec.embedding.norm = Some("emb_ln");
    spec.norm = Norm::Layer {
        epsilon: config.epsilon_or("layer_norm_eps", 1e-12)?,
        bias: true,
    };
    spec.residual = ResidualOrder::PostNorm {
        attention: "norm1",
        feed_forward: "norm2",
    };
    spec.names = TensorNames {
        prefixes: &["", "nomic_bert."],
        layer: "encoder.layers.",
        groups: None,
    };
    Ok(spec)
}
