//! Llama (Touvron et al. 2023), and what its relatives share with it: rotary positions, RMS norms
//! before the blocks, a gated feed-forward block, keys that several heads share.

use super::activation::Activation;
use super::attention::{Attention, AttentionInput};
use super::config::Config;
use super::embedding::Embedding;
use super::error::FamilyError;
use super::reader::Family;
use super::rotary::{RotaryDefaults, rotary};
use super::spec::{
    EncoderSpec, FeedForward, GatedInput, LinearLayout, Norm, PositionEncoding, ResidualOrder,
    TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["llama"],
    spec: |config| {
        let mut spec = spec(config, "llama", &Defaults::LLAMA)?;
        spec.attention.bias = config.switch_or("attention_bias", false)?;
        spec.attention.output_bias = spec.attention.bias;
        feed_forward_biases(&mut spec, config)?;
        Ok(spec)
    },
};

/// Gives the feed-forward block biases where `mlp_bias` says so.
pub(super) fn feed_forward_biases(
    spec: &mut EncoderSpec,
    config: &Config,
) -> Result<(), FamilyError> {
    let both = config.switch_or("mlp_bias", false)?;
    if let FeedForward::Gated {
        bias, output_bias, ..
    } = &mut spec.feed_forward
    {
        (*bias, *output_bias) = (both, both);
    }
    Ok(())
}

/// What relatives of Llama take where the configuration says nothing.
pub(super) struct Defaults {
    /// Heads of keys; none for as many as there are heads of queries.
    pub(super) key_heads: Option<usize>,
    /// Size of a head; none for its share of the hidden size.
    pub(super) head_size: Option<usize>,
    /// Added to the mean of squares.
    pub(super) epsilon: f32,
    /// The name of the non-linearity's field and the non-linearity.
    pub(super) activation: (&'static str, &'static str),
    /// The rotary encoding.
    pub(super) rotary: RotaryDefaults<'static>,
}

impl Defaults {
    pub(super) const LLAMA: Self = Self {
        key_heads: None,
        head_size: None,
        epsilon: 1e-6,
        activation: ("hidden_act", "silu"),
        rotary: RotaryDefaults::PLAIN,
    };
}

/// An encoder with Llama's layers, causal and without biases.
pub(super) fn spec(
    config: &Config,
    family: &'static str,
    defaults: &Defaults,
) -> Result<EncoderSpec, FamilyError> {
    let hidden = config.size(&["hidden_size"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let key_heads = config.nullable_size("num_key_value_heads", defaults.key_heads)?;
    let key_heads = key_heads.unwrap_or(heads);
    if !heads.is_multiple_of(key_heads) {
        let expected = format!("a divisor of the {heads} heads");
        return Err(config.wrong("num_key_value_heads", &expected, key_heads));
    }
    let head_size = match config.nullable_size("head_dim", defaults.head_size)? {
        Some(size) => size,
        None => config.head_size(hidden, heads)?,
    };
    let longest = config.size(&["max_position_embeddings"])?;
    let rotary = rotary(config, head_size, longest, defaults.rotary)?;
    let (field, activation) = defaults.activation;
    let input =
        AttentionInput::Separate(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]);
    Ok(EncoderSpec {
        family,
        layers: config.size(&["num_hidden_layers"])?,
        hidden,
        embedding: Embedding::words_alone("embed_tokens", config.size(&["vocab_size"])?, hidden),
        position: PositionEncoding::rotary(rotary, longest),
        attention: Attention {
            key_heads,
            causal: true,
            bias: false,
            output_bias: false,
            ..Attention::plain(heads, head_size, input, "self_attn.o_proj")
        },
        feed_forward: FeedForward::Gated {
            inner: config.size(&["intermediate_size"])?,
            activation: Activation::from_config(config, field, activation)?,
            bias: false,
            output_bias: false,
            input: GatedInput::Separate(["mlp.gate_proj", "mlp.up_proj"]),
            output: "mlp.down_proj",
        },
        norm: Norm::Rms {
            epsilon: config.epsilon_or("rms_norm_eps", defaults.epsilon)?,
            one_more: false,
        },
        residual: ResidualOrder::PreNorm {
            attention: "input_layernorm",
            feed_forward: "post_attention_layernorm",
            last: Some("norm"),
            in_first_layer: true,
        },
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes: &["", "model.", "transformer."],
            layer: "layers.",
            groups: None,
        },
    })
}
