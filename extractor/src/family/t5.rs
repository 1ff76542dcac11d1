//! The encoders of T5 (Raffel et al. 2020), mT5 (Xue et al. 2021) and UMT5 (Chung et al. 2023):
//! attention that is not scaled and knows positions by biases of its scores, those of the first layer
//! in all layers or, in UMT5, each layer's own. Of a whole checkpoint the decoder is not read.

use super::activation::Activation;
use super::attention::{Attention, AttentionInput, AttentionScale};
use super::config::Config;
use super::embedding::Embedding;
use super::error::FamilyError;
use super::reader::Family;
use super::relative_bias::{BiasTable, RelativeBias};
use super::spec::{
    EncoderSpec, FeedForward, GatedInput, LinearLayout, Norm, PositionEncoding, ResidualOrder,
    TensorNames,
};

const MODEL_TYPES: [&str; 3] = ["t5", "mt5", "umt5"];

pub(super) const FAMILY: Family = Family {
    model_types: &MODEL_TYPES,
    spec,
};

/// Tokens that T5 was trained with: there is no table of positions that would end.
const LONGEST: usize = 512;

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let model_type = config.text("model_type")?;
    let family = MODEL_TYPES
        .into_iter()
        .find(|known| *known == model_type)
        .unwrap_or(MODEL_TYPES[0]);
    let hidden = config.size(&["d_model", "hidden_size"])?;
    let table = if family == "umt5" {
        BiasTable::InLayer("layer.0.SelfAttention.relative_attention_bias")
    } else {
        BiasTable::Shared("encoder.block.0.layer.0.SelfAttention.relative_attention_bias")
    };
    let attention = Attention {
        scale: AttentionScale {
            by_head_size: false,
            ..AttentionScale::STANDARD
        },
        relative_bias: Some(RelativeBias::from_config(config, table)?),
        bias: false,
        output_bias: false,
        ..Attention::plain(
            config.size(&["num_heads", "num_attention_heads"])?,
            config.size_or(&["d_kv", "head_dim"], 64)?,
            AttentionInput::Separate([
                "layer.0.SelfAttention.q",
                "layer.0.SelfAttention.k",
                "layer.0.SelfAttention.v",
            ]),
            "layer.0.SelfAttention.o",
        )
    };
    Ok(EncoderSpec {
        family,
        layers: config.size(&["num_layers", "num_hidden_layers"])?,
        hidden,
        embedding: Embedding {
            words_also: Some("shared"),
            ..Embedding::words_alone(
                "encoder.embed_tokens",
                config.size(&["vocab_size"])?,
                hidden,
            )
        },
        position: PositionEncoding::None {
            longest: config.size_or(&["n_positions"], LONGEST)?,
        },
        attention,
        feed_forward: feed_forward(config, family)?,
        norm: Norm::Rms {
            epsilon: config.epsilon_or("layer_norm_epsilon", 1e-6)?,
            one_more: false,
        },
        residual: ResidualOrder::PreNorm {
            attention: "layer.0.layer_norm",
            feed_forward: "layer.1.layer_norm",
            last: Some("encoder.final_layer_norm"),
            in_first_layer: true,
        },
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes: &["", "transformer."],
            layer: "encoder.block.",
            groups: None,
        },
    })
}

/// `feed_forward_proj` names a non-linearity, after `gated-` where there is a gate; `dense_act_fn`
/// and `is_gated_act`, which `transformers` writes beside it, overrule it.
fn feed_forward(config: &Config, family: &str) -> Result<FeedForward, FamilyError> {
    let field = "feed_forward_proj";
    let default = if family == "t5" { "relu" } else { "gated-gelu" };
    let named = config.text_or(field, default)?;
    let (gated, name) = match named.split_once('-') {
        None => (false, named),
        Some(("gated", name)) if !name.contains('-') => (true, name),
        Some(_) => {
            let expected = "a non-linearity, or one after gated-";
            return Err(config.wrong(field, expected, format!("{named:?}")));
        }
    };
    let name = if named == "gated-gelu" {
        "gelu_new"
    } else {
        name
    };
    let activation = Activation::from_config(config, "dense_act_fn", name)?;
    let inner = config.size(&["d_ff"])?;
    let output = "layer.1.DenseReluDense.wo";
    if config.switch_or("is_gated_act", gated)? {
        return Ok(FeedForward::Gated {
            inner,
            activation,
            bias: false,
            output_bias: false,
            input: GatedInput::Separate([
                "layer.1.DenseReluDense.wi_0",
                "layer.1.DenseReluDense.wi_1",
            ]),
            output,
        });
    }
    Ok(FeedForward::Plain {
        inner,
        activation,
        bias: false,
        input: "layer.1.DenseReluDense.wi",
        output,
    })
}
