//! Llama (Touvron et al. 2023) and the decoders that are built like it, as frozen encoders: Mistral,
//! Qwen2 and Qwen3. RMS norms before blocks, rotary positions, gated feed-forward, and keys and
//! values that several heads share. A token sees what is to its left.

use super::activation::Activation;
use super::config::Config;
use super::error::FamilyError;
use super::reader::Family;
use super::rotary::Settings;
use super::spec::{
    Attention, AttentionInput, AttentionScale, Embedding, EncoderSpec, FeedForward, GatedInput,
    LinearLayout, LocalAttention, Norm, PositionEncoding, ResidualOrder, TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["llama", "mistral", "qwen2", "qwen3"],
    spec,
};

/// What decoders that are built like Llama differ in.
pub(super) struct Variant {
    pub(super) family: &'static str,
    /// Positions where the configuration does not say how many.
    pub(super) positions: usize,
    /// Size of a head, if not the hidden size over the heads.
    pub(super) head_size: Option<usize>,
    pub(super) key_heads: usize,
    /// Whether query, key and value have biases.
    pub(super) bias: bool,
    pub(super) output_bias: bool,
    pub(super) mlp_bias: bool,
    /// Whether queries and keys are normed.
    pub(super) norms: bool,
    /// The epsilon of norms where the configuration does not say it.
    pub(super) epsilon: f32,
    pub(super) local: Option<LocalAttention>,
}

impl Variant {
    /// What Llama has.
    pub(super) fn new(config: &Config, family: &'static str) -> Result<Self, FamilyError> {
        let heads = config.size(&["num_attention_heads"])?;
        let bias = config.switch_or("attention_bias", false)?;
        let head_size = config
            .is_set("head_dim")
            .then(|| config.size(&["head_dim"]));
        Ok(Self {
            family,
            positions: 2048,
            head_size: head_size.transpose()?,
            key_heads: config.size_or(&["num_key_value_heads"], heads)?,
            bias,
            output_bias: bias,
            mlp_bias: config.switch_or("mlp_bias", false)?,
            norms: false,
            epsilon: 1e-6,
            local: None,
        })
    }
}

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let layers = config.size(&["num_hidden_layers"])?;
    let variant = match config.text("model_type")? {
        "mistral" => Variant {
            positions: 4096 * 32,
            key_heads: config.size_or(&["num_key_value_heads"], 8)?,
            bias: false,
            output_bias: false,
            mlp_bias: false,
            local: window_everywhere(config, layers, Some(4096))?,
            ..Variant::new(config, "mistral")?
        },
        "qwen2" => Variant {
            positions: 32_768,
            head_size: None,
            key_heads: config.size_or(&["num_key_value_heads"], 32)?,
            bias: true,
            output_bias: false,
            mlp_bias: false,
            local: qwen_window(config, layers)?,
            ..Variant::new(config, "qwen2")?
        },
        "qwen3" => Variant {
            positions: 32_768,
            head_size: Some(config.size_or(&["head_dim"], 128)?),
            key_heads: config.size_or(&["num_key_value_heads"], 32)?,
            mlp_bias: false,
            norms: true,
            local: qwen_window(config, layers)?,
            ..Variant::new(config, "qwen3")?
        },
        _ => Variant::new(config, "llama")?,
    };
    decoder(config, variant)
}

/// A decoder that is built like Llama.
pub(super) fn decoder(config: &Config, variant: Variant) -> Result<EncoderSpec, FamilyError> {
    let hidden = config.size(&["hidden_size"])?;
    let layers = config.size(&["num_hidden_layers"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let head_size = match variant.head_size {
        Some(size) => size,
        None => config.head_size(hidden, heads)?,
    };
    let key_heads = variant.key_heads;
    if !heads.is_multiple_of(key_heads) {
        let expected = format!("a divisor of the {heads} attention heads");
        return Err(config.wrong("num_key_value_heads", &expected, key_heads));
    }
    let positions = config.size_or(&["max_position_embeddings"], variant.positions)?;
    let base = config.number_or("rope_theta", 10_000.0)?;
    let rotation = Settings::new(config, None, base, head_size)?.rotation(positions)?;
    Ok(EncoderSpec {
        family: variant.family,
        layers,
        hidden,
        embedding: Embedding {
            words: "embed_tokens",
            vocabulary: config.size(&["vocab_size"])?,
            size: hidden,
            token_types: None,
            scale: None,
            norm: None,
            projection: None,
        },
        position: PositionEncoding::Rotary {
            positions,
            rotation,
        },
        feed_forward: FeedForward::Gated {
            inner: config.size(&["intermediate_size"])?,
            activation: Activation::from_config(config, "hidden_act", "silu")?,
            bias: variant.mlp_bias,
            input: GatedInput::Separate(["mlp.gate_proj", "mlp.up_proj"]),
            output: "mlp.down_proj",
        },
        norm: Norm::Rms {
            epsilon: config.epsilon_or("rms_norm_eps", variant.epsilon)?,
            less_one: false,
        },
        attention: Attention {
            heads,
            key_heads,
            head_size,
            causal: true,
            scale: AttentionScale::STANDARD,
            bias: variant.bias,
            output_bias: variant.output_bias,
            norms: variant
                .norms
                .then_some(["self_attn.q_norm", "self_attn.k_norm"]),
            input: AttentionInput::Separate([
                "self_attn.q_proj",
                "self_attn.k_proj",
                "self_attn.v_proj",
            ]),
            output: "self_attn.o_proj",
        },
        local: variant.local,
        residual: ResidualOrder::PreNorm {
            attention: "input_layernorm",
            first: true,
            feed_forward: "post_attention_layernorm",
            last: "norm",
        },
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes: &["", "model."],
            layer: "layers.",
        },
    })
}

/// A window in all layers, unless the configuration says null, or says nothing and there is no
/// usual one.
pub(super) fn window_everywhere(
    config: &Config,
    layers: usize,
    usual: Option<usize>,
) -> Result<Option<LocalAttention>, FamilyError> {
    let window = match usual {
        _ if config.is_null("sliding_window") => None,
        Some(usual) => Some(config.size_or(&["sliding_window"], usual)?),
        None if config.is_set("sliding_window") => Some(config.size(&["sliding_window"])?),
        None => None,
    };
    Ok(window.map(|window| LocalAttention {
        distance: window - 1,
        layers: vec![true; layers],
        rotation: None,
    }))
}

/// Qwen's later layers have a window, where it is switched on.
fn qwen_window(config: &Config, layers: usize) -> Result<Option<LocalAttention>, FamilyError> {
    if !config.switch_or("use_sliding_window", false)? || config.is_null("sliding_window") {
        return Ok(None);
    }
    let window = config.size_or(&["sliding_window"], 4096)?;
    let whole = config.count_or("max_window_layers", 28)?;
    let by_place: Vec<bool> = (0..layers).map(|layer| layer >= whole).collect();
    let layers = config.local_layers(layers)?.unwrap_or(by_place);
    Ok(Some(LocalAttention {
        distance: window - 1,
        layers,
        rotation: None,
    }))
}
