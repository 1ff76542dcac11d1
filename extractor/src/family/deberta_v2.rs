//! DeBERTa-v2 and v3 (He et al. 2021 and 2023), `mDeBERTa`: BERT whose attention scores depend on how
//! far apart two tokens are, by buckets that grow with the distance.

use super::activation::Activation;
use super::attention::AttentionInput;
use super::bert;
use super::config::Config;
use super::disentangled::{Disentangled, DistanceLayer, Distances, farthest, in_buckets, terms};
use super::embedding::{Projected, Projection};
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::spec::{Convolution, EncoderSpec, Norm, PositionEncoding, ResidualOrder};

pub(super) const FAMILY: Family = Family {
    model_types: &["deberta-v2"],
    spec,
};

const INPUT: [&str; 3] = [
    "attention.self.query_proj",
    "attention.self.key_proj",
    "attention.self.value_proj",
];

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let mut spec = outside_of_attention(config, "deberta-v2")?;
    let (heads, head_size) = (spec.attention.heads, spec.attention.head_size);
    if config.size_or(&["attention_head_size"], head_size)? != head_size {
        let size = config.size(&["attention_head_size"])?;
        let expected = format!("the hidden size by {heads} heads, {head_size}");
        return Err(config.wrong("attention_head_size", &expected, size));
    }
    spec.attention.input = AttentionInput::Separate(INPUT);
    let [to_position, to_content] = terms(config)?;
    spec.attention.scale.instead = scaled(head_size, [to_position, to_content]);
    if config.switch_or("relative_attention", false)? {
        let farthest = farthest(config, spec.max_positions())?;
        let distances = match config.positive_or_none("position_buckets")? {
            Some(buckets) => in_buckets(config, buckets, farthest)?,
            None => Distances {
                span: farthest,
                logarithmic_to: None,
            },
        };
        let layers = if config.switch_or("share_att_key", false)? {
            [INPUT[1], INPUT[0]]
        } else {
            [
                "attention.self.pos_key_proj",
                "attention.self.pos_query_proj",
            ]
        };
        let [key, query] = layers.map(|name| DistanceLayer { name, bias: true });
        let norms = config.texts_or_split("norm_rel_ebd", '|')?;
        let has_norm = norms.is_some_and(|norms| norms.iter().any(|norm| norm == "layer_norm"));
        spec.attention.disentangled = Disentangled {
            table: "encoder.rel_embeddings",
            norm: has_norm.then_some("encoder.LayerNorm"),
            distances,
            key: to_position.then_some(key),
            query: to_content.then_some(query),
        }
        .if_any();
    }
    if let Some(convolution) = convolution(config, spec.hidden)? {
        spec.residual = ResidualOrder::PostNormConvolution {
            attention: "attention.output.LayerNorm",
            feed_forward: "output.LayerNorm",
            convolution,
        };
    }
    Ok(spec)
}

/// All but attention, which both versions have in common.
pub(super) fn outside_of_attention(
    config: &Config,
    family: &'static str,
) -> Result<EncoderSpec, FamilyError> {
    let ids = PositionIds::FromZero;
    let mut spec = bert::without_token_types(config, family, &["", "deberta."], ids)?;
    let token_types = config.count_or("type_vocab_size", 0)?;
    spec.embedding.token_types = (token_types > 0).then_some(bert::token_types_of(token_types));
    spec.embedding.size = config.size_or(&["embedding_size"], spec.hidden)?;
    spec.embedding.projection = (spec.embedding.size != spec.hidden).then_some(Projection {
        name: "embeddings.embed_proj",
        bias: false,
        of: Projected::Sum,
    });
    if !config.switch_or("position_biased_input", true)? {
        let longest = spec.max_positions();
        spec.position = PositionEncoding::None { longest };
    }
    spec.norm = Norm::Layer {
        epsilon: config.epsilon_or("layer_norm_eps", 1e-7)?,
        bias: true,
    };
    // transformers has no decoder of this kind and does not look at the switch.
    spec.attention.causal = false;
    Ok(spec)
}

/// The number that takes the place of the head size in the scale of scores: it grows with the terms,
/// whether or not there are distances.
#[expect(clippy::cast_precision_loss, reason = "head sizes are small numbers")]
pub(super) fn scaled(head_size: usize, terms: [bool; 2]) -> Option<f32> {
    let terms = terms.into_iter().filter(|&term| term).count();
    (terms > 0).then_some((head_size * (1 + terms)) as f32)
}

/// The convolution beside the first layer, if the kernel has a size.
fn convolution(config: &Config, hidden: usize) -> Result<Option<Convolution>, FamilyError> {
    let Some(kernel) = config.positive_or_none("conv_kernel_size")? else {
        return Ok(None);
    };
    if kernel.is_multiple_of(2) {
        return Err(config.wrong("conv_kernel_size", "an odd number", kernel));
    }
    let groups = config.size_or(&["conv_groups"], 1)?;
    if !hidden.is_multiple_of(groups) {
        let expected = format!("a divisor of the hidden size {hidden}");
        return Err(config.wrong("conv_groups", &expected, groups));
    }
    Ok(Some(Convolution {
        name: "encoder.conv.conv",
        norm: "encoder.conv.LayerNorm",
        kernel,
        groups,
        activation: Activation::from_config(config, "conv_act", "tanh")?,
    }))
}
