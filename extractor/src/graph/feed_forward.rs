//! The feed-forward block of a layer.

use ort::editor::ONNX_DOMAIN;

use super::encoder_graph::{BlockOutput, EncoderGraph};
use super::error::GraphError;
use super::weights::Linear;
use crate::family::{FeedForward, GatedInput};

impl<'a> EncoderGraph<'a> {
    /// Two linear layers with a non-linearity between them, or three where one of them is a gate.
    pub(super) fn feed_forward(
        &mut self,
        layer: usize,
        label: &str,
        block_input: &str,
    ) -> Result<BlockOutput<'a>, GraphError> {
        let hidden = self.spec.hidden;
        let label = format!("{label}.feed_forward");
        let (active, inner, bias, output) = match self.spec.feed_forward {
            FeedForward::Plain {
                inner,
                activation,
                bias,
                input,
                output,
            } => {
                let input = self.linear(&self.in_layer(layer, input), [hidden, inner], bias)?;
                let builder = &mut self.builder;
                let wide = builder.matmul(&format!("{label}.in"), block_input, &input.matrix)?;
                let name = format!("{label}.activation");
                let active = builder.activation(&name, &wide, input.bias.as_ref(), activation)?;
                (active, inner, bias, output)
            }
            FeedForward::Gated {
                inner,
                activation,
                bias,
                output_bias,
                input: layers,
                output,
            } => {
                let input = self.gate_and_other(layer, layers, inner, bias)?;
                let builder = &mut self.builder;
                let wide = builder.linear(&format!("{label}.in"), block_input, &input)?;
                let halves = ["first", "second"].map(|half| (format!("{label}.{half}"), inner));
                let halves = builder.split(&format!("{label}.halves"), &wide, halves)?;
                let [gate, other] = match layers {
                    GatedInput::MergedGateLast(_) => {
                        let [other, gate] = halves;
                        [gate, other]
                    }
                    GatedInput::Merged(_) | GatedInput::Separate(_) => halves,
                };
                let name = format!("{label}.activation");
                let gate = builder.activation(&name, &gate, None, activation)?;
                let name = format!("{label}.gated");
                let inputs = [gate.as_str(), &other];
                let gated = builder.node((ONNX_DOMAIN, "Mul"), &name, &inputs, vec![])?;
                (gated, inner, output_bias, output)
            }
        };
        let output = self.linear(&self.in_layer(layer, output), [inner, hidden], bias)?;
        let name = format!("{label}.out");
        Ok(BlockOutput {
            value: self.builder.matmul(&name, &active, &output.matrix)?,
            bias: output.bias,
        })
    }

    /// The gate and the other input layer as one, `[hidden, 2 * inner]`, in the order in which the
    /// checkpoint has them.
    fn gate_and_other(
        &self,
        layer: usize,
        input: GatedInput,
        inner: usize,
        bias: bool,
    ) -> Result<Linear<'a>, GraphError> {
        let hidden = self.spec.hidden;
        match input {
            GatedInput::Merged(name) | GatedInput::MergedGateLast(name) => {
                self.linear(&self.in_layer(layer, name), [hidden, 2 * inner], bias)
            }
            GatedInput::Separate(names) => {
                let layers = names
                    .into_iter()
                    .map(|name| self.linear(&self.in_layer(layer, name), [hidden, inner], bias));
                Ok(Linear::side_by_side(layers.collect::<Result<_, _>>()?))
            }
        }
    }
}
