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

/// What these model types differ in.
struct Variant {
    family: &'static str,
    positions: usize,
    bias: bool,
    output_bias: bool,
    mlp_bias: bool,
    norms: bool,
    base: f64,
    local: Option<LocalAttention>,
}

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let hidden = config.size(&["hidden_size"])?;
    let layers = config.size(&["num_hidden_layers"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let attention_bias = config.switch_or("attention_bias", false)?;
    let llama = Variant {
        family: "llama",
        positions: 2048,
        bias: attention_bias,
        output_bias: attention_bias,
        mlp_bias: config.switch_or("mlp_bias", false)?,
        norms: false,
        base: 10_000.0,
        local: None,
    };
    let variant = match config.text("model_type")? {
        "mistral" => Variant {
            family: "mistral",
            positions: 4096 * 32,
            bias: false,
            output_bias: false,
            mlp_bias: false,
            local: mistral_window(config, layers)?,
            ..llama
        },
        "qwen2" => Variant {
            family: "qwen2",
            positions: 32_768,
            bias: true,
            output_bias: false,
            mlp_bias: false,
            local: qwen_window(config, layers)?,
            ..llama
        },
        "qwen3" => Variant {
            family: "qwen3",
            positions: 32_768,
            mlp_bias: false,
            norms: true,
            local: qwen_window(config, layers)?,
            ..llama
        },
        _ => llama,
    };
    let head_size = match variant.family {
        "qwen2" => config.head_size(hidden, heads)?,
        "qwen3" => config.size_or(&["head_dim"], 128)?,
        _ if config.is_set("head_dim") => config.size(&["head_dim"])?,
        _ => config.head_size(hidden, heads)?,
    };
    let key_heads = match variant.family {
        "mistral" => config.size_or(&["num_key_value_heads"], 8)?,
        "qwen2" | "qwen3" => config.size_or(&["num_key_value_heads"], 32)?,
        _ => config.size_or(&["num_key_value_heads"], heads)?,
    };
    if !heads.is_multiple_of(key_heads) {
        let expected = format!("a divisor of the {heads} attention heads");
        return Err(config.wrong("num_key_value_heads", &expected, key_heads));
    }
    let positions = config.size_or(&["max_position_embeddings"], variant.positions)?;
    let base = config.number_or("rope_theta", variant.base)?;
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
            epsilon: config.epsilon_or("rms_norm_eps", 1e-6)?,
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

/// All layers of Mistral have the window, unless there is none.
fn mistral_window(config: &Config, layers: usize) -> Result<Option<LocalAttention>, FamilyError> {
    // Where the field is missing, transformers takes 4096; null means none.
    let window = if config.is_null("sliding_window") {
        return Ok(None);
    } else {
        config.size_or(&["sliding_window"], 4096)?
    };
    Ok(Some(LocalAttention {
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
