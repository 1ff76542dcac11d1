//! The operators that heads are made of. Unlike the encoder's they are plain ONNX and float32: a head is small, and
//! was trained in float32.

use ort::editor::ONNX_DOMAIN;
use ort::operator::Attribute;

use super::parameters::{Matrix, Parameters};
use crate::graph::{Builder, GraphError};

/// Nodes behind an encoder, with the parameters that they take.
pub(super) struct Nodes<'p> {
    pub(super) builder: Builder,
    pub(super) parameters: &'p Parameters,
}

/// A number of the head as ONNX counts.
pub(super) fn size(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
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
    pub(super) fn parameter(&mut self, name: &str, shape: &[usize]) -> Result<String, GraphError> {
        let values = self.parameters.values(name, shape)?;
        self.builder.values(name, shape, &values)
    }

    /// `[.., inputs]` to `[.., outputs]` by the linear layer `parameter`.
    pub(super) fn linear(
        &mut self,
        parameter: &str,
        input: &str,
        [inputs, outputs]: [usize; 2],
    ) -> Result<String, GraphError> {
        let matrix = self
            .parameters
            .matrix(&format!("{parameter}.weight"), outputs, inputs)?;
        let bias = self
            .parameters
            .values(&format!("{parameter}.bias"), &[outputs])?;
        self.affine(&format!("{parameter}.result"), input, &matrix, &bias)
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

    /// The layer norm over the dimensions from `axis` on, of this shape.
    pub(super) fn layer_norm(
        &mut self,
        parameter: &str,
        input: &str,
        shape: &[usize],
        epsilon: f32,
    ) -> Result<String, GraphError> {
        let weight = self.parameter(&format!("{parameter}.weight"), shape)?;
        let bias = self.parameter(&format!("{parameter}.bias"), shape)?;
        let attributes = vec![
            Attribute::new("axis", -size(shape.len()))?,
            Attribute::new("epsilon", epsilon)?,
        ];
        let name = format!("{parameter}.normal");
        self.with(
            "LayerNormalization",
            &name,
            &[input, &weight, &bias],
            attributes,
        )
    }
}
