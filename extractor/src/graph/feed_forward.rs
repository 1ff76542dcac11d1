//! The feed-forward block of a layer.

use ort::editor::ONNX_DOMAIN;

use super::encoder_graph::{BlockOutput, EncoderGraph};
use super::error::GraphError;
use super::weights::Linear;
use crate::family::{Activation, FeedForward, GatedInput};

impl<'a> EncoderGraph<'a> {
    /// The feed-forward block.
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
                input,
                output,
            } => {
                let input = self.gated_input(layer, input, [hidden, inner], bias)?;
                let both = self
                    .builder
                    .linear(&format!("{label}.in"), block_input, &input)?;
                let active = self.gate(&label, &both, inner, activation)?;
                (active, inner, bias, output)
            }
        };
        let output = self.linear(&self.in_layer(layer, output), [inner, hidden], bias)?;
        Ok(BlockOutput {
            value: self
                .builder
                .matmul(&format!("{label}.out"), &active, &output.matrix)?,
            bias: output.bias,
        })
    }

    /// Both linear layers into a gated block as one, `[hidden, 2 * inner]`.
    fn gated_input(
        &self,
        layer: usize,
        input: GatedInput,
        [hidden, inner]: [usize; 2],
        bias: bool,
    ) -> Result<Linear<'a>, GraphError> {
        match input {
            GatedInput::Merged(name) => {
                self.linear(&self.in_layer(layer, name), [hidden, 2 * inner], bias)
            }
            GatedInput::Separate(names) => {
                let names = names.map(|name| self.in_layer(layer, name));
                let [first, second] = names.map(|name| self.linear(&name, [hidden, inner], bias));
                Ok(Linear::side_by_side(vec![first?, second?]))
            }
        }
    }

    /// `activation(a) * b` of `a` and `b` side by side.
    fn gate(
        &mut self,
        label: &str,
        both: &str,
        inner: usize,
        activation: Activation,
    ) -> Result<String, GraphError> {
        let builder = &mut self.builder;
        let parts = builder.split(&format!("{label}.parts"), both, &[inner, inner])?;
        let name = format!("{label}.activation");
        let active = builder.activation(&name, &parts[0], None, activation)?;
        let operator = (ONNX_DOMAIN, "Mul");
        let name = format!("{label}.gated");
        builder.node(operator, &name, &[&active, &parts[1]], vec![])
    }
}
