//! From the layers that a head reads, each `[rows, width, hidden]`, to one vector of features a
//! token.

use shared::heads::{attention_fusion, scalar_mix};

use super::nodes::{Nodes, Rows, weighted_sum};
use super::{HeadKind, HeadOptions, adapter};
use crate::graph::{GraphError, MICROSOFT};

/// `[rows, width, features]`.
pub(super) fn features(
    nodes: &mut Nodes<'_>,
    options: &HeadOptions,
    layers: &[&str],
    rows: &Rows,
) -> Result<String, GraphError> {
    match &options.kind {
        HeadKind::Adapter => adapter::features(nodes, options, layers, rows),
        HeadKind::AttentionFusion => fused(nodes, options, layers),
        HeadKind::ScalarMix => mixed(nodes, options, layers),
        HeadKind::Last | HeadKind::Layer(_) | HeadKind::Concat(_) => {
            nodes.along("Concat", "layers.beside", layers, -1)
        }
    }
}

/// `scale * sum over layers of softmax(weights) * layer`.
fn mixed(
    nodes: &mut Nodes<'_>,
    options: &HeadOptions,
    layers: &[&str],
) -> Result<String, GraphError> {
    let parameters = scalar_mix::Parameters::new(options.layers.len());
    let weights = nodes.parameter(&parameters.weights)?;
    let weights = nodes.along("Softmax", "scalar_mix.softmax", &[&weights], 0)?;
    let sum = weighted_sum(nodes, layers, &weights)?;
    let scale = nodes.parameter(&parameters.scale)?;
    nodes.apply("Mul", "scalar_mix.result", &[&sum, &scale])
}

/// Layer norm over layers and hidden size together, softmax over layers of the product with a
/// learned vector, the weighted sum, GELU.
fn fused(
    nodes: &mut Nodes<'_>,
    options: &HeadOptions,
    layers: &[&str],
) -> Result<String, GraphError> {
    let mut stacked = Vec::with_capacity(layers.len());
    for (place, layer) in layers.iter().enumerate() {
        let name = format!("fusion.layer.{place}");
        stacked.push(nodes.by("Unsqueeze", &name, layer, &[2], vec![])?);
    }
    let stacked: Vec<&str> = stacked.iter().map(String::as_str).collect();
    let stacked = nodes.along("Concat", "fusion.layers", &stacked, 2)?;
    let parameters = attention_fusion::Parameters::new(options.layers.len(), options.hidden);
    let normal = nodes.layer_norm(&parameters.norm, &stacked, attention_fusion::EPSILON)?;
    let query = nodes.parameter(&parameters.query)?;
    let scores = nodes.apply("MatMul", "fusion.scores", &[&normal, &query])?;
    let weights = nodes.along("Softmax", "fusion.weights", &[&scores], -1)?;
    let weights = nodes.by("Unsqueeze", "fusion.weights.row", &weights, &[2], vec![])?;
    let sum = nodes.apply("MatMul", "fusion.sum", &[&weights, &normal])?;
    let sum = nodes.by("Squeeze", "fusion.sum.vector", &sum, &[2], vec![])?;
    nodes
        .builder
        .node((MICROSOFT, "Gelu"), "fusion.gelu", &[&sum], vec![])
}
