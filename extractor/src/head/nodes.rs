//! The operators that heads are made of. Unlike the encoder's they are plain ONNX and float32: a
//! head is small, and was trained in float32.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;
use shared::heads::parameters::{LayerNorm, Linear, Parameter};

use super::parameters::{Matrix, Parameters};
pub(super) use crate::graph::size;
use crate::graph::{Builder, GraphError};

/// Nodes behind an encoder, with the parameters that they take.
pub(super) struct Nodes<'p> {
    pub(super) builder: Builder,
    pub(super) parameters: &'p Parameters,
}

impl Nodes<'_> {
    /// A node without attributes.
    pub(super) fn apply(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
    ) -> Result<String, GraphError> {
        self.with(operator, name, inputs, vec![])
    }

    /// A node.
    pub(super) fn with(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> Result<String, GraphError> {
        self.builder
            .node((ONNX_DOMAIN, operator), name, inputs, attributes)
    }

    /// A node with the attribute `axis`.
    pub(super) fn along(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        axis: i64,
    ) -> Result<String, GraphError> {
        self.with(operator, name, inputs, vec![Attribute::new("axis", axis)?])
    }

    /// A node whose last input is a vector of integers: axes, places or a shape.
    pub(super) fn by(
        &mut self,
        operator: &str,
        name: &str,
        input: &str,
        integers: &[i64],
        attributes: Vec<Attribute>,
    ) -> Result<String, GraphError> {
        let integers = self.builder.integers(&format!("{name}.by"), integers)?;
        self.with(operator, name, &[input, &integers], attributes)
    }

    /// Dimensions in another order.
    pub(super) fn transposed(
        &mut self,
        name: &str,
        input: &str,
        order: [i64; 4],
    ) -> Result<String, GraphError> {
        let order = vec![Attribute::new("perm", order.to_vec())?];
        self.with("Transpose", name, &[input], order)
    }

    /// A product with one number.
    pub(super) fn scaled(
        &mut self,
        name: &str,
        input: &str,
        factor: f32,
    ) -> Result<String, GraphError> {
        let factor = self
            .builder
            .values(&format!("{name}.factor"), &[1], &[factor])?;
        self.apply("Mul", name, &[input, &factor])
    }

    /// A parameter as it is stored.
    pub(super) fn parameter(&mut self, parameter: &Parameter) -> Result<String, GraphError> {
        let values = self.parameters.values(parameter)?;
        self.builder
            .values(&parameter.name, &parameter.shape, &values)
    }

    /// `[.., inputs]` to `[.., outputs]` by a linear layer.
    pub(super) fn linear(&mut self, layer: &Linear, input: &str) -> Result<String, GraphError> {
        let matrix = self.parameters.matrix(&layer.weight())?;
        let bias = self.parameters.values(&layer.bias())?;
        self.affine(&format!("{}.result", layer.name), input, &matrix, &bias)
    }

    /// `[.., columns]` to `[.., rows]` by a matrix and a bias.
    pub(super) fn affine(
        &mut self,
        name: &str,
        input: &str,
        matrix: &Matrix,
        bias: &[f32],
    ) -> Result<String, GraphError> {
        let matrix = matrix.transposed();
        let shape = [matrix.rows, matrix.columns];
        let matrix = self
            .builder
            .values(&format!("{name}.matrix"), &shape, &matrix.values)?;
        let bias = self
            .builder
            .values(&format!("{name}.bias"), &[bias.len()], bias)?;
        let product = self.apply("MatMul", &format!("{name}.product"), &[input, &matrix])?;
        self.apply("Add", name, &[&product, &bias])
    }

    /// A layer norm over the last dimensions.
    pub(super) fn layer_norm(
        &mut self,
        layer: &LayerNorm,
        input: &str,
        epsilon: f64,
    ) -> Result<String, GraphError> {
        let weight = self.parameter(&layer.weight())?;
        let bias = self.parameter(&layer.bias())?;
        #[expect(clippy::cast_possible_truncation, reason = "ONNX has it in 32 bits")]
        let attributes = vec![
            Attribute::new("axis", -size(layer.shape.len()))?,
            Attribute::new("epsilon", epsilon as f32)?,
        ];
        let name = format!("{}.normal", layer.name);
        self.with(
            "LayerNormalization",
            &name,
            &[input, &weight, &bias],
            attributes,
        )
    }
}

/// What the parts of a head know of the batch, by the names of values.
pub(super) struct Rows {
    /// 1 or 0, float32 `[rows, width]`.
    pub(super) mask: String,
    /// A token's share in the mean over its row, `[rows, 1, width]`.
    pub(super) share: String,
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
