//! Scalar mix as nodes: the sum of the layers by weights that are the same for every token.

use shared::heads::kind::scalar_mix::Parameters;

use crate::graph::GraphError;
use crate::head::HeadOptions;
use crate::head::nodes::{Nodes, weighted_sum};

/// `scale * sum over layers of softmax(weights) * layer`.
pub(super) fn features(
    nodes: &mut Nodes<'_>,
    options: &HeadOptions,
    layers: &[&str],
) -> Result<String, GraphError> {
    let parameters = Parameters::new(options.layers.len());
    let weights = nodes.parameter(&parameters.weights)?;
    let weights = nodes.along("Softmax", "scalar_mix.softmax", &[&weights], 0)?;
    let sum = weighted_sum(nodes, layers, &weights)?;
    let scale = nodes.parameter(&parameters.scale)?;
    nodes.apply("Mul", "scalar_mix.result", &[&sum, &scale])
}
