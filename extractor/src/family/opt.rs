//! OPT (Zhang et al. 2022): a causal encoder with norms before its blocks, in one size behind them,
//! whose words may be smaller than its hidden states. Galactica (Taylor et al. 2022) is one without
//! biases.

use super::activation::Activation;
use super::attention::{Attention, AttentionInput};
use super::config::Config;
use super::embedding::{Embedding, Projected, Projection};
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::spec::{
    EncoderSpec, FeedForward, LinearLayout, Norm, PositionEncoding, ResidualOrder, TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["opt"],
    spec,
};

/// Rows of the position table that stand for no position.
const UNUSED: i32 = 2;
/// Of every norm; no setting.
const EPSILON: f32 = 1e-5;

/// Behind the last layer of an encoder with small words stands a projection to their size, which
/// serves the language model alone: the last hidden state is the one before it.
fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let hidden = config.size(&["hidden_size"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let words = config.size_or(&["word_embed_proj_dim"], hidden)?;
    let ids = PositionIds::From { first: UNUSED };
    let bias = config.switch_or("enable_bias", true)?;
    let (attention, feed_forward) = ("self_attn_layer_norm", "final_layer_norm");
    let residual = if config.switch_or("do_layer_norm_before", true)? {
        let removed = config.switch_or("_remove_final_layer_norm", false)?;
        ResidualOrder::PreNorm {
            attention,
            feed_forward,
            last: (!removed).then_some("final_layer_norm"),
            in_first_layer: true,
        }
    } else {
        ResidualOrder::PostNorm {
            attention,
            feed_forward,
        }
    };
    Ok(EncoderSpec {
        family: "opt",
        layers: config.size(&["num_hidden_layers"])?,
        hidden,
        embedding: Embedding {
            projection: (words != hidden).then_some(Projection {
                name: "project_in",
                bias: false,
                of: Projected::Words,
            }),
            ..Embedding::words_alone("embed_tokens", config.size(&["vocab_size"])?, words)
        },
        position: PositionEncoding::Table {
            table: "embed_positions",
            rows: config.size(&["max_position_embeddings"])? + ids.first(),
            ids,
        },
        attention: Attention {
            causal: true,
            bias,
            output_bias: bias,
            ..Attention::plain(
                heads,
                config.head_size(hidden, heads)?,
                AttentionInput::Separate([
                    "self_attn.q_proj",
                    "self_attn.k_proj",
                    "self_attn.v_proj",
                ]),
                "self_attn.out_proj",
            )
        },
        feed_forward: FeedForward::Plain {
            inner: config.size(&["ffn_dim"])?,
            activation: Activation::from_config(config, "activation_function", "relu")?,
            bias,
            input: "fc1",
            output: "fc2",
        },
        norm: if config.switch_or("layer_norm_elementwise_affine", true)? {
            Norm::Layer {
                epsilon: EPSILON,
                bias: true,
            }
        } else {
            Norm::Plain { epsilon: EPSILON }
        },
        residual,
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes: &["", "decoder.", "model.decoder."],
            layer: "layers.",
            groups: None,
        },
    })
}
