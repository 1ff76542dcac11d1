//! Attention fusion as nodes: a learned query attends over the normalised layers of each token.

use shared::heads::kind::attention_fusion::{EPSILON, Parameters};

use crate::graph::{GraphError, MICROSOFT};
use crate::head::HeadOptions;
use crate::head::nodes::Nodes;

/// Layer norm over layers and hidden size together, softmax over layers of the product with a
/// learned vector, the weighted sum, GELU.
pub(super) fn features(
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
    let parameters = Parameters::new(options.layers.len(), options.hidden);
    let normal = nodes.layer_norm(&parameters.norm, &stacked, EPSILON)?;
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
