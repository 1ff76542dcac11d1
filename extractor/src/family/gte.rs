//! GTE (Zhang et al. 2024): BERT's order of blocks with rotary positions and a gated feed-forward
//! block, whose last linear layer alone has a bias.

use super::attention::AttentionInput;
use super::bert;
use super::config::Config;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::reader::Family;
use super::rotary::RotaryDefaults;
use super::spec::{EncoderSpec, FeedForward, GatedInput, Norm, ResidualOrder, TensorNames};

pub(super) const FAMILY: Family = Family {
    model_types: &["gte"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let defaults = Defaults {
        activation: ("hidden_act", "gelu"),
        rotary: RotaryDefaults {
            theta: ("rope_theta", 160_000.0),
            ..RotaryDefaults::PLAIN
        },
        ..Defaults::LLAMA
    };
    let mut spec = llama::spec(config, "gte", &defaults)?;
    spec.attention.causal = false;
    spec.attention.key_heads = spec.attention.heads;
    spec.attention.bias = true;
    spec.attention.output_bias = true;
    spec.attention.input = AttentionInput::Merged("attention.qkv_proj");
    spec.attention.output = "attention.o_proj";
    if let FeedForward::Gated {
        output_bias, input, ..
    } = &mut spec.feed_forward
    {
        *output_bias = true;
        *input = GatedInput::MergedGateLast("mlp.up_gate_proj");
    }
    spec.embedding.words = "embeddings.word_embeddings";
    // gte-base-en-v1.5 has none.
    let types = config.count_or("type_vocab_size", 1)?;
    spec.embedding.token_types = (types > 0).then(|| bert::token_types_of(types));
    spec.embedding.norm = Some("embeddings.LayerNorm");
    spec.norm = Norm::Layer {
        epsilon: config.epsilon_or("layer_norm_eps", 1e-12)?,
        bias: true,
    };
    spec.residual = ResidualOrder::PostNorm {
        attention: "attn_ln",
        feed_forward: "mlp_ln",
    };
    spec.names = TensorNames {
        // `new.` in the first checkpoints.
        prefixes: &["", "gte.", "new."],
        layer: "encoder.layer.",
        groups: None,
    };
    Ok(spec)
}
