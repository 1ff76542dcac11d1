//! Nomic BERT (Nussbaum et al. 2024): BERT's order of blocks with rotary positions and a gated
//! feed-forward block.

use super::config::Config;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::reader::Family;
use super::rotary::RotaryDefaults;
use super::spec::{
    AttentionInput, EncoderSpec, FeedForward, GatedInput, Norm, ResidualOrder, TensorNames,
    TokenTypes,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["nomic_bert"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
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
