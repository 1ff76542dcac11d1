//! The self-attention block of a layer.

use ort::operator::Attribute;

use super::builder::MICROSOFT;
use super::encoder_graph::{BlockOutput, EncoderGraph};
use super::error::GraphError;
use super::inputs::LENGTHS;
use super::weights::{Linear, Source};
use crate::family::AttentionInput;

/// What masked attention scores become. ONNX Runtime's own -10000 is not below every score.
const MASKED: f32 = -1e30;

impl<'a> EncoderGraph<'a> {
    /// Attention of each row over itself, and the matrix behind it.
    pub(super) fn attention(
        &mut self,
        layer: usize,
        label: &str,
        input: &str,
    ) -> Result<BlockOutput<'a>, GraphError> {
        let attention = self.spec.attention;
        let projections = self.query_key_value(layer)?;
        let label = format!("{label}.attention");
        let attended = self.heads(layer, &label, input, &projections)?;
        let output = self.in_layer(layer, attention.output);
        let shape = [attention.size(), self.spec.hidden];
        let output = self.linear(&output, shape, attention.bias)?;
        let label = format!("{label}.output");
        Ok(BlockOutput {
            value: self.builder.matmul(&label, &attended, &output.matrix)?,
            bias: output.bias,
        })
    }

    /// Query, key and value as one linear layer, `[hidden, 3 * heads * head size]`.
    fn query_key_value(&self, layer: usize) -> Result<Linear<'a>, GraphError> {
        let attention = self.spec.attention;
        let (hidden, size) = (self.spec.hidden, attention.size());
        match attention.input {
            AttentionInput::Merged(name) => {
                let name = self.in_layer(layer, name);
                self.linear(&name, [hidden, 3 * size], attention.bias)
            }
            AttentionInput::Separate(names) => {
                let (mut matrices, mut biases) = (Vec::new(), Vec::new());
                for name in names {
                    let name = self.in_layer(layer, name);
                    let one = self.linear(&name, [hidden, size], attention.bias)?;
                    matrices.push(one.matrix);
                    biases.extend(one.bias);
                }
                Ok(Linear {
                    matrix: Source::side_by_side(matrices),
                    bias: attention.bias.then(|| Source::side_by_side(biases)),
                })
            }
        }
    }

    /// The heads, `[rows, width, heads * head size]`.
    fn heads(
        &mut self,
        layer: usize,
        name: &str,
        input: &str,
        projections: &Linear<'_>,
    ) -> Result<String, GraphError> {
        let attention = self.spec.attention;
        let matrix = format!("{name}.matrix");
        let matrix = self.builder.weights(matrix, &projections.matrix)?;
        let bias = format!("{name}.bias");
        let bias = match &projections.bias {
            Some(values) => self.builder.weights(bias, values)?,
            // The operator does without one on some devices only.
            None => self.builder.zeros(bias, 3 * attention.size())?,
        };
        let mut inputs = vec![input, &matrix, &bias];
        // Padding stands on the right, where a causal encoder never looks.
        if !attention.causal {
            inputs.push(LENGTHS);
        }
        let heads = i64::try_from(attention.heads).unwrap_or(i64::MAX);
        let scale = attention.scale.factor(attention.head_size, layer);
        let attributes = vec![
            Attribute::new("num_heads", heads)?,
            Attribute::new("scale", scale)?,
            Attribute::new("unidirectional", i64::from(attention.causal))?,
            Attribute::new("mask_filter_value", MASKED)?,
        ];
        let operator = (MICROSOFT, "Attention");
        self.builder.node(operator, name, &inputs, attributes)
    }
}
