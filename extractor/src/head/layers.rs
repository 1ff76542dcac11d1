//! From the layers that a head reads, each `[rows, width, hidden]`, to one vector of features a token.

use ort::operator::Attribute;

use super::graph::Rows;
use super::nodes::{Nodes, size};
use super::{HeadKind, Settings, adapter};
use crate::graph::{GraphError, MICROSOFT};

/// Of the layer norm of attention fusion: PyTorch's default.
const EPSILON: f32 = 1e-5;

/// `[rows, width, features]`.
pub(super) fn features(
    nodes: &mut Nodes<'_>,
    settings: &Settings,
    layers: &[&str],
    rows: &Rows,
) -> Result<String, GraphError> {
    match &settings.kind {
        HeadKind::Adapter => adapter::features(nodes, settings, layers, rows),
        HeadKind::AttentionFusion => attention_fusion(nodes, settings, layers),
        HeadKind::ScalarMix => scalar_mix(nodes, layers),
        HeadKind::Last | HeadKind::Layer(_) | HeadKind::Concat(_) => {
            nodes.along("Concat", "layers.beside", layers, -1)
        }
    }
}

/// The layers summed up with the weights of each token, `[rows, width, layers]`.
pub(super) fn weighted_sum(
    nodes: &mut Nodes<'_>,
    layers: &[&str],
    weights: &str,
) -> Result<String, GraphError> {
    let mut sum: Option<String> = None;
    for (place, layer) in layers.iter().enumerate() {
        let name = format!("layers.{place}");
        let last = Attribute::new("axis", -1_i64)?;
        let weight = format!("{name}.weight");
        let weight = nodes.by("Gather", &weight, weights, &[size(place)], vec![last])?;
        let part = nodes.apply("Mul", &format!("{name}.part"), &[layer, &weight])?;
        sum = Some(match sum {
            None => part,
            Some(sum) => nodes.apply("Add", &format!("{name}.sum"), &[&sum, &part])?,
        });
    }
    Ok(sum.unwrap_or_default())
}

/// `scale * sum over layers of softmax(weights) * layer`.
fn scalar_mix(nodes: &mut Nodes<'_>, layers: &[&str]) -> Result<String, GraphError> {
    let weights = nodes.parameter("scalar_mix.weights", &[layers.len()])?;
    let weights = nodes.along("Softmax", "scalar_mix.softmax", &[&weights], 0)?;
    let sum = weighted_sum(nodes, layers, &weights)?;
    let scale = nodes.parameter("scalar_mix.scale", &[1])?;
    nodes.apply("Mul", "scalar_mix.result", &[&sum, &scale])
}

/// Layer norm over layers and hidden size together, softmax over layers of the product with a learned vector, the
/// weighted sum, GELU.
fn attention_fusion(
    nodes: &mut Nodes<'_>,
    settings: &Settings,
    layers: &[&str],
) -> Result<String, GraphError> {
    let mut stacked = Vec::with_capacity(layers.len());
    for (place, layer) in layers.iter().enumerate() {
        let name = format!("fusion.layer.{place}");
        stacked.push(nodes.by("Unsqueeze", &name, layer, &[2], vec![])?);
    }
    let stacked: Vec<&str> = stacked.iter().map(String::as_str).collect();
    let stacked = nodes.along("Concat", "fusion.layers", &stacked, 2)?;
    let shape = [layers.len(), settings.hidden];
    let normal = nodes.layer_norm("fusion.norm", &stacked, &shape, EPSILON)?;
    let query = nodes.parameter("fusion.query", &[settings.hidden])?;
    let scores = nodes.apply("MatMul", "fusion.scores", &[&normal, &query])?;
    let weights = nodes.along("Softmax", "fusion.weights", &[&scores], -1)?;
    let weights = nodes.by("Unsqueeze", "fusion.weights.row", &weights, &[2], vec![])?;
    let sum = nodes.apply("MatMul", "fusion.sum", &[&weights, &normal])?;
    let sum = nodes.by("Squeeze", "fusion.sum.vector", &sum, &[2], vec![])?;
    nodes
        .builder
        .node((MICROSOFT, "Gelu"), "fusion.gelu", &[&sum], vec![])
}
