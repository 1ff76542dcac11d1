//! ALBERT (Lan et al. 2020): BERT whose layers share their weights, all of them or in groups, and
//! whose small embeddings always have a projection behind them.

use super::activation::Activation;
use super::attention::AttentionInput;
use super::bert;
use super::config::Config;
use super::embedding::{Projected, Projection};
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::spec::{EncoderSpec, FeedForward, LayerGroups, ResidualOrder};

pub(super) const FAMILY: Family = Family {
    model_types: &["albert"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let mut spec = bert::spec(config, "albert", &["", "albert."], PositionIds::FromZero)?;
    let groups = config.size_or(&["num_hidden_groups"], 1)?;
    let inner = config.size_or(&["inner_group_num"], 1)?;
    if groups > spec.layers {
        let expected = format!("at most {}, the number of layers", spec.layers);
        return Err(config.wrong("num_hidden_groups", &expected, groups));
    }
    spec.names.layer = "encoder.albert_layer_groups.";
    spec.names.groups = Some(LayerGroups {
        name: "albert_layers.",
        groups,
        passes: spec.layers,
        layers: inner,
    });
    // Each of the layers of a group has a hidden state.
    spec.layers *= inner;
    spec.embedding.size = config.size_or(&["embedding_size"], 128)?;
    spec.embedding.projection = Some(Projection {
        name: "encoder.embedding_hidden_mapping_in",
        bias: true,
        of: Projected::Normalised,
    });
    spec.attention.input =
        AttentionInput::Separate(["attention.query", "attention.key", "attention.value"]);
    spec.attention.output = "attention.dense";
    spec.attention.causal = false;
    spec.feed_forward = FeedForward::Plain {
        inner: config.size(&["intermediate_size"])?,
        activation: Activation::from_config(config, "hidden_act", "gelu_new")?,
        bias: true,
        input: "ffn",
        output: "ffn_output",
    };
    spec.residual = ResidualOrder::PostNorm {
        attention: "attention.LayerNorm",
        feed_forward: "full_layer_layer_norm",
    };
    Ok(spec)
}
