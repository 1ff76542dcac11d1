//! The self-attention block of a layer.

use ort::operator::Attribute;

use super::builder::{MICROSOFT, size};
use super::encoder_graph::{BlockOutput, EncoderGraph};
use super::error::GraphError;
use super::inputs::LENGTHS;
use super::weights::{Linear, Source};
use crate::checkpoint::Tensor;
use crate::family::{AttentionInput, PositionEncoding};

/// What masked attention scores become. ONNX Runtime's own -10000 is not below every score.
pub(super) const MASKED: f32 = -1e30;

impl<'a> EncoderGraph<'a> {
    /// Attention of each row over itself, and the matrix behind it.
    pub(super) fn attention(
        &mut self,
        layer: usize,
        label: &str,
        input: &str,
    ) -> Result<BlockOutput<'a>, GraphError> {
        let attention = &self.spec.attention;
        let projections = self.query_key_value(layer)?;
        let label = format!("{label}.attention");
        let attended = if self.is_one_operator() {
            self.heads(layer, &label, input, &projections)?
        } else {
            self.heads_in_parts(layer, &label, input, &projections)?
        };
        let output = self.in_layer(layer, attention.output);
        let shape = [attention.size(), self.spec.hidden];
        let output = self.linear(&output, shape, attention.output_bias)?;
        let label = format!("{label}.output");
        Ok(BlockOutput {
            value: self.builder.matmul(&label, &attended, &output.matrix)?,
            bias: output.bias,
        })
    }

    /// Whether all between the projections is what ONNX Runtime's `Attention` does.
    fn is_one_operator(&self) -> bool {
        let attention = &self.spec.attention;
        !matches!(self.spec.position, PositionEncoding::Rotary { .. })
            && attention.key_heads == attention.heads
            && attention.window.is_none()
            && attention.soft_cap.is_none()
            && attention.norms.is_none()
            && attention.relative_bias.is_none()
            && attention.disentangled.is_none()
    }

    /// Query, key and value as one linear layer,
    /// `[hidden, (heads + 2 * key heads) * head size]`.
    fn query_key_value(&self, layer: usize) -> Result<Linear<'a>, GraphError> {
        let attention = &self.spec.attention;
        let hidden = self.spec.hidden;
        match attention.input {
            AttentionInput::Merged(name) => {
                let name = self.in_layer(layer, name);
                self.linear(
                    &name,
                    [hidden, attention.sizes().iter().sum()],
                    attention.bias,
                )
            }
            AttentionInput::MergedByHead(name) => {
                let name = self.in_layer(layer, name);
                let merged = self.linear(&name, [hidden, 3 * attention.size()], attention.bias)?;
                let (heads, rows) = (attention.heads, attention.head_size);
                Ok(Linear {
                    matrix: merged.matrix.by_kind(heads, rows),
                    bias: merged.bias.map(|bias| bias.by_kind(heads, rows)),
                })
            }
            AttentionInput::MergedByHeadBiased {
                matrix,
                query_bias,
                value_bias,
            } => {
                let size = attention.size();
                let merged =
                    self.linear(&self.in_layer(layer, matrix), [hidden, 3 * size], false)?;
                let [query, value] = [query_bias, value_bias]
                    .map(|bias| self.tensor(&self.in_layer(layer, bias), &[size]));
                let key = Source::stored(Tensor::computed(&[size], vec![0.0; size]));
                Ok(Linear {
                    matrix: merged.matrix.by_kind(attention.heads, attention.head_size),
                    bias: Some(Source::side_by_side(vec![query?, key, value?])),
                })
            }
            AttentionInput::Separate(names) => {
                let layers = names
                    .into_iter()
                    .zip(attention.sizes())
                    .map(|(name, size)| {
                        let name = self.in_layer(layer, name);
                        self.linear(&name, [hidden, size], attention.bias)
                    });
                Ok(Linear::side_by_side(layers.collect::<Result<_, _>>()?))
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
        let attention = &self.spec.attention;
        let matrix = format!("{name}.matrix");
        let matrix = self.builder.weights(matrix, &projections.matrix)?;
        let bias = format!("{name}.bias");
        let bias = match &projections.bias {
            Some(values) => self.builder.weights(bias, values)?,
            // The operator does without one on some devices only.
            None => self.builder.repeated(bias, 0.0, 3 * attention.size())?,
        };
        let mut inputs = vec![input, &matrix, &bias];
        // Padding stands on the right, where a causal encoder never looks.
        if !attention.causal {
            inputs.push(LENGTHS);
        }
        let scale = attention.scale.factor(attention.head_size, layer);
        let attributes = vec![
            Attribute::new("num_heads", size(attention.heads))?,
            Attribute::new("scale", scale)?,
            Attribute::new("unidirectional", i64::from(attention.causal))?,
            Attribute::new("mask_filter_value", MASKED)?,
        ];
        let operator = (MICROSOFT, "Attention");
        self.builder.node(operator, name, &inputs, attributes)
    }
}
