//! Layers with a window, computed in blocks of consecutive queries and the keys that these see, so
//! that they cost no more than what is seen. Which tokens make a block is an input: rows of a batch
//! that are shorter than others have fewer blocks, and no shape has to be computed in the graph.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::builder::size;
use super::dtype::ONNX_FLOAT;
use super::encoder_graph::EncoderGraph;
use super::error::GraphError;
use super::inputs::{
    BLOCK_KEY_POSITIONS, BLOCK_KEYS, BLOCK_PLACES, BLOCK_QUERIES, BLOCK_QUERY_POSITIONS,
};

/// All inputs that tell of blocks, each of two dimensions.
pub(super) const INPUTS: [&str; 5] = [
    BLOCK_QUERIES,
    BLOCK_KEYS,
    BLOCK_QUERY_POSITIONS,
    BLOCK_KEY_POSITIONS,
    BLOCK_PLACES,
];

impl EncoderGraph<'_> {
    /// Queries, keys and values of a layer, each `[rows, width, size of all its heads]`, as
    /// `[blocks, queries, ..]` and twice `[blocks, keys, ..]`.
    pub(super) fn in_blocks(
        &mut self,
        label: &str,
        parts: [String; 3],
    ) -> Result<[String; 3], GraphError> {
        let [query, key, value] = parts;
        let sizes = self.spec.attention.sizes();
        let step = |step: &str| format!("{label}.{step}.in_blocks");
        Ok([
            self.picked(&step("query"), &query, BLOCK_QUERIES, sizes[0])?,
            self.picked(&step("key"), &key, BLOCK_KEYS, sizes[1])?,
            self.picked(&step("value"), &value, BLOCK_KEYS, sizes[2])?,
        ])
    }

    /// Heads of blocks, `[blocks, queries, heads * head size]`, as `[rows, width, ..]`. What stands
    /// at padding is undefined.
    pub(super) fn in_rows(&mut self, label: &str, heads: &str) -> Result<String, GraphError> {
        let size = self.spec.attention.size();
        self.picked(&format!("{label}.in_rows"), heads, BLOCK_PLACES, size)
    }

    /// Vectors of `value`, whose last dimension is `width`, by their number.
    fn picked(
        &mut self,
        name: &str,
        value: &str,
        numbers: &str,
        width: usize,
    ) -> Result<String, GraphError> {
        let builder = &mut self.builder;
        let shape = builder.integers(&format!("{name}.shape"), &[-1, size(width)])?;
        let operator = (ONNX_DOMAIN, "Reshape");
        let vectors = format!("{name}.vectors");
        let vectors = builder.node(operator, &vectors, &[value, &shape], vec![])?;
        let axis = vec![Attribute::new("axis", 0_i64)?];
        builder.node((ONNX_DOMAIN, "Gather"), name, &[&vectors, numbers], axis)
    }

    /// What is added to the scores of a block, `[blocks, 1, queries, keys]`: it hides what is outside
    /// the window, what comes later in a causal encoder, and what is no token.
    pub(super) fn block_bias(&mut self) -> Result<String, GraphError> {
        if let Some(bias) = &self.shared.block_bias {
            return Ok(bias.clone());
        }
        let builder = &mut self.builder;
        let mut position = |name: &str, axis: i64| {
            let label = format!("{name}.float32");
            let positions = builder.cast(&label, name, ONNX_FLOAT)?;
            let axis = builder.integers(&format!("{name}.axis"), &[axis])?;
            let label = format!("{name}.apart");
            let operator = (ONNX_DOMAIN, "Unsqueeze");
            builder.node(operator, &label, &[&positions, &axis], vec![])
        };
        let query = position(BLOCK_QUERY_POSITIONS, 2)?;
        let key = position(BLOCK_KEY_POSITIONS, 1)?;
        let bias = self.hidden_beyond("window.block", [&query, &key], true, 1)?;
        self.shared.block_bias = Some(bias.clone());
        Ok(bias)
    }
}
